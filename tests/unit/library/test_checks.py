"""Which functions can be checks, of which types, and how rows name them."""

import contextlib
import dataclasses
import functools
import hashlib
import inspect
import operator
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any, Generic, TypeVar

import pytest

from lakehouse.core.errors import SetupError
from lakehouse.library.checks import (
    CheckRegistry,
    RegisteredCheck,
    Reject,
    checks_text,
    file_of,
    name_of,
)

HERE = __name__
T = TypeVar("T")


@dataclasses.dataclass
class Event:
    day: str


class LateEvent(Event):
    pass


class Page(Generic[T]):
    pass


class Other:
    pass


def plain(event: Event) -> None: ...
def with_context(event: Event, context: object) -> None: ...
def optional_context(event: Event, context: object = None) -> None: ...
def own_default(event: Event, limit: int = 3, **more: object) -> None: ...
async def waits(event: Event) -> None: ...


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: object, **named: object) -> Any:
        return function(*args, **named)

    return wrapper


class Called:
    def __call__(self, event: Event, context: object) -> None: ...

    def method(self, event: Event) -> None: ...

    @staticmethod
    async def static(event: Event) -> None: ...


class CalledAsync:
    async def __call__(self, event: Event) -> None: ...


def no_parameter() -> None: ...
def three(event: Event, context: object, more: object) -> None: ...
def keyword_only(event: Event, *, limit: int) -> None: ...
def any_number(*args: object) -> None: ...
def generator(event: Event) -> Iterator[None]:
    yield


async def async_generator(event: Event) -> AsyncIterator[None]:
    yield


class CalledGenerator:
    def __call__(self, event: Event) -> Iterator[None]:
        yield


def added(function: Any, **how: Any) -> RegisteredCheck:
    return CheckRegistry().add(Event, function, **how)


@pytest.mark.parametrize(
    ("function", "name", "is_async", "takes_context"),
    [
        (plain, "plain", False, False),
        (with_context, "with_context", False, True),
        (optional_context, "optional_context", False, True),
        (own_default, "own_default", False, False),
        (waits, "waits", True, False),
        (wrapped(with_context), "with_context", False, True),
        (functools.partial(with_context, context=1), "with_context", False, False),
        (functools.partial(waits), "waits", True, False),
        (Called(), "Called", False, True),
        (Called().method, "Called.method", False, False),
        (Called.static, "Called.static", True, False),
        (CalledAsync(), "CalledAsync", True, False),
        (functools.partial(CalledAsync()), "CalledAsync", True, False),
        (lambda event: None, "<lambda>", False, False),
    ],
)
def test_a_check_is_a_function_of_the_instance_and_perhaps_the_context(
    function: Any, name: str, is_async: bool, takes_context: bool
):
    check = added(function)

    assert check.name == name_of(function) == f"{HERE}:{name}"
    assert (check.is_async, check.takes_context) == (is_async, takes_context)
    assert check.timeout_ms == 10_000
    assert check.digest is not None
    assert file_of(function) == __file__


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (5, "A check is a function; 5 is none."),
        (Called, f"A check is a function; '{HERE}:Called' is a class."),
        (no_parameter, r"'.*:no_parameter' takes \(\) -> None; it is called with the instance"),
        (three, "three' takes .*more: object"),
        (keyword_only, "keyword_only' takes"),
        (any_number, "any_number' takes"),
        (functools.partial(plain, Event("x")), "plain' takes"),
        (generator, "generator' is a generator: calling it would check nothing"),
        (async_generator, "async_generator' is a generator"),
        (CalledGenerator(), "CalledGenerator' is a generator"),
        (functools.partial(generator), "generator' is a generator"),
        (operator.itemgetter, "is a class"),
        (dict.update, "The parameters of the check '.*:dict.update' are not known"),
    ],
)
def test_what_cannot_be_a_check_is_refused(function: Any, says: str):
    with pytest.raises(SetupError, match=says) as caught:
        added(function)
    assert caught.value.hint


@pytest.mark.parametrize("timeout_ms", [0, -1, 600_001, 1.5, True, "10"])
def test_a_time_limit_out_of_range_is_refused(timeout_ms: Any):
    with pytest.raises(
        SetupError, match=r"timeout_ms of the check .*:plain' is .*from 1 to 600000"
    ):
        added(plain, timeout_ms=timeout_ms)


