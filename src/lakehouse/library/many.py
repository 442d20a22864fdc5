"""Many calls for instances of one type, some at a time, with their outcomes in order."""

import asyncio
import os
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sized,
)
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar, get_type_hints

import msgspec

from lakehouse.core.errors import InfraError
from lakehouse.core.ports import KindInfo
from lakehouse.core.wording import shown
from lakehouse.library.errors import Exhausted, Refused, failure_of, told
from lakehouse.library.in_process import closed
from lakehouse.library.loop_thread import LoopThread, result_of
from lakehouse.library.request import CreateOptions, Prompt, check_names
from lakehouse.library.resume_file import AHEAD_MAX, ItemDigests, ResumeFile, asked_by
from lakehouse.library.session import Session
from lakehouse.library.typed_call import TypedCall

T = TypeVar("T")

Prompts = Iterable[Prompt]
AnyPrompts = Iterable[Prompt] | AsyncIterable[Prompt]

_CONCURRENCY: Final = 16
_CONCURRENCY_MAX: Final = 1_024
_AHEAD: Final = AHEAD_MAX // _CONCURRENCY_MAX  # items that wait or have ended, for each that runs
_HINT: Final = "help(lakehouse.ManyOptions) describes the arguments of create_many."
_PER_ITEM: Final = ("messages", "session_id")


class Outcome(msgspec.Struct, Generic[T], frozen=True, kw_only=True, eq=False):
    """How one item ended: with `value`, or with `error`. `index` counts the items from 0.

    `session` is None where there was none: the item was refused, or its server was out of reach.
    """

    index: int
    value: T | None = None
    error: Exhausted | InfraError | Refused | None = None
    session: Session | None = None

    @property
    def ok(self) -> bool:
        return self.error is None

    def unwrap(self) -> T:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None only where the type has it


class ProgressBar(Protocol):
    """A bar with the method of tqdm's."""

    def update(self, n: int, /) -> object: ...


Told = Callable[[Outcome[Any]], object]


class ManyOptions(CreateOptions, total=False):
    """Further arguments of `create_many`: those of `create`, for every item, and these.

    `messages` and `session_id` are not allowed: every item has its own.

    Attributes:
        concurrency: Sessions at once, 1 to 1,024; 16 if left out.
        progress: True for a bar on stderr (one line at the end if that is no terminal), an object
            with tqdm's `update`, or a function that is called with each `Outcome`.
        resume: A file to append each outcome to, and to continue from.
    """

    concurrency: int
    progress: bool | ProgressBar | Told
    resume: str | os.PathLike[str] | None


