"""The client for plain Python: `lakehouse.open` and `lakehouse.connect`."""

import atexit
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar, Unpack, cast, overload

from lakehouse.core.chat import ModelStatus
from lakehouse.core.errors import SetupError
from lakehouse.core.ports import KindInfo
from lakehouse.core.wording import shown
from lakehouse.library.async_lake import AsyncLake
from lakehouse.library.checks import CheckRegistry
from lakehouse.library.errors import told
from lakehouse.library.hooks import Hook, Hooks
from lakehouse.library.in_process import closed
from lakehouse.library.loop_thread import LoopThread
from lakehouse.library.many import ManyOptions, Outcome, Prompts
from lakehouse.library.request import CreateOptions, IterateFields, Prompt
from lakehouse.library.runner import SessionRunner
from lakehouse.library.session import Session, SessionAttempt

if TYPE_CHECKING:
    from typing_extensions import TypeForm

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Lake:
    """The methods of `AsyncLake`, for callers that wait. Safe to share between threads.

    Its event loop runs in a thread of its own, so that it works in a script, a notebook and a
    thread pool. A forked process gets its own: a writer of the log too. Ctrl-C ends the running
    call as a cancelled one ends.
    """

    def __init__(self, open_runner: Callable[[], SessionRunner]) -> None:
        """Start it.

        Raises:
            SetupError: The configuration or the address cannot be used.
        """
        if not callable(cast("object", open_runner)):
            with told():
                raise SetupError(
                    f"Lake() is given {shown(open_runner)}.",
                    hint="Open a client with lakehouse.open() or lakehouse.connect().",
                )
        self._open_runner = open_runner
        self._checks = CheckRegistry()
        self._hooks = Hooks()
        self._inner = _Inner()
        self._closed = False
        weakref.finalize(self, _close, self._inner).atexit = False  # `_close_all` comes before
        _LAKES.add(self)
        with told():
            self._running()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @overload
    def create(
        self, output_type: type[T], prompt: Prompt | None = None, **options: Unpack[CreateOptions]
    ) -> T: ...
    @overload
    def create(
        self,
        output_type: Mapping[str, Any],
        prompt: Prompt | None = None,
        **options: Unpack[CreateOptions],
    ) -> Any: ...
    @overload
    def create(
        self,
        output_type: "TypeForm[T]",
        prompt: Prompt | None = None,
        **options: Unpack[CreateOptions],
    ) -> T: ...
    @overload
    def create(self, *, response_model: type[T], **options: Unpack[CreateOptions]) -> T: ...
    def create(self, output_type: Any = None, prompt: Any = None, **options: Any) -> Any:
        """Return an instance of a type that passed every check. See `AsyncLake.create`.

        >>> with lakehouse.open() as lake:
        ...     lake.create(Event, "BCN Barcelona: VY3901 delayed 25 minutes.", max_retries=1)
        Event(airport='BCN', minutes=25)
        """
        return self._wait(lambda lake: lake.create(output_type, prompt, **options))

    @overload
    def create_with_session(
        self, output_type: type[T], prompt: Prompt | None = None, **options: Unpack[CreateOptions]
    ) -> tuple[T, Session]: ...
    @overload
    def create_with_session(
        self,
        output_type: Mapping[str, Any],
        prompt: Prompt | None = None,
        **options: Unpack[CreateOptions],
    ) -> tuple[Any, Session]: ...
    @overload
    def create_with_session(
        self,
        output_type: "TypeForm[T]",
        prompt: Prompt | None = None,
        **options: Unpack[CreateOptions],
    ) -> tuple[T, Session]: ...
    @overload
    def create_with_session(
        self, *, response_model: type[T], **options: Unpack[CreateOptions]
    ) -> tuple[T, Session]: ...
    def create_with_session(
        self, output_type: Any = None, prompt: Any = None, **options: Any
    ) -> tuple[Any, Session]:
        """Return the instance as `create` does, and its session.

        >>> with lakehouse.open() as lake:
        ...     event, session = lake.create_with_session(Event, "BCN: delayed 25 minutes.")
        >>> session.verdict, session.iterations, [str(one) for one in session.attempts[0].findings]
        ('accepted', 2, ['/airport: "BCX" is not in airports.iata; nearest: "BCN", "BOS"'])
        """
        return self._wait(lambda lake: lake.create_with_session(output_type, prompt, **options))

    @overload
    def stream(
        self, output_type: type[T], prompt: Prompt | None = None, **options: Unpack[CreateOptions]
    ) -> Generator[SessionAttempt | T, None, None]: ...
    @overload
    def stream(
        self,
        output_type: Mapping[str, Any],
        prompt: Prompt | None = None,
        **options: Unpack[CreateOptions],
    ) -> Generator[Any, None, None]: ...
    @overload
    def stream(
        self,
        output_type: "TypeForm[T]",
        prompt: Prompt | None = None,
        **options: Unpack[CreateOptions],
    ) -> Generator[SessionAttempt | T, None, None]: ...
    @overload
    def stream(
        self, *, response_model: type[T], **options: Unpack[CreateOptions]
    ) -> Generator[SessionAttempt | T, None, None]: ...
    def stream(
        self, output_type: Any = None, prompt: Any = None, **options: Any
    ) -> Generator[Any, None, None]:
        """Yield each attempt when it is judged, and at last the checked instance.

        Never yields an unchecked part. Closing it early cancels the call. Raises as `create`.

        >>> with lakehouse.open() as lake:
        ...     for one in lake.stream(Event, "BCN Barcelona: VY3901 delayed 25 minutes."):
        ...         print(one if isinstance(one, Event) else one.outcome)
        rejected
        accepted
        Event(airport='BCN', minutes=25)
        """
        loop, lake = self._running()
        items = lake.stream(output_type, prompt, **options)
        try:
            while (item := loop.run(_next(items))) is not _END:
                yield item
        finally:
            loop.finish(items.aclose())

    @overload
    def create_many(
        self, output_type: type[T], prompts: Prompts | None = None, **options: Unpack[ManyOptions]
    ) -> Generator[Outcome[T], None, None]: ...
    @overload
    def create_many(
        self,
        output_type: Mapping[str, Any],
        prompts: Prompts | None = None,
        **options: Unpack[ManyOptions],
    ) -> Generator[Outcome[Any], None, None]: ...
    @overload
    def create_many(
        self,
        output_type: "TypeForm[T]",
        prompts: Prompts | None = None,
        **options: Unpack[ManyOptions],
    ) -> Generator[Outcome[T], None, None]: ...
    @overload
    def create_many(
        self, *, response_model: type[T], prompts: Prompts, **options: Unpack[ManyOptions]
    ) -> Generator[Outcome[T], None, None]: ...
    def create_many(
        self, output_type: Any = None, prompts: Any = None, **options: Any
    ) -> Generator[Outcome[Any], None, None]:
        """Yield an `Outcome` for each prompt, in order, and run some of them at a time.

        >>> with lakehouse.open() as lake:
        ...     notices = ["BCN: delayed 25 minutes.", "BOS: delayed 40 minutes."]
        ...     for outcome in lake.create_many(Event, notices, resume="events.jsonl"):
        ...         print(outcome.index, outcome.value if outcome.ok else outcome.error)
        0 Event(airport='BCN', minutes=25)
        1 Event(airport='BOS', minutes=40)

        The prompts are taken in the caller's thread, one for each outcome, and more while the next
        outcome is not there. See `AsyncLake.create_many`.
        """
        loop, lake = self._running()
        with told():
            return lake.batch(output_type, prompts, options).outcomes_in(loop)

    def iterate(self, **fields: Unpack[IterateFields]) -> Session:
        """Run one session and return how it ended, whatever the verdict.

        Takes the members of `POST /v1/iterate`: `kind` or `schema`, `prompt` or `messages`, ….

        >>> with lakehouse.open() as lake:
        ...     session = lake.iterate(kind="event", prompt="BCN: delayed 25 minutes.")
        >>> session.verdict, session.artifact
        ('accepted', {'airport': 'BCN', 'minutes': 25})
        """
        return self._wait(lambda lake: lake.iterate(**fields))

    def check(self, output_type: Any, *, timeout_ms: int | None = None) -> Callable[[F], F]:
        """Decorate a function that checks every instance of a type. See `AsyncLake.check`.

        >>> lake = lakehouse.open()
        >>> @lake.check(Event)
        ... def is_plausible(event: Event) -> None:
        ...     if event.minutes > 20:
        ...         raise lakehouse.Reject("/minutes", "is over 20")
        >>> lake.create(Event, "BCN: delayed 25 minutes.", max_retries=1)
        Traceback (most recent call last):
        lakehouse.library.errors.Exhausted: No answer was accepted in 2 attempts …
          /minutes: is over 20
        >>> lake.close()
        """
        return self._running()[1].check(output_type, timeout_ms=timeout_ms)

    def on(self, event: Literal["attempt", "session"], hook: Hook) -> None:
        """Call a function with each attempt or session, in the client's own thread.

        See `AsyncLake.on`.

        >>> with lakehouse.open() as lake:
        ...     lake.on("session", lambda session: print(session.verdict, session.iterations))
        ...     event = lake.create(Event, "BCN: delayed 25 minutes.")
        accepted 2
        """
        self._running()[1].on(event, hook)

    def kinds(self) -> tuple[KindInfo, ...]:
        """Return the configured kinds, sorted by name."""
        return self._wait(lambda lake: lake.kinds())

    def models(self) -> tuple[ModelStatus, ...]:
        """Return the configured models and their state, without calling one."""
        return self._wait(lambda lake: lake.models())

    def close(self) -> None:
        """End the client. Sessions that still run after 5 s end as `shutdown`, with a row."""
        self._closed = True
        _close(self._inner)

    def _wait(self, ask: Callable[[AsyncLake], Coroutine[Any, Any, T]]) -> T:
        loop, lake = self._running()
        return loop.run(ask(lake))

    def _running(self) -> tuple[LoopThread, AsyncLake]:
        """Return the loop and the client in it; in a forked process, new ones."""
        parts = self._inner.parts
        if parts is not None:
            return parts
        with self._inner.lock:
            if self._closed:
                raise closed()
            if self._inner.parts is None:
                loop = LoopThread()
                lake = AsyncLake(self._open_runner(), self._checks, self._hooks)
                try:
                    loop.run(lake.__aenter__())
                except BaseException:
                    loop.stop()
                    raise
                self._inner.parts = loop, lake
            return self._inner.parts

    def abandon_in_child(self) -> None:
        """Forget what only the parent of this process may use."""
        self._inner.abandon()


