"""Artifacts against a type and its checks: what passes, what hangs, what is cancelled."""

import asyncio
import contextvars
import threading
from decimal import Decimal
from typing import Any

import pytest

from lakehouse.core.errors import InfraError
from lakehouse.core.kind import ModelFault
from lakehouse.library.check_threads import CheckThreads
from lakehouse.library.checks import Reject
from lakehouse.library.type_check import TypeCheck
from support.type_checks import ORDER, Order, Point, both, broken, check_of, faults_of, raising

SHORT_MS = 20


def test_the_instance_of_the_last_artifact_is_kept_if_it_passed(threads: CheckThreads):
    check = check_of(threads, *both(lambda order: None))

    with pytest.raises(LookupError, match="no artifact has passed"):
        _ = check.value
    assert faults_of(check) == []
    assert check.value == Order.model_validate_json(ORDER)
    assert faults_of(check, ORDER.replace(b"a~/b", b"bad")) != []
    with pytest.raises(LookupError):
        _ = check.value


def test_the_types_own_validators_run_first_and_no_check_after_they_reject(threads: CheckThreads):
    seen: list[Order] = []
    check = check_of(threads, seen.append)

    [fault] = faults_of(check, ORDER.replace(b"a~/b", b"bad"))

    assert (fault.place, fault.message) == (("id",), "Value error, no bad ids")
    assert seen == []
    assert faults_of(check) == []
    assert len(seen) == 1


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_what_ends_programs_is_an_error_of_the_type_also_where_no_code_was_found(
    threads: CheckThreads, error: BaseException
):
    class Type:
        name, wrapped, has_code = "shop:Order", False, False

        def read(self, artifact: bytes, *, context: object = None) -> object:
            raise error

    ended: list[InfraError] = []

    def judge() -> None:  # where Ctrl-C never comes
        with pytest.raises(InfraError) as caught:
            faults_of(TypeCheck(Type(), (), None, threads))
        ended.append(caught.value)

    thread = threading.Thread(target=judge)
    thread.start()
    thread.join(60)
    assert [(one.code, type(error).__name__ in one.public) for one in ended] == [
        ("rule_broken", True)
    ]


def test_validators_run_in_a_thread_and_get_the_context(threads: CheckThreads):
    idents: list[int] = []

    class Known:
        def __contains__(self, value: object) -> bool:
            idents.append(threading.get_ident())
            return value == "a~/b"

    check = check_of(threads, context=Known())

    assert faults_of(check) == []
    assert [fault.message for fault in faults_of(check, ORDER.replace(b"a~/b", b"c"))] == [
        "Value error, not known"
    ]
    assert len(idents) == 2
    assert threading.get_ident() not in idents


def test_a_type_without_code_takes_no_thread():
    threads = CheckThreads()
    threads.close()  # it would refuse to read
    check = check_of(threads, type_=Point)

    assert faults_of(check, b'{"x":1}') == []
    assert check.value == Point(1)
    assert [fault.place for fault in faults_of(check, b'{"x":"1"}')] == [("x",)]
    with pytest.raises(InfraError, match="closed"):
        faults_of(check_of(threads))


@pytest.mark.parametrize(("id_", "says"), [(b"bug", "KeyError: "), (b"exit", "SystemExit: 3")])
def test_a_validator_that_breaks_is_an_error_of_the_type(
    threads: CheckThreads, id_: bytes, says: str
):
    error = broken(check_of(threads), ORDER.replace(b"a~/b", id_))

    assert error.code == "rule_broken"
    assert error.public.startswith(f"The validators of '{Order.__module__}:Order' raised {says}")
    assert "(type_checks.py, line " in error.public
    assert "ValueError or AssertionError" in error.hint


def test_every_check_gets_the_instance_and_the_context_if_it_asks(threads: CheckThreads):
    seen: list[tuple[object, object]] = []

    def takes(order: Order, context: object) -> None:
        seen.append((order, context))

    async def waits(order: Order, context: object) -> None:
        seen.append((order, context))

    def without(order: Order) -> None:
        seen.append((order, None))

    context = {"a~/b"}
    check = check_of(threads, takes, waits, without, context=context)

    assert faults_of(check) == []
    assert all(order is check.value for order, _ in seen)
    assert sorted(given is context for _, given in seen) == [False, True, True]