class Batch(Generic[T]):
    """One `create_many`. Its arguments are checked when it is made; nothing runs before it is read.

    `call` makes the call of a prompt, `run` runs it to its end, `kinds` lists the kinds.
    """

    def __init__(
        self,
        prompts: object,
        options: Mapping[str, Any],
        *,
        call: Callable[[Any, Mapping[str, Any]], TypedCall[T]],
        run: Callable[[TypedCall[T]], Awaitable[Session]],
        kinds: Callable[[], Awaitable[tuple[KindInfo, ...]]],
    ) -> None:
        """Check the arguments.

        Raises:
            Refused: One is invalid; names it, its value and what is allowed.
            SetupError: The type cannot be used.
        """
        check_names(options, _NAMES)
        self._options = {name: value for name, value in options.items() if name not in _OWN}
        for name in _PER_ITEM:
            if self._options.get(name) is not None:
                raise _invalid(f"`{name}` cannot be set: every item has its own.")
        self._prompts = _iterable(prompts)
        concurrency = _concurrency(options.get("concurrency", _CONCURRENCY))
        self._ahead = concurrency * _AHEAD
        self._slots = asyncio.Semaphore(concurrency)
        self._progress = _progress(options.get("progress", False))
        self._path = _path(options.get("resume"))
        self._file: ResumeFile | None = None
        self._kind_digest = ""
        self._call, self._run, self._kinds = call, run, kinds
        call("any", self._options)

    async def outcomes(self) -> AsyncGenerator[Outcome[T], None]:
        """Yield the outcomes in order. Closing it early cancels what runs."""
        tasks: set[asyncio.Task[Any]] = set()
        begun: asyncio.Queue[asyncio.Task[Outcome[T]] | None] = asyncio.Queue()
        room = asyncio.Semaphore(self._ahead)

        def start(work: Any) -> asyncio.Task[Any]:
            task = asyncio.create_task(work)
            tasks.add(task)
            task.add_done_callback(ended)
            return task

        def ended(task: asyncio.Task[Any]) -> None:
            tasks.discard(task)
            if not task.cancelled():
                task.exception()  # only the first is raised: the others are not worth a warning

        async def feed() -> None:
            prompts, index = _pulled(self._prompts), 0
            while True:
                await room.acquire()
                try:
                    prompt = await anext(prompts)
                except StopAsyncIteration:
                    return
                begun.put_nowait(start(self._outcome(index, prompt)))
                index += 1

        try:
            await self._begin()
            with self._telling() as tell:
                feeder = start(feed())
                feeder.add_done_callback(lambda _: begun.put_nowait(None))
                while (task := await begun.get()) is not None:
                    if not task.done():
                        await asyncio.wait({task})  # which does not cancel it before the others
                    outcome = task.result()
                    room.release()
                    tell(outcome)
                    yield outcome
                await feeder
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(set(tasks))
            if self._file is not None:
                with told():
                    await asyncio.to_thread(self._file.close)

    def outcomes_in(self, loop: LoopThread) -> Generator[Outcome[T], None, None]:
        """Return the outcomes of items that run in a loop; prompts are taken where it is read.

        Raises:
            Refused: The prompts can only be taken in a loop.
        """
        if isinstance(self._prompts, AsyncIterable):
            raise _invalid(
                "`prompts` is an async iterable, which this client cannot read.",
                hint="Use a client of lakehouse.open_async() or connect_async().",
            )
        return self._outcomes_in(loop, iter(self._prompts))

    def _outcomes_in(
        self, loop: LoopThread, prompts: Iterator[Any]
    ) -> Generator[Outcome[T], None, None]:
        running: deque[Future[Outcome[T]]] = deque()
        loop.run(self._begin())
        try:
            with self._telling() as tell:
                taken, failure, is_open = 0, None, True
                while True:
                    before = taken
                    while is_open and len(running) < self._ahead:
                        # Each outcome waits for one prompt at most, however slow they come.
                        if taken > before and running[0].done():
                            break
                        try:
                            prompt = next(prompts)
                        except StopIteration:
                            is_open = False
                        except Exception as error:  # noqa: BLE001  theirs, raised below
                            is_open, failure = False, error
                        else:
                            running.append(loop.submit(self._outcome(taken, prompt)))
                            taken += 1
                    if not running:
                        break
                    outcome = _result(running[0])
                    running.popleft()
                    tell(outcome)
                    yield outcome
                if failure is not None:
                    raise failure
        finally:
            loop.cancel(*running)
            if self._file is not None:
                with told():
                    self._file.close()

    async def _begin(self) -> None:
        if self._path is None:
            return
        with told():
            kind = self._options.get("kind")
            if kind is not None:
                found = [one.digest for one in await self._kinds() if one.name == kind]
                self._kind_digest = "".join(found)
            self._file = await asyncio.to_thread(ResumeFile, self._path)

    async def _outcome(self, index: int, prompt: object) -> Outcome[T]:
        """Run one item, when there is a slot for it.

        Raises:
            LakehouseError: No other item can run either.
        """
        async with self._slots:
            asked: ItemDigests | None = None
            session: Session | None = None
            try:
                with told():
                    call = self._call(prompt, self._options)
                    if self._file is not None:
                        asked = asked_by(call, self._kind_digest)
                        earlier = await self._earlier(self._file, index, asked, call)
                        if earlier is not None:
                            return earlier
                    session = await self._run(call)
                    if session.verdict != "accepted":
                        raise failure_of(session)
            except (Exhausted, InfraError, Refused) as error:
                failed: Outcome[T] = Outcome(
                    index=index,
                    error=error.with_traceback(None),  # whose frames would be kept with it
                    session=session,
                )
                return self._kept(asked, failed)
            value = call.check.value
            return self._kept(asked, Outcome(index=index, value=value, session=session))

    async def _earlier(
        self, file: ResumeFile, index: int, asked: ItemDigests, call: TypedCall[T]
    ) -> Outcome[T] | None:
        """Return how an item ended in an earlier run; None if it must run."""
        known = file.known(index, asked)
        if known is None:
            return None
        session = known.session
        if session.verdict != "accepted":
            return Outcome(index=index, error=Exhausted(session), session=session)
        check = call.check.only_reading() if known.same_code else call.check
        if await check.faults(session.artifact_json):
            return None
        return Outcome(index=index, value=check.value, session=session)

    def _kept(self, asked: ItemDigests | None, outcome: Outcome[T]) -> Outcome[T]:
        if self._file is not None:
            with told():
                self._file.add(outcome.index, asked, outcome.session, outcome.error)
        return outcome

    @contextmanager
    def _telling(self) -> Iterator[Told]:
        if self._progress is not True:
            yield self._progress or _nothing
            return
        # Rich is loaded only by who wants to see something.
        from lakehouse.library.progress import shown_progress  # noqa: PLC0415  see above

        prompts = self._prompts
        with shown_progress(len(prompts) if isinstance(prompts, Sized) else None) as tell:
            yield tell


