"""The order of a streamed session: nothing is sent before its outcome, for as long as we can wait.

A reply whose status is held has the true status, which clients act on. Only a session that takes
longer is answered with 200 before its outcome; then comment lines keep the connection alive.
The session is never cancelled from here: it belongs to whoever started it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final, Protocol

import msgspec

from lakehouse.core.clock import Clock
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.session import SessionReply
from lakehouse.openai_api.failure import DoorFailure, failure_of, failure_of_reply
from lakehouse.openai_api.reply_headers import Fields, ReplyHeaders
from lakehouse.openai_api.sse import HEARTBEAT, rejection_line
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

    def accepted(self, reply: SessionReply) -> Iterator[bytes]: ...

    def failed(self, failure: DoorFailure) -> Iterator[bytes]: ...


class RunningSession(msgspec.Struct, frozen=True):
    """A session that runs elsewhere. `rejected` gives the iteration of each rejected attempt."""

    session_id: str
    reply: asyncio.Future[SessionReply]
    rejected: AsyncIterator[int]


class StreamTimes(msgspec.Struct, frozen=True, kw_only=True):
    """When a stream does what. `started_ms` is the request's start; `sleep` takes seconds."""

    clock: Clock
    started_ms: float
    wait_ms: int
    heartbeat_ms: int = HEARTBEAT_MS
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep

    def timer(self, ms: int) -> asyncio.Future[object]:
        return asyncio.ensure_future(self.sleep(ms / 1000))

    def processing_ms(self) -> float:
        return self.clock.monotonic_ms() - self.started_ms


async def held_response(
    session: RunningSession, events: StreamEvents, times: StreamTimes
) -> Response:
    """Wait up to `wait_ms` for the outcome, and return the reply: whole if it is known, else 200.

    The generator of a stream raises `ToldFailure` after it told a failure, so that the
    connection closes without the body's end, even for clients that overlook the event.

    Raises:
        Exception: The session failed by a bug of ours within the wait.
    """
    timer = times.timer(times.wait_ms)
    awaited: tuple[_Awaited, ...] = (session.reply, timer)
    try:
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
    if not session.reply.done():
        headers = ReplyHeaders(session_id=session.session_id, processing_ms=times.processing_ms())
        fields = (*headers.fields(), *_UNBUFFERED)
        return Response(200, _streamed(session, events, times), _EVENTS, fields)
    outcome = _outcome(session)
    if isinstance(outcome, DoorFailure):
        return outcome.response(times.processing_ms())
    headers = ReplyHeaders(
        session_id=session.session_id,
        processing_ms=times.processing_ms(),
        verdict=outcome.verdict,
        iterations=outcome.iterations,
    )
    body = b"".join((*events.opening(), *events.accepted(outcome)))
    return Response(200, body, _EVENTS, (*headers.fields(), *_UNBUFFERED))


async def _streamed(
    session: RunningSession, events: StreamEvents, times: StreamTimes
) -> AsyncGenerator[bytes]:
    for event in events.opening():
        yield event
    lines = _lines(session, times)
    try:
        async for line in lines:
            yield line
    finally:
        await lines.aclose()
    bug: Exception | None = None
    try:
        outcome = _outcome(session)
    except Exception as error:  # noqa: BLE001  the boundary: the caller is told, the server logs it
        bug = error
        crash = InfraError("crashed", "The request failed inside Lakehouse.")
        outcome = failure_of(crash, session.session_id)
    if isinstance(outcome, SessionReply):
        for event in events.accepted(outcome):
            yield event
        return
    for event in events.failed(outcome):
        yield event
    raise bug or ToldFailure(outcome.message, outcome.status)


async def _lines(session: RunningSession, times: StreamTimes) -> AsyncGenerator[bytes]:
    """Yield comment lines until the outcome is known."""
    reply = session.reply
    timer = times.timer(times.heartbeat_ms)
    coming = asyncio.ensure_future(anext(session.rejected, None))
    more = True
    try:
        while not reply.done():
            awaited: tuple[_Awaited, ...] = (reply, timer, coming) if more else (reply, timer)
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if more and coming.done():
                iteration = coming.result()
                more = iteration is not None
                if iteration is not None:
                    yield rejection_line(iteration)
                    coming = asyncio.ensure_future(anext(session.rejected, None))
            if timer.done() and not reply.done():
                yield HEARTBEAT
                timer = times.timer(times.heartbeat_ms)
    finally:
        timer.cancel()
        coming.cancel()


def _outcome(session: RunningSession) -> SessionReply | DoorFailure:
    """Return what a session that has ended came to, or raise the bug that ended it."""
    if session.reply.cancelled():
        error: Refusal | InfraError = InfraError("shutdown", "The daemon is stopping.")
        return failure_of(error, session.session_id)
    try:
        reply = session.reply.result()
    except (Refusal, InfraError) as raised:
        return failure_of(raised, session.session_id)
    return reply if reply.verdict == "accepted" else failure_of_reply(reply)