def test_all_rejects_of_all_checks_are_collected_in_the_order_of_the_checks(threads: CheckThreads):
    def first(order: Order) -> None:
        raise Reject("/lines/1/price", "is too high", nearest=[2, 2.25, Decimal("2.50"), "never"])

    async def second(order: Order) -> None:
        raise ExceptionGroup(
            "two", [Reject("/id", "is odd"), ExceptionGroup("", [Reject("", "is all wrong")])]
        )

    def third(order: Order) -> None:
        raise Reject("/note", "must be there")

    def passes(order: Order) -> None: ...

    check = check_of(threads, first, second, passes, third)

    assert faults_of(check) == [
        ModelFault(("lines", 1, "price"), "is too high", b"[2,2.25,2.50]"),
        ModelFault(("id",), "is odd"),
        ModelFault((), "is all wrong"),
        ModelFault(("note",), "must be there"),
    ]


def test_checks_run_at_the_same_time(threads: CheckThreads):
    """Each of the two blocking and of the two asynchronous ones waits for the other."""
    blocked = threading.Barrier(2)
    waiting = asyncio.Barrier(2)

    def one(order: Order) -> None:
        blocked.wait()

    def two(order: Order) -> None:
        blocked.wait()

    async def three(order: Order) -> None:
        await waiting.wait()

    async def four(order: Order) -> None:
        await waiting.wait()

    assert faults_of(check_of(threads, one, two, three, four)) == []


def test_context_variables_reach_checks(threads: CheckThreads):
    word: contextvars.ContextVar[str] = contextvars.ContextVar("word")
    seen: list[str] = []
    check = check_of(threads, *both(lambda _: seen.append(word.get())))

    async def run() -> list[ModelFault]:
        word.set("mine")
        return await check.faults(ORDER)

    assert asyncio.run(run()) == []
    assert seen == ["mine", "mine"]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_check_that_hangs_ends_at_its_limit(
    threads: CheckThreads, release: threading.Event, is_async: bool
):
    begun = threading.Event()

    def hangs(order: Order) -> None:
        begun.set()
        release.wait()

    async def hangs_and_ignores_its_end(order: Order) -> None:
        begun.set()
        while not release.is_set():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()

    cancelled = threading.Event()
    check = check_of(threads, [hangs, hangs_and_ignores_its_end][is_async], timeout_ms=SHORT_MS)

    async def run() -> InfraError:
        with pytest.raises(InfraError) as caught:
            await check.faults(ORDER)
        while is_async and not cancelled.is_set():
            await asyncio.sleep(0)
        release.set()  # so that the loop can end
        return caught.value

    error = asyncio.run(run())

    assert begun.is_set()
    assert error.code == "timeout"
    assert f"hangs{'_and_ignores_its_end' * is_async}' took longer than 20 ms." in error.public
    assert "timeout_ms" in error.hint


def test_hung_checks_are_overloaded_in_the_end(release: threading.Event):
    threads = CheckThreads(hung_max=1)
    check = check_of(threads, lambda order: release.wait() and None, timeout_ms=SHORT_MS)

    assert [broken(check).code for _ in range(2)] == ["timeout", "overloaded"]
    threads.close()


@pytest.mark.parametrize("is_async", [False, True])
def test_cancelling_the_session_passes_through(
    threads: CheckThreads, release: threading.Event, is_async: bool
):
    begun = threading.Event()

    def hangs(order: Order) -> None:
        begun.set()
        release.wait()

    async def waits(order: Order) -> None:
        begun.set()
        await asyncio.Event().wait()

    check = check_of(threads, [hangs, waits][is_async], both(lambda _: None)[0])

    async def run() -> None:
        task = asyncio.create_task(check.faults(ORDER))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_one_check_that_breaks_ends_the_others(threads: CheckThreads):
    ended: list[bool] = []

    async def waits(order: Order) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    error = broken(check_of(threads, waits, raising(ValueError("at once"))))

    assert "at once" in error.public
    assert ended == [True]


def test_sixty_four_sessions_keep_their_instances_apart(threads: CheckThreads):
    seen: list[tuple[int, int]] = []
    together = threading.Barrier(64)

    def compare(point: Point, context: int) -> None:
        together.wait()
        seen.append((point.x, context))
        if point.x % 2:
            raise Reject("/x", f"{point.x} is odd")

    async def run() -> list[TypeCheck[Any]]:
        checks = [check_of(threads, compare, type_=Point, context=x) for x in range(64)]
        given = await asyncio.gather(
            *(check.faults(b'{"x":%d}' % x) for x, check in enumerate(checks))
        )
        for x, faults in enumerate(given):
            assert faults == ([ModelFault(("x",), f"{x} is odd")] if x % 2 else [])
        return checks

    checks = asyncio.run(run())

    assert sorted(seen) == [(x, x) for x in range(64)]
    assert [check.value.x for check in checks[::2]] == list(range(0, 64, 2))
