"""The order of a stream: nothing is sent before its outcome, for as long as we can wait.

A reply whose status is held has the true status, which clients act on. Only an answer that takes
longer begins with 200 before its outcome; then comment lines keep the connection alive.
What makes the answer is never cancelled from here: its owner ends it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any, Final, Literal, Protocol

import msgspec

from lakehouse.core.clock import Clock
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.openai_api.failure import DoorFailure, failure_of
from lakehouse.openai_api.fault import schema_fault
from lakehouse.openai_api.reply_headers import Fields, ReplyHeaders
from lakehouse.openai_api.sse import HEARTBEAT, rejection_line
from lakehouse.openai_api.told_answer import ToldAnswer
from lakehouse.transport.response import Response
from lakehouse.transport.stream import ToldFailure

HEARTBEAT_MS: Final = 10_000  # of silence, at most; proxies give up after 60 s or less
_EVENTS: Final = "text/event-stream"
_UNBUFFERED: Final[Fields] = (
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


_Awaited = asyncio.Future[Any]


class StreamEvents(Protocol):
    """The events of one API: an opening without any answer, then one of two ends."""

    def opening(self) -> Iterator[bytes]: ...

    def answered(self, answer: ToldAnswer) -> Iterator[bytes]: ...

    def failed(self, failure: DoorFailure) -> Iterator[bytes]: ...


class ComingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is made elsewhere.

    `outcome` says what a `reply` that is there came to. `rejected` gives the iteration of each
    rejected attempt, and ends with the reply. `verdict` is what is known before the reply is.
    `schema_param` is where the client's schema stands in its body.
    """

    session_id: str
    reply: asyncio.Future[Any]
    outcome: Callable[[Any], ToldAnswer | DoorFailure]
    rejected: AsyncIterator[int]
    verdict: Literal["unchecked"] | None = None
    schema_param: str | None = None


def _alarm(after_s: float) -> asyncio.Future[None]:
    """Set a future after some time; it costs less than a task that sleeps."""
    loop = asyncio.get_running_loop()
    alarm: asyncio.Future[None] = loop.create_future()
    handle = loop.call_later(after_s, _ring, alarm)
    alarm.add_done_callback(lambda _: handle.cancel())
    return alarm


def _ring(alarm: asyncio.Future[None]) -> None:
    if not alarm.done():
        alarm.set_result(None)


class StreamTimes(msgspec.Struct, frozen=True, kw_only=True):
    """When a stream does what. `started_ms` is the request's start.

    `alarm` returns a future that is done after so many seconds.
    """

    clock: Clock
    started_ms: float
    wait_ms: int
    heartbeat_ms: int = HEARTBEAT_MS
    alarm: Callable[[float], asyncio.Future[None]] = _alarm

    def timer(self, ms: int) -> asyncio.Future[None]:
        return self.alarm(ms / 1000)

    def processing_ms(self) -> float:
        return self.clock.monotonic_ms() - self.started_ms


async def held_response(coming: ComingAnswer, events: StreamEvents, times: StreamTimes) -> Response:
    """Wait up to `wait_ms` for the outcome, and return the reply: whole if it is known, else 200.

    The generator of a stream raises `ToldFailure` after it told a failure, so that the
    connection closes without the body's end, even for clients that overlook the event.

    Raises:
        Exception: It failed by a bug of ours within the wait.
    """
    timer = times.timer(times.wait_ms)
    awaited: tuple[_Awaited, ...] = (coming.reply, timer)
    try:
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
    if not coming.reply.done():
        headers = ReplyHeaders(
            session_id=coming.session_id,
            processing_ms=times.processing_ms(),
            verdict=coming.verdict,
        )
        fields = (*headers.fields(), *_UNBUFFERED)
        return Response(200, _streamed(coming, events, times), _EVENTS, fields)
    outcome = _outcome(coming)
    if isinstance(outcome, DoorFailure):
        return outcome.response(times.processing_ms())
    headers = ReplyHeaders.of(outcome, times.processing_ms())
    body = b"".join((*events.opening(), *events.answered(outcome)))
    return Response(200, body, _EVENTS, (*headers.fields(), *_UNBUFFERED))


async def _streamed(
    coming: ComingAnswer, events: StreamEvents, times: StreamTimes
) -> AsyncGenerator[bytes]:
    for event in events.opening():
        yield event
    lines = _lines(coming, times)
    try:
        async for line in lines:
            yield line
    finally:
        await lines.aclose()
    bug: Exception | None = None
    try:
        outcome = _outcome(coming)
    except Exception as error:  # noqa: BLE001  the boundary: the caller is told, the server logs it
        bug = error
        crash = InfraError("crashed", "The request failed inside Lakehouse.")
        outcome = failure_of(crash, coming.session_id)
    if isinstance(outcome, ToldAnswer):
        for event in events.answered(outcome):
            yield event
        return
    for event in events.failed(outcome):
        yield event
    raise bug or ToldFailure(outcome.message, outcome.status)


async def _lines(coming: ComingAnswer, times: StreamTimes) -> AsyncGenerator[bytes]:
    """Yield comment lines until the outcome is known and every rejected attempt is told."""
    reply = coming.reply
    timer = times.timer(times.heartbeat_ms)
    rejection = asyncio.ensure_future(anext(coming.rejected, None))
    more = True
    try:
        while not reply.done():
            awaited: tuple[_Awaited, ...] = (reply, timer, rejection) if more else (reply, timer)
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if more and rejection.done():
                iteration = rejection.result()
                more = iteration is not None
                if iteration is not None:
                    yield rejection_line(iteration)
                    rejection = asyncio.ensure_future(anext(coming.rejected, None))
            if timer.done() and not reply.done():
                yield HEARTBEAT
                timer = times.timer(times.heartbeat_ms)
        while more and (iteration := await rejection) is not None:
            yield rejection_line(iteration)
            rejection = asyncio.ensure_future(anext(coming.rejected, None))
    finally:
        timer.cancel()
        rejection.cancel()


def _outcome(coming: ComingAnswer) -> ToldAnswer | DoorFailure:
    """Return what a reply that is there came to, or raise the bug that ended it."""
    if coming.reply.cancelled():
        error: Refusal | InfraError = InfraError("shutdown", "The daemon is stopping.")
        return failure_of(error, coming.session_id)
    try:
        reply = coming.reply.result()
    except (Refusal, InfraError) as raised:
        return failure_of(schema_fault(raised, coming.schema_param), coming.session_id)
    return coming.outcome(reply)
