"""Checks the artifacts of one call against a type of Python and the checks that belong to it."""

import asyncio
import contextlib
import inspect
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from itertools import islice
from pathlib import PurePath
from threading import current_thread, main_thread
from typing import Any, Final, Generic, NoReturn, Protocol, TypeVar

from lakehouse.core.errors import InfraError
from lakehouse.core.json_text import ENCODER, JsonValue, parse_bytes, pointer_parts
from lakehouse.core.kind import ModelFault
from lakehouse.core.limits import CHECK_MS_DEFAULT, NEAREST_MAX
from lakehouse.library.check_threads import CallEnd, CheckThreads
from lakehouse.library.checks import RegisteredCheck, Reject, file_of
from lakehouse.output_types.reading import WRAPPED_MEMBER, InvalidArtifact

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_TEXT_CHARS_MAX: Final = 2_000
_REJECT_HINT: Final = "To reject an answer, raise lakehouse.Reject."

# Tasks of checks that were given up: the loop alone would not keep them until they end.
_given_up: set["asyncio.Task[CallEnd[Any]]"] = set()


class ReadsArtifacts(Protocol[T_co]):
    """The part of an `OutputType` that is needed here."""

    @property
    def name(self) -> str: ...

    @property
    def wrapped(self) -> bool: ...

    @property
    def has_code(self) -> bool: ...

    def read(self, artifact: bytes, *, context: object = None) -> T_co: ...


class TypeCheck(Generic[T]):
    """The `ArtifactCheck` of one call: it reads each artifact, and runs the checks on the instance.

    The type's own validators run first, in a thread if there are any; only an instance reaches the
    checks. All of them run, at the same time: blocking ones in threads, asynchronous ones on this
    loop, which they must not block. All of them get the same instance, and so does the caller, with
    whatever a check changed in it: a check must change nothing. Each has a time limit. Not for two
    artifacts at the same time.
    """

    def __init__(
        self,
        output: ReadsArtifacts[T],
        checks: Sequence[RegisteredCheck],
        context: object,
        threads: CheckThreads,
    ) -> None:
        self._output = output
        self._checks = checks
        self._context = context
        self._threads = threads
        self._passed: tuple[T] | None = None

    @property
    def value(self) -> T:
        """The instance of the last artifact, which passed.

        Raises:
            LookupError: It did not pass, or there was none.
        """
        if self._passed is None:
            raise LookupError("no artifact has passed the checks")
        return self._passed[0]

    def only_reading(self) -> "TypeCheck[T]":
        """Return the same without the checks: it reads artifacts, by the type's validators."""
        return TypeCheck(self._output, (), self._context, self._threads)

    async def faults(self, artifact: bytes) -> list[ModelFault]:
        self._passed = None
        try:
            instance = await self._read(artifact)
        except InvalidArtifact as error:
            return error.faults
        found: list[ModelFault] = []
        if self._checks:
            rejected = await self._rejected(instance)
            if any(rejected):
                value = parse_bytes(artifact)
                for check, rejects in zip(self._checks, rejected, strict=True):
                    found += [self._fault(check, reject, value) for reject in rejects]
        if not found:
            self._passed = (instance,)
        return found

    def close(self) -> None:
        """Do nothing: the threads are the client's."""

    async def _read(self, artifact: bytes) -> T:
        read = partial(self._output.read, artifact, context=self._context)
        what = f"The validators of {self._output.name!r}"
        if self._output.has_code:
            with _time_limit(what, CHECK_MS_DEFAULT, "Make them cheaper: each answer needs them."):
                ended = await self._threads.run(read, timeout_ms=CHECK_MS_DEFAULT)
        else:
            ended = _called(read)
        if isinstance(ended.error, InvalidArtifact):
            raise ended.error
        if ended.error is not None:
            raise InfraError(
                "rule_broken",
                f"{what} raised {_told(ended.error, None)}.",
                hint="A validator must reject with ValueError or AssertionError.",
            ) from ended.error
        return ended.value  # type: ignore[return-value]  # None only where the type has it

    async def _rejected(self, instance: T) -> list[list[Reject]]:
        """Return what each check rejects; the first check that breaks ends the others."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._run(check, instance)) for check in self._checks]
        except BaseExceptionGroup as broken:
            raise broken.exceptions[0] from broken.exceptions[0].__cause__
        return [task.result() for task in tasks]

    async def _run(self, check: RegisteredCheck, instance: T) -> list[Reject]:
        given = (instance, self._context) if check.takes_context else (instance,)
        call = partial(check.function, *given)
        hint = "Make it cheaper, or raise its timeout_ms: it runs for every answer."
        with _time_limit(f"The check {check.name!r}", check.timeout_ms, hint):
            if check.is_async:
                ended = await _awaited(call, check.timeout_ms)
            else:
                ended = await self._threads.run(call, timeout_ms=check.timeout_ms)
        return _rejects(check, ended)

    def _fault(self, check: RegisteredCheck, reject: Reject, value: JsonValue) -> ModelFault:
        try:
            place = _place(reject.path, value, wrapped=self._output.wrapped)
            return ModelFault(place, _message(reject.message), _nearest(reject.nearest))
        except Exception as error:  # whatever the values of others raise
            line = _line(reject, check)
            raise InfraError(
                "rule_broken",
                f"The check {check.name!r} raised a Reject that cannot be used: {error}{line}"[
                    :_TEXT_CHARS_MAX
                ],
                hint='Write Reject("/member", "what is wrong", nearest=["text", 5]).',
            ) from error


@contextlib.contextmanager
def _time_limit(what: str, timeout_ms: int, hint: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise InfraError(
            "timeout",
            f"{what} took longer than {timeout_ms} ms.",
            hint=hint,
        ) from error


def _called(call: Callable[[], T]) -> CallEnd[T]:
    try:
        return CallEnd(call())
    except BaseException as error:  # as in a thread: what leaves the loop would end it, unseen
        if isinstance(error, KeyboardInterrupt) and current_thread() is main_thread():
            raise  # Ctrl-C
        return CallEnd(error=error)


async def _awaited(call: Callable[[], Awaitable[Any]], timeout_ms: int) -> CallEnd[Any]:
    """Await an asynchronous check. One that is given up is cancelled, and not waited for."""
    task = asyncio.create_task(_guarded(call))
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout_ms / 1000)
    finally:
        if not task.done():
            _given_up.add(task)
            task.add_done_callback(_given_up.discard)
            task.cancel()
    if not done:
        raise TimeoutError
    if task.cancelled():  # by the check itself
        return CallEnd(error=asyncio.CancelledError())
    raised = task.exception()
    return task.result() if raised is None else CallEnd(error=raised)


async def _guarded(call: Callable[[], Awaitable[Any]]) -> CallEnd[Any]:
    # Inside the task: a SystemExit or KeyboardInterrupt that leaves a task ends its loop.
    try:
        return CallEnd(await call())
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001  whatever it is, it is the check's
        return CallEnd(error=error)


def _rejects(check: RegisteredCheck, ended: CallEnd[Any]) -> list[Reject]:
    error = ended.error
    if error is None:
        if ended.value is not None:
            _broken_by_value(check, ended.value)
        return []
    if isinstance(error, Reject):
        return [error]
    if isinstance(error, BaseExceptionGroup):
        leaves = _leaves(error)
        rejects = [one for one in leaves if isinstance(one, Reject)]
        if len(rejects) == len(leaves):
            return rejects
        error = next(one for one in leaves if not isinstance(one, Reject))
    raise InfraError(
        "rule_broken",
        f"The check {check.name!r} raised {_told(error, check)}.",
        hint=f"Correct the check. {_REJECT_HINT}",
    ) from ended.error


def _broken_by_value(check: RegisteredCheck, value: object) -> NoReturn:
    if inspect.isawaitable(value):
        told, hint = f"an awaitable {type(value).__name__!r}", "Write it as `async def`."
        if inspect.iscoroutine(value):
            value.close()
    else:
        told, hint = repr(value) if isinstance(value, bool) else f"a {type(value).__name__!r}", ""
    raise InfraError(
        "rule_broken",
        f"The check {check.name!r} returned {told}; a check must return None or raise Reject.",
        hint=hint or _REJECT_HINT,
    )


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for one in group.exceptions:
        found += _leaves(one) if isinstance(one, BaseExceptionGroup) else [one]
    return found


def _told(error: BaseException, check: RegisteredCheck | None) -> str:
    text = ""
    with contextlib.suppress(Exception):
        text = str(error)
    where = _line(error, check)
    told = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return told[: _TEXT_CHARS_MAX - len(where)] + where


def _line(error: BaseException, check: RegisteredCheck | None) -> str:
    """Name the last line in the check's own file, or else the last of all, without its path."""
    frames = [(f.f_code.co_filename, line) for f, line in traceback.walk_tb(error.__traceback__)]
    frames = [one for one in frames if one[0] not in _OWN_FILES]
    if not frames:
        return ""
    own = None if check is None else file_of(check.function)
    file, line = next((one for one in reversed(frames) if one[0] == own), frames[-1])
    return f" ({PurePath(file).name}, line {line})"