class _Inner:
    """What a client has in one process. Its lock is for starting and ending it."""

    def __init__(self) -> None:
        self.parts: tuple[LoopThread, AsyncLake] | None = None
        self.lock = threading.Lock()
        self._parents: list[object] = []  # kept: their end would touch what the parent uses

    def abandon(self) -> None:
        self._parents.append(self.parts)
        self.parts, self.lock = None, threading.Lock()


_END: Final = object()
_LAKES: "weakref.WeakSet[Lake]" = weakref.WeakSet()


async def _next(items: AsyncGenerator[Any, None]) -> Any:
    return await anext(items, _END)


def _close(inner: _Inner) -> None:
    with inner.lock:
        parts, inner.parts = inner.parts, None
    if parts is not None and parts[0].is_current:  # which a thread cannot wait for
        threading.Thread(target=_end, args=parts, name="lakehouse-close").start()
    elif parts is not None:
        _end(*parts)


def _end(loop: LoopThread, lake: AsyncLake) -> None:
    loop.run(lake.close())
    loop.stop()


def _abandon_all() -> None:
    for lake in list(_LAKES):
        lake.abandon_in_child()


def _close_all() -> None:
    for lake in list(_LAKES):
        lake.close()


os.register_at_fork(after_in_child=_abandon_all)
# At the end of the interpreter, before its executors stop, which closing a client needs: `atexit`
# comes after them. `concurrent.futures` itself registers this way.
_register = getattr(threading, "_register_atexit", atexit.register)
_register(_close_all)
