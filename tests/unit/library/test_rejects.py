"""Checks that reject are findings; checks that do anything else are errors, and never a pass."""

import asyncio
import datetime as dt
import functools
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lakehouse.core.clock import FixedClock
from lakehouse.core.errors import InfraError
from lakehouse.core.finding import Finding
from lakehouse.core.kind import ModelFault, OwnChecks
from lakehouse.core.observation import AttemptTimes
from lakehouse.engine.judge import judge
from lakehouse.engine.own_checks import with_own
from lakehouse.grounding.no_tables import NoTables
from lakehouse.library.check_threads import CheckThreads
from lakehouse.library.checks import Reject
from lakehouse.library.type_check import TypeCheck
from lakehouse.output_types.output_type import output_type
from support.sessions import task_of
from support.type_checks import ORDER, Order, Point, both, broken, check_of, faults_of, raising

HERE = f"{__name__}:"


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        ValueError("no such day"),
        KeyError("day"),
        SystemExit(3),
        KeyboardInterrupt("stop"),
        asyncio.CancelledError("ended"),
        GeneratorExit("ended"),
        TimeoutError("of a socket"),
        InfraError("overloaded", "another session"),
        ExceptionGroup("both", [Reject("", "wrong"), OSError("disk")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_other_error_is_an_error_of_the_check(
    threads: CheckThreads, error: BaseException, is_async: bool
):
    check = both(raising(error))[is_async]

    raised = broken(check_of(threads, check))

    assert raised.code == "rule_broken"
    assert not raised.retryable
    assert f"The check '{both.__module__}:both.<locals>.{check.__name__}' raised " in raised.public
    named = error.exceptions[1] if isinstance(error, ExceptionGroup) else error
    assert type(named).__name__ in raised.public
    assert "raise lakehouse.Reject" in raised.hint
    assert str(Path(__file__).parent) not in raised.public


@pytest.mark.parametrize("is_async", [False, True])
def test_an_error_names_the_line_of_the_check_and_the_file_without_its_path(
    threads: CheckThreads, is_async: bool
):
    def parse(order: Order) -> None:
        dt.date.fromisoformat(order.id); msgspec.json.decode(order.id)  # fmt: skip  # noqa: E702

    async def parse_later(order: Order) -> None:
        functools.reduce(lambda _, item: 1 // 0, [1, 2])

    check = [parse, parse_later][is_async]
    error = broken(check_of(threads, check))

    line = check.__code__.co_firstlineno + 1
    text = ["ValueError: Invalid isoformat string: 'a~/b'", "ZeroDivisionError: "][is_async]
    assert f" raised {text}" in error.public
    assert error.public.endswith(f" ({Path(__file__).name}, line {line}).")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (False, "returned False"),
        (True, "returned True"),
        ("ok", "returned a 'str'"),
        (0, "a 'int'"),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_check_that_returns_something_is_no_pass(
    threads: CheckThreads, value: object, says: str, is_async: bool
):
    error = broken(check_of(threads, both(lambda _: value)[is_async]))

    assert error.code == "rule_broken"
    assert says in error.public
    assert error.public.endswith("a check must return None or raise Reject.")


def test_a_blocking_check_that_returns_a_coroutine_is_no_pass(threads: CheckThreads):
    async def waits(order: Order) -> None:
        raise AssertionError("it never ran")

    def forgets(order: Order) -> Any:
        return waits(order)

    error = broken(check_of(threads, forgets))

    assert "returned an awaitable 'coroutine'" in error.public
    assert error.hint == "Write it as `async def`."


class Careless(Reject):
    def __init__(self) -> None:
        """Set nothing."""


class Interrupted(list[str]):
    def __iter__(self) -> Iterator[str]:
        yield "x"
        raise KeyError("in the middle")


@pytest.mark.parametrize(
    ("reject", "says"),
    [
        (Reject("id", "is odd"), "not a JSON Pointer: 'id'"),
        (Reject("/a~2", "is odd"), "not a JSON Pointer: '/a~2'"),
        (
            Reject("/lines/2/price", "is odd"),
            "'/lines/2/price' leads nowhere in the answer, at '2'",
        ),
        (Reject("/lines/01", "is odd"), "leads nowhere in the answer, at '01'"),
        (Reject("/lines/-", "is odd"), "leads nowhere in the answer, at '-'"),
        (Reject("/id/deep", "is odd"), "leads nowhere in the answer, at 'deep'"),
        (Reject("/\ud800", "is odd"), "surrogates not allowed"),
        (Reject(5, "is odd"), "the path is 5; it must be a text"),  # type: ignore[arg-type]
        (Reject("/id", ""), "the message is ''; it must say what is wrong"),
        (Reject("/id", " \n"), "it must say what is wrong"),
        (Reject("/id", None), "the message is None"),  # type: ignore[arg-type]
        (Reject("/id", "\ud800"), "surrogates not allowed"),
        (Reject("/id", "is odd", nearest="abc"), "nearest is 'abc'; it must be a list"),
        (Reject("/id", "is odd", nearest=[None]), "nearest has None; allowed are texts and num"),
        (Reject("/id", "is odd", nearest=[True]), "nearest has True"),
        (Reject("/id", "is odd", nearest=[{"a": 1}]), "nearest has {'a': 1}"),
        (Reject("/id", "is odd", nearest=[float("nan")]), "nearest has nan"),
        (Reject("/id", "is odd", nearest=[Decimal("-Infinity")]), "-Infinity"),
        (Reject("/id", "is odd", nearest=[object()]), "object is unsupported"),
        (Reject("/id", "is odd", nearest=5), "not iterable"),  # type: ignore[arg-type]
        (Reject("/id", "is odd", nearest=Interrupted()), "in the middle"),
        (Careless(), "'Careless' object has no attribute 'path'"),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_reject_that_cannot_be_used_is_an_error_of_the_check(
    threads: CheckThreads, reject: Reject, says: str, is_async: bool
):
    error = broken(check_of(threads, both(raising(reject))[is_async]))

    assert error.code == "rule_broken"
    assert " raised a Reject that cannot be used: " in error.public
    assert says in error.public
    assert "(type_checks.py, line " in error.public


def test_what_json_has_a_text_for_may_be_near(threads: CheckThreads):
    day = dt.date(2026, 12, 1)
    check = check_of(threads, raising(Reject("/day", "is past", nearest=(day, 10**30, "x"))))

    assert faults_of(check) == [
        ModelFault(("day",), "is past", b'["2026-12-01",' + str(10**30).encode() + b',"x"]')
    ]


def test_a_type_that_is_no_object_has_its_values_in_result(threads: CheckThreads):
    artifact = b'{"result":[{"x":1},{"x":2}]}'
    right = check_of(threads, raising(Reject("/result/1/x", "odd")), type_=list[Point])
    wrong = check_of(threads, raising(Reject("/1/x", "odd")), type_=list[Point])

    assert faults_of(right, artifact) == [ModelFault(("result", 1, "x"), "odd")]
    assert "so write '/result/1/x'" in broken(wrong, artifact).public


def judged(check: TypeCheck[Any], text: str, type_: Any = Order) -> tuple[Finding, ...]:
    task = task_of(schema=msgspec.Raw(output_type(type_).schema))
    judgement = asyncio.run(
        judge(
            text,
            "stop",
            kind=with_own(task.kind, OwnChecks(check=check)),
            schema=task.schema,
            sources=(),
            tables=NoTables(),
            times=AttemptTimes("0" * 16, 0.0),
            clock=FixedClock(),
        )
    )
    return judgement.findings


def test_rejects_are_findings_with_what_stands_there_and_what_is_near(threads: CheckThreads):
    """Sorted by path; numbers with the digits of the answer and of the check."""

    def prices(order: Order) -> None:
        raise Reject("/lines/1/price", "is too high", nearest=[Decimal("2.00"), 2])

    async def names(order: Order) -> None:
        raise ExceptionGroup(
            "", [Reject("/note", "must be there", nearest=["-"]), Reject("/id", "is odd")]
        )

    def whole(order: Order) -> None:
        raise Reject("", "is not paid")

    check = check_of(threads, prices, names, whole)
    text = ORDER.decode().replace("2.50", "2.5000000000000000000000001")

    unset = msgspec.UNSET
    assert [
        (one.code, one.path, one.message, one.got and bytes(one.got), one.nearest)
        for one in judged(check, f"Here it is: {text}")
    ] == [
        ("rule", "", "is not paid", text.encode(), unset),
        ("rule", "/id", "is odd", b'"a~/b"', unset),
        (
            "rule",
            "/lines/1/price",
            "is too high",
            b"2.5000000000000000000000001",
            msgspec.Raw(b"[2.00,2]"),
        ),
        ("rule", "/note", "must be there", unset, msgspec.Raw(b'["-"]')),
    ]


def test_no_check_sees_what_the_schema_rejects(threads: CheckThreads):
    seen: list[Order] = []
    check = check_of(threads, seen.append)

    assert [one.code for one in judged(check, '{"id":5}')] == ["schema"] * 3
    assert seen == []
    assert judged(check, ORDER.decode()) == ()
    assert len(seen) == 1