_OWN: Final = frozenset({"concurrency", "progress", "resume"})
_NAMES: Final = get_type_hints(ManyOptions).keys() | {"response_model"}


def _pulled(prompts: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    return aiter(prompts) if isinstance(prompts, AsyncIterable) else _in_turn(prompts)


async def _in_turn(prompts: Iterable[Any]) -> AsyncIterator[Any]:
    for prompt in prompts:
        yield prompt
        await asyncio.sleep(0)  # so that an endless source does not keep the loop


def _result(future: "Future[Outcome[T]]") -> Outcome[T]:
    try:
        return result_of(future)
    except CancelledError:
        raise closed() from None


def _nothing(outcome: Outcome[Any]) -> None:
    """Tell nobody."""


def _iterable(prompts: object) -> Iterable[Any] | AsyncIterable[Any]:
    if isinstance(prompts, str | bytes | Mapping) or not isinstance(
        prompts, Iterable | AsyncIterable
    ):
        raise _invalid(
            f"`prompts` is {shown(prompts)}; it must be an iterable of prompts, each a text or a "
            "list of messages.",
            hint="Write one prompt as [prompt].",
        )
    return prompts


def _concurrency(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _CONCURRENCY_MAX:
        return value
    raise _invalid(f"`concurrency` is {shown(value)}; allowed is 1 to {_CONCURRENCY_MAX:,}.")


def _progress(value: Any) -> Told | bool | None:
    if value is None or isinstance(value, bool):
        return value
    update = getattr(value, "update", None)
    if callable(update):
        return lambda _: update(1)
    if callable(value):
        return value  # type: ignore[no-any-return]  # a function of theirs
    raise _invalid(
        f"`progress` is {shown(value)}; it must be true, false, a function, or an object with the "
        "method `update`, such as tqdm's."
    )


def _path(value: object) -> Path | None:
    if value is None:
        return None
    if isinstance(value, str | os.PathLike) and str(value):
        return Path(value)
    raise _invalid(f"`resume` is {shown(value)}; it must be the path of a file.")


def _invalid(message: str, *, hint: str = _HINT) -> Refused:
    return Refused("invalid_request", message, hint=hint)
