"""The client for asyncio: `lakehouse.open_async` and `lakehouse.connect_async`."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

from lakehouse.core.chat import ModelStatus
from lakehouse.core.errors import SetupError
from lakehouse.core.ports import KindInfo
from lakehouse.core.session import Attempt, Judged
from lakehouse.library.check_threads import CheckThreads
from lakehouse.library.checks import CheckRegistry, checkable
from lakehouse.library.errors import failure_of, told
from lakehouse.library.hooks import Hook, Hooks
from lakehouse.library.many import AnyPrompts, Batch, ManyOptions, Outcome
from lakehouse.library.request import CreateOptions, IterateFields, Prompt, asked_of
from lakehouse.library.runner import SessionRunner
from lakehouse.library.session import Session, SessionAttempt, plain_attempt
from lakehouse.library.typed_call import TypedCall, typed_call

if TYPE_CHECKING:
    from typing_extensions import TypeForm

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class AsyncLake:
    """Turns prompts into checked instances of types; each call is one session and one row.

    Starts when it is entered, awaited, or first used, and belongs to that event loop. In this
    process, cancelling a call ends its session as `shutdown`, with a row; over HTTP the session
    goes on at the server.

    Every call raises `Refused` if it is not accepted, and `SetupError` if a type, a check or the
    configuration cannot be used; no model is called then.
    """

    def __init__(self, runner: SessionRunner, checks: CheckRegistry, hooks: Hooks) -> None:
        self._runner = runner
        self._checks = checks
        self._hooks = hooks
        self._threads = CheckThreads()
        self._started: asyncio.Future[None] | None = None
        self._pid = os.getpid()

    async def __aenter__(self) -> Self:
        await self._ready()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __await__(self) -> Generator[Any, None, Self]:
        """Start it: `lake = await lakehouse.open_async()`."""
        return self.__aenter__().__await__()

    @overload
    async def create(
        self, output_type: type[T], prompt: Prompt | None = None, **options: Unpack[CreateOptions]
    ) -> T: ...
    @overload
    async def create(
        self,
        output_type: Mapping[str, Any],
        prompt: Prompt | None = None,
        **options: Unpack[CreateOptions],
    ) -> Any: ...
    @overload
    async def create(
        self,
        output_type: "TypeForm[T]",
        prompt: Prompt | None = None,
        **options: Unpack[CreateOptions],
    ) -> T: ...
    @overload
    async def create(self, *, response_model: type[T], **options: Unpack[CreateOptions]) -> T: ...
    async def create(self, output_type: Any = None, prompt: Any = None, **options: Any) -> Any:
        """Return an instance of a type that passed every check.

        Args:
            output_type: A Pydantic model, a dataclass, a TypedDict, a `msgspec.Struct`, a list or a
                union of them, or a JSON Schema as a dict. `response_model` is the same.
            prompt: A text, or a list of messages.
            options: See `CreateOptions`.

        Raises:
            Exhausted: No answer passed in `max_retries` + 1 attempts.
            InfraError: The session could not be judged.
        """
        return (await self.create_with_session(output_type, prompt, **options))[0]

    @overload
    async def create_with_session(
        self, output_type: type[T], prompt: Prompt | None = None, **options: Unpack[CreateOptions]
    ) -> tuple[T, Session]: ...
    @overload
    async def create_with_session(
        self,
        output_type: Mapping[str, Any],
        prompt: Prompt | None = None,
        **options: Unpack[CreateOptions],
    ) -> tuple[Any, Session]: ...
    @overload
    async def create_with_session(
        self,
        output_type: "TypeForm[T]",
        prompt: Prompt | None = None,
        **options: Unpack[CreateOptions],
    ) -> tuple[T, Session]: ...
    @overload
    async def create_with_session(
        self, *, response_model: type[T], **options: Unpack[CreateOptions]
    ) -> tuple[T, Session]: ...
    async def create_with_session(
        self, output_type: Any = None, prompt: Any = None, **options: Any
    ) -> tuple[Any, Session]:
        """Return the instance as `create` does, and its session."""
        with told():
            call = self._call(output_type, prompt, options)
            session = await self._session(call, None)
        return call.check.value, session

    @overload
    def stream(
        self, output_type: type[T], prompt: Prompt | None = None, **options: Unpack[CreateOptions]
    ) -> AsyncGenerator[SessionAttempt | T, None]: ...
    @overload
    def stream(
        self,
        output_type: Mapping[str, Any],
        prompt: Prompt | None = None,
        **options: Unpack[CreateOptions],
    ) -> AsyncGenerator[Any, None]: ...
    @overload
    def stream(
        self,
        output_type: "TypeForm[T]",
        prompt: Prompt | None = None,
        **options: Unpack[CreateOptions],
    ) -> AsyncGenerator[SessionAttempt | T, None]: ...
    @overload
    def stream(
        self, *, response_model: type[T], **options: Unpack[CreateOptions]
    ) -> AsyncGenerator[SessionAttempt | T, None]: ...
    async def stream(
        self, output_type: Any = None, prompt: Any = None, **options: Any
    ) -> AsyncGenerator[Any, None]:
        """Yield each attempt when it is judged, and at last the checked instance.

        Never yields an unchecked part. Closing it early cancels the call. Raises as `create`.
        """
        judged: asyncio.Queue[Attempt | None] = asyncio.Queue()

        def over(session: asyncio.Task[Session]) -> None:
            if not session.cancelled():
                session.exception()  # seen: a stream that was closed before has nothing to warn of
            judged.put_nowait(None)

        with told():
            call = self._call(output_type, prompt, options)
            session = asyncio.create_task(self._session(call, judged.put_nowait))
            session.add_done_callback(over)
            try:
                while (attempt := await judged.get()) is not None:
                    yield plain_attempt(attempt)
                await session
                yield call.check.value
            finally:
                session.cancel()
                await asyncio.wait({session})

    @overload
    def create_many(
        self,
        output_type: type[T],
        prompts: AnyPrompts | None = None,
        **options: Unpack[ManyOptions],
    ) -> AsyncGenerator[Outcome[T], None]: ...
    @overload
    def create_many(
        self,
        output_type: Mapping[str, Any],
        prompts: AnyPrompts | None = None,
        **options: Unpack[ManyOptions],
    ) -> AsyncGenerator[Outcome[Any], None]: ...
    @overload
    def create_many(
        self,
        output_type: "TypeForm[T]",
        prompts: AnyPrompts | None = None,
        **options: Unpack[ManyOptions],
    ) -> AsyncGenerator[Outcome[T], None]: ...
    @overload
    def create_many(
        self, *, response_model: type[T], prompts: AnyPrompts, **options: Unpack[ManyOptions]
    ) -> AsyncGenerator[Outcome[T], None]: ...
    def create_many(
        self, output_type: Any = None, prompts: Any = None, **options: Any
    ) -> AsyncGenerator[Outcome[Any], None]:
        """Yield an `Outcome` for each prompt, in order, and run some of them at a time.

        Prompts are taken when there is room: at most eight times `concurrency` are ahead of the
        outcome that is waited for, so an endless iterable goes too, and memory stays flat. An item
        that fails is an outcome with an `error`; it does not end the others.

        Closing it early cancels what runs, as an error of the iterable or of a `progress` function
        does, which is raised after the outcomes before it: see `contextlib.aclosing`.

        Args:
            output_type: As of `create`. `response_model` is the same.
            prompts: Texts, or lists of messages, in an iterable or an async iterable.
            options: See `ManyOptions`. With `resume`, accepted and exhausted items of an earlier
                run are not run again. The file's answers are read through the type once more, and
                judged by the checks once more if their code or the type's has changed since; what
                fails then runs again.
        """
        return self.batch(output_type, prompts, options).outcomes()

    def batch(self, output_type: Any, prompts: object, options: Mapping[str, Any]) -> Batch[Any]:
        """Return what `create_many` runs, for a caller that reads it in another way."""
        call = partial(self._call, output_type)
        with told():
            return Batch(prompts, options, call=call, run=self._ended, kinds=self.kinds)

    async def iterate(self, **fields: Unpack[IterateFields]) -> Session:
        """Run one session and return how it ended, whatever the verdict.

        Takes the members of `POST /v1/iterate`: `kind` or `schema`, `prompt` or `messages`, ….
        """
        with told():
            request, context = asked_of(fields, {})
            runner = await self._ready()
            reply = await runner.run(request, context, judged=self._judged(None))
        session = Session(reply)
        self._hooks.session(session)
        return session

    def check(self, output_type: Any, *, timeout_ms: int | None = None) -> Callable[[F], F]:
        """Decorate a function that checks every instance of a type.

        It reads what the schema and the type itself accept, beside grounding and rules. It is `def`
        or `async def`, of the instance, or of the instance and the call's `context`. It raises
        `Reject` to reject; any other error ends the session as `rule_broken`. A `def` runs in a
        thread. Its limit is 10 s unless `timeout_ms` says otherwise.

        Raises:
            SetupError: It is no such function.
        """
        with told():
            checkable(output_type)

        def register(function: F) -> F:
            with told():
                self._checks.add(output_type, function, timeout_ms=timeout_ms)
            return function

        return register

    def on(self, event: Literal["attempt", "session"], hook: Hook) -> None:
        """Call a function with each `SessionAttempt` when it is judged, or `Session` at its end.

        It is called in the client's event loop and must return at once; what it raises is logged.
        """
        with told():
            self._hooks.add(event, hook)

    async def kinds(self) -> tuple[KindInfo, ...]:
        """Return the configured kinds, sorted by name."""
        with told():
            return await (await self._ready()).kinds()

    async def models(self) -> tuple[ModelStatus, ...]:
        """Return the configured models and their state, without calling one."""
        with told():
            return await (await self._ready()).models()

    async def close(self) -> None:
        """End the client. Sessions that still run after 5 s end as `shutdown`, with a row."""
        await self._runner.close()
        self._threads.close()

    def _call(self, type_: Any, prompt: object, options: Mapping[str, Any]) -> TypedCall[Any]:
        return typed_call(type_, prompt, options, registry=self._checks, threads=self._threads)

    async def _session(self, call: TypedCall[Any], judged: Judged | None) -> Session:
        """Run a call to its accepted end.

        Raises:
            Exhausted: Or `InfraError`: see `failure_of`.
        """
        session = await self._ended(call, judged)
        if session.verdict != "accepted":
            raise failure_of(session)
        return session

    async def _ended(self, call: TypedCall[Any], judged: Judged | None = None) -> Session:
        """Run a call to its end, whatever the verdict."""
        runner = await self._ready()
        reply = await runner.run(
            call.request, call.context, judged=self._judged(judged), checks=call.checks
        )
        session = Session(reply)
        self._hooks.session(session)
        return session

    def _judged(self, also: Judged | None) -> Judged | None:
        if not self._hooks.see_attempts:
            return also
        hooks = self._hooks

        def judged(attempt: Attempt) -> None:
            hooks.attempt(attempt)
            if also is not None:
                also(attempt)

        return judged

    async def _ready(self) -> SessionRunner:
        """Return the runner, started, in the loop that it belongs to."""
        loop = asyncio.get_running_loop()
        if self._started is None:
            self._started = asyncio.ensure_future(self._runner.start())
        if self._started.get_loop() is not loop or os.getpid() != self._pid:
            raise SetupError(
                "This client was started in another event loop or process.",
                hint="Open one in each: lakehouse.open_async(). The client of lakehouse.open() "
                "works everywhere.",
            )
        if not self._started.done():
            await asyncio.shield(self._started)
        self._started.result()
        return self._runner
