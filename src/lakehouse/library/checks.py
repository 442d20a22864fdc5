"""Checks in Python: functions that reject answers, registered for the type that they read.

A check is a function, `def` or `async def`, of `(instance)` or `(instance, context)`. It returns
None, or raises `Reject`. It can reject in several places with an `ExceptionGroup` of `Reject`s.
"""

import functools
import hashlib
import inspect
import sys
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.core.limits import CHECK_MS_DEFAULT, CHECK_MS_MAX, CHECKS_NAMED_BYTES_MAX
from lakehouse.library.known_types import type_of

_WRAPPERS_MAX: Final = 100
_FORMS: Final = "Write it as `def check(instance)` or `def check(instance, context)`."


class Reject(Exception):
    """Raised by a check: the answer is wrong at `path`, and the model is told so.

    `path` is a JSON Pointer into the answer: `/lines/0/price`; `""` is the whole. It has the names
    that members have in JSON. Where the type is no object, such as a list, the answer has it in the
    member `result`: `/result/0/price`. `nearest` are texts or numbers that would do there, the best
    first; three are told. Other values, a path that leads nowhere and an empty message are errors
    of the check, and end the session.

    >>> with lakehouse.open() as lake:
    ...     @lake.check(Event)
    ...     def is_short(event: Event) -> None:
    ...         if event.minutes > 20:
    ...             raise lakehouse.Reject("/minutes", "is over 20", nearest=[20])
    ...     try:
    ...         lake.create(Event, "BCN: delayed 25 minutes.", max_retries=1)
    ...     except lakehouse.Exhausted as error:
    ...         print(*error.findings)
    /minutes: is over 20; nearest: 20
    """

    def __init__(self, path: str, message: str, *, nearest: Sequence[object] = ()) -> None:
        super().__init__(path, message)
        self.path = path
        self.message = message
        self.nearest = nearest

    def __str__(self) -> str:
        return f"{self.path or 'the answer'}: {self.message}"


class RegisteredCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A check of a type. `name` is `package.module:function`.

    `digest` is that of the function's source, `sha256:` and hex; None where there is no source.
    """

    type_: Any
    function: Callable[..., Any]
    name: str
    digest: str | None
    is_async: bool
    takes_context: bool
    timeout_ms: int


class CheckRegistry:
    """The checks of one client, in the order in which they came."""

    def __init__(self) -> None:
        self._checks: list[RegisteredCheck] = []

    def add(
        self, type_: Any, function: Callable[..., Any], *, timeout_ms: int | None = None
    ) -> RegisteredCheck:
        """Register a check for a type. It may take `timeout_ms` for one answer, 10 s by default.

        In a notebook, a function that is defined again under its name takes the place of the
        earlier one, so that a cell can run twice.

        Raises:
            SetupError: It cannot be a check, or it is one of this type already.
        """
        name = name_of(function)
        if any(one.function == function and one.type_ == type_ for one in self._checks):
            raise SetupError(
                f"{name!r} is registered twice as a check of the same type.",
                hint="Register each check once: it would run twice for every answer.",
            )
        if timeout_ms is None:
            timeout_ms = CHECK_MS_DEFAULT
        elif type(timeout_ms) is not int or not 1 <= timeout_ms <= CHECK_MS_MAX:
            raise SetupError(
                f"timeout_ms of the check {name!r} is {timeout_ms!r}; allowed is a whole number "
                f"from 1 to {CHECK_MS_MAX}."
            )
        is_async = _is_async(function, name)
        check = RegisteredCheck(
            type_=type_,
            function=function,
            name=name,
            digest=_digest(function),
            is_async=is_async,
            takes_context=_takes_context(function, name),
            timeout_ms=timeout_ms,
        )
        if _is_interactive():
            self._checks = [one for one in self._checks if not _is_same(one, check)]
        self._checks.append(check)
        return check

    def of(self, type_: Any) -> tuple[RegisteredCheck, ...]:
        """Return the checks of a type, and of the classes that it is derived from.

        A check of `Event` reads a `LateEvent(Event)` and an `Annotated[Event, …]` too, since each
        is an `Event`; one of `Page` reads a `Page[Event]`. It does not read a `list[Event]`, which
        is no `Event`, nor TypedDicts that are derived, which keep no record of it.
        """
        return tuple(one for one in self._checks if _is_read(type_, one.type_))


def _is_interactive() -> bool:
    return hasattr(sys, "ps1") or "get_ipython" in vars(sys.modules["__main__"])


def _is_same(one: RegisteredCheck, other: RegisteredCheck) -> bool:
    named = one.name.startswith("__main__:") and "<" not in one.name
    return named and one.name == other.name and bool(one.type_ == other.type_)


def checkable(type_: Any) -> None:
    """Check that checks can belong to it: a type, or a class that types are derived from.

    Raises:
        SetupError: It is neither: a check of it would never run.
    """
    if inspect.isroutine(type_):
        raise SetupError(
            f"check() got the function {name_of(type_)!r}, and must get the type that it checks.",
            hint="Write @lake.check(Event) above the function.",
        )
    # Of a generic class every form is checked.
    if not isinstance(type_, type) and not getattr(type_, "__parameters__", ()):
        type_of(type_)


def checks_text(checks: Sequence[RegisteredCheck]) -> str:
    """Name checks for a row: `package.module:function sha256:…`, joined by `, `.

    Over 4 KiB it is their names, with one digest of the whole text; and if even these are too long,
    their number with that digest.
    """
    text = ", ".join(one.name + (f" {one.digest}" if one.digest else "") for one in checks)
    whole = f" sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    if not _is_long(text):
        return text
    names = ", ".join(one.name for one in checks) + whole
    return f"{len(checks)} checks{whole}" if _is_long(names) else names


def name_of(function: object) -> str:
    """Name a function as `package.module:function`; an object by its class."""
    named: Any = _written(function)
    if not hasattr(named, "__qualname__"):
        named = type(named)
    return f"{getattr(named, '__module__', None) or '?'}:{named.__qualname__}"


def file_of(function: object) -> str | None:
    """Return the file that the code of a check stands in, as tracebacks name it."""
    code = getattr(_body(function), "__code__", None)
    return code.co_filename if isinstance(code, types.CodeType) else None


def _is_long(text: str) -> bool:
    return len(text.encode()) > CHECKS_NAMED_BYTES_MAX


def _is_read(type_: Any, by: Any) -> bool:
    if type_ == by:
        return True
    while typing.get_origin(type_) is typing.Annotated:
        type_ = type_.__origin__
    origin = typing.get_origin(type_) or type_
    # Not `issubclass`, which an abstract class answers as it likes.
    return type_ == by or (isinstance(origin, type) and by in origin.__mro__)


def _written(function: Any) -> Any:
    """Return what a person wrote: the function inside partials and wrappers."""
    for _ in range(_WRAPPERS_MAX):
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            break
    return function


def _body(function: object) -> Any:
    """Return the function whose code runs: of an object that is called, its `__call__`."""
    written = _written(function)
    if inspect.isroutine(written):
        return getattr(written, "__func__", written)
    return _written(getattr(type(written), "__call__", None))  # noqa: B004  it is read, not asked


def _digest(function: object) -> str | None:
    written = _written(function)
    try:
        source = inspect.getsource(written if inspect.isroutine(written) else type(written))
    except (OSError, TypeError, SyntaxError):
        return None
    return f"sha256:{hashlib.sha256(source.encode()).hexdigest()}"


def _is_async(function: Any, name: str) -> bool:
    if not callable(function) or isinstance(function, type):
        said = f"{name!r} is a class" if isinstance(function, type) else f"{function!r} is none"
        raise SetupError(f"A check is a function; {said}.", hint=_FORMS)
    called = function.func if isinstance(function, functools.partial) else function
    if not inspect.isroutine(called):
        called = type(called).__call__
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        raise SetupError(
            f"The check {name!r} is a generator: calling it would check nothing.",
            hint="Remove `yield`. To reject, raise lakehouse.Reject.",
        )
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def _takes_context(function: Callable[..., Any], name: str) -> bool:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise SetupError(
            f"The parameters of the check {name!r} are not known: {error}", hint=_FORMS
        ) from error
    given = [one for one in parameters if one.kind <= one.POSITIONAL_OR_KEYWORD]
    open_ended = any(one.kind is one.VAR_POSITIONAL for one in parameters)
    variable = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    needed = [one for one in parameters if one.default is one.empty and one.kind not in variable]
    if open_ended or not given or len(needed) > 2 or any(one not in given for one in needed):
        raise SetupError(
            f"The check {name!r} takes {inspect.signature(function)}; it is called with the "
            "instance, or with the instance and the context.",
            hint=_FORMS + (" A wrapper needs functools.wraps." if open_ended else ""),
        )
    # A second parameter with a default is the function's own, except by this name.
    return len(given) > 1 and (given[1] in needed or given[1].name == "context")