_OWN_FILES: Final = frozenset({__file__, CheckThreads.run.__code__.co_filename})


def _place(path: object, value: JsonValue, *, wrapped: bool) -> tuple[str | int, ...]:
    """Return the place of a pointer in an answer; it may be a member that the answer left out."""
    if not isinstance(path, str):
        raise TypeError(f"the path is {path!r}; it must be a text")
    parts = pointer_parts(path)
    path.encode()  # a lone surrogate cannot stand in a row
    if wrapped and parts and parts[0] != WRAPPED_MEMBER:
        raise ValueError(
            f"the path {path!r} leads nowhere: the answer is an object with the member "
            f"{WRAPPED_MEMBER!r}, so write '/{WRAPPED_MEMBER}{path}'"
        )
    place: list[str | int] = []
    for index, part in enumerate(parts):
        if isinstance(value, dict):
            place.append(part)
            if part not in value:
                return (*place, *parts[index + 1 :])
            value = value[part]
            continue
        items = value if isinstance(value, list) else []
        item = {str(one): one for one in range(len(items))}.get(part)
        if item is None:
            raise ValueError(f"the path {path!r} leads nowhere in the answer, at {part!r}")
        place.append(item)
        value = items[item]
    return tuple(place)


def _message(message: object) -> str:
    if not isinstance(message, str) or not message.strip():
        raise ValueError(f"the message is {message!r}; it must say what is wrong")
    message.encode()
    return message


def _nearest(nearest: Sequence[object]) -> bytes:
    """Encode the nearest values: a list of texts and numbers, as rows have them."""
    if isinstance(nearest, str | bytes):
        raise TypeError(f"nearest is {nearest!r}; it must be a list")
    values = list(islice(nearest, NEAREST_MAX))
    for value in values:
        read = parse_bytes(ENCODER.encode(value))
        if isinstance(read, bool) or not isinstance(read, str | int | float | Decimal):
            raise TypeError(f"nearest has {value!r}; allowed are texts and numbers")
    return ENCODER.encode(values) if values else b""