@pytest.mark.parametrize("timeout_ms", [1, 600_000])
def test_a_time_limit_may_be_set(timeout_ms: int):
    assert added(plain, timeout_ms=timeout_ms).timeout_ms == timeout_ms


def test_a_check_is_registered_once_for_each_type():
    registry = CheckRegistry()
    registry.add(Event, plain)
    registry.add(Other, plain)

    with pytest.raises(SetupError, match="plain' is registered twice"):
        registry.add(Event, plain)


@pytest.mark.parametrize(
    ("checked", "asked", "applies"),
    [
        (Event, Event, True),
        (Event, LateEvent, True),
        (LateEvent, Event, False),
        (Event, Other, False),
        (Event, Annotated[Event, "marked"], True),
        (Event, Annotated[LateEvent, "marked"], True),
        (Annotated[Event, "marked"], Event, False),
        (Annotated[Event, "marked"], Annotated[Event, "marked"], True),
        (Event, list[Event], False),
        (list[Event], Event, False),
        (list[Event], list[Event], True),
        (list[Event], Annotated[list[Event], "marked"], True),
        (list[Event], list[LateEvent], False),
        (Page, Page[Event], True),
        (Page[Event], Page[Event], True),
        (Page[Event], Page[Other], False),
        (Event | Other, Event | Other, True),
        (Event, Event | Other, False),
        ({"type": "object"}, {"type": "object"}, True),
        ({"type": "object"}, {"type": "array"}, False),
        ({"type": "object"}, Event, False),
        (Event, {"type": "object"}, False),
    ],
)
def test_checks_belong_to_equal_types_and_to_derived_classes(
    checked: Any, asked: Any, applies: bool
):
    registry = CheckRegistry()
    check = registry.add(checked, plain)

    assert registry.of(asked) == ((check,) if applies else ())


def test_checks_keep_their_order():
    registry = CheckRegistry()
    checks = [registry.add(Event, plain), registry.add(LateEvent, waits)]
    checks.append(registry.add(Event, with_context))

    assert registry.of(LateEvent) == tuple(checks)
    assert registry.of(Event) == (checks[0], checks[2])


def test_a_row_names_checks_with_the_digests_of_their_sources():
    registry = CheckRegistry()
    registry.add(Event, plain)
    registry.add(Event, Called().method)
    digests = [
        hashlib.sha256(inspect.getsource(function).encode()).hexdigest()
        for function in (plain, Called.method)
    ]

    assert checks_text(registry.of(Event)) == (
        f"{HERE}:plain sha256:{digests[0]}, {HERE}:Called.method sha256:{digests[1]}"
    )
    assert checks_text(()) == ""


def test_a_check_without_source_has_no_digest():
    space: dict[str, Any] = {"__name__": "made"}
    exec("def check(event): pass", space)
    check = added(space["check"])

    assert check.digest is None
    assert checks_text([check]) == "made:check"


def test_many_checks_have_one_digest_and_none_is_left_out():
    def named(name: str) -> RegisteredCheck:
        check = added(plain)
        return RegisteredCheck(
            **{field: getattr(check, field) for field in FIELDS} | {"name": name}
        )

    few = [named(f"shop.checks:check_{index}") for index in range(100)]
    text = checks_text(few)
    whole = ", ".join(f"{check.name} {check.digest}" for check in few)
    digest = hashlib.sha256(whole.encode()).hexdigest()
    assert text == ", ".join(check.name for check in few) + f" sha256:{digest}"
    assert len(text) <= 4_096

    many = [named(f"shop.checks:check_{index}") for index in range(1_000)]
    assert checks_text(many).startswith("1000 checks sha256:")
    assert checks_text(many) != checks_text([*many[:-1], named("shop.checks:another")])


FIELDS = RegisteredCheck.__struct_fields__


def test_a_reject_reads_well_where_nobody_catches_it():
    assert str(Reject("/day", "is before today")) == "/day: is before today"
    assert str(Reject("", "is empty")) == "the answer: is empty"


def test_a_context_manager_is_a_function_that_returns_something():
    """It is no generator function, so its result is what is refused, when it is called."""
    check = added(contextlib.contextmanager(generator))

    assert check.function(Event("x")) is not None
