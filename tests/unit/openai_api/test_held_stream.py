"""A streamed session: the true status while it can be held, then 200, signs of life and an end."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from lakehouse.core.clock import FixedClock
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.session import SessionReply
from lakehouse.openai_api.chat_stream import ChatStream
from lakehouse.openai_api.held_stream import (
    ComingAnswer,
    StreamEvents,
    StreamTimes,
    held_response,
)
from lakehouse.openai_api.reply_form import session_answer, session_outcome
from lakehouse.openai_api.responses_stream import ResponsesStream
from lakehouse.openai_api.sse import DONE, HEARTBEAT
from lakehouse.transport.response import Response
from lakehouse.transport.stream import ToldFailure
from support.openai_replies import FORM, ROW_ID, SESSION_ID, accepted, broken, events, exhausted

WAIT_MS = 20_000
HEARTBEAT_MS = 10_000
FIRST = b": attempt 1 rejected\n"
SECOND = b": attempt 2 rejected\n"
ANSWER = session_answer(FORM, accepted())


class Stage:
    """A session that the test ends, and a time that the test moves."""

    def __init__(self) -> None:
        self.clock = FixedClock()
        self.reply: asyncio.Future[SessionReply] = asyncio.get_running_loop().create_future()
        self.rejected: asyncio.Queue[int | None] = asyncio.Queue()
        self._sleeping: asyncio.Queue[tuple[float, asyncio.Future[None]]] = asyncio.Queue()

    def alarm(self, seconds: float) -> asyncio.Future[None]:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeping.put_nowait((seconds, woken))
        return woken

    async def pass_sleep(self, ms: int) -> None:
        """Let the next sleep pass, which is this long; it waits until there is one."""
        seconds, woken = await self._sleeping.get()
        assert seconds * 1000 == ms
        self.clock.advance_ms(ms)
        woken.set_result(None)

    async def attempts(self) -> AsyncGenerator[int]:
        """The iterations that the test puts, until it puts None or the reply is there."""
        while True:
            coming = asyncio.ensure_future(self.rejected.get())
            try:
                await asyncio.wait((coming, self.reply), return_when=asyncio.FIRST_COMPLETED)
                iteration = coming.result() if coming.done() else None
            finally:
                coming.cancel()
            if iteration is None:
                return
            yield iteration

    def session(self) -> ComingAnswer:
        return ComingAnswer(
            session_id=SESSION_ID,
            reply=self.reply,
            outcome=lambda reply: session_outcome(FORM, reply),
            rejected=self.attempts(),
        )

    async def respond(self, stream: StreamEvents | None = None) -> Response:
        times = StreamTimes(clock=self.clock, started_ms=0, wait_ms=WAIT_MS, alarm=self.alarm)
        return await held_response(self.session(), stream or chat(), times)

    async def late(self, stream: StreamEvents | None = None) -> AsyncGenerator[bytes]:
        """The body of a reply that had to begin before the outcome."""
        response, _ = await asyncio.gather(self.respond(stream), self.pass_sleep(WAIT_MS))
        assert response.status == 200
        assert not isinstance(response.body, bytes)
        return response.body


def chat() -> StreamEvents:
    return ChatStream(FORM, session_id=SESSION_ID, row_id=ROW_ID, include_usage=True)


def responses() -> StreamEvents:
    return ResponsesStream(FORM, session_id=SESSION_ID, row_id=ROW_ID)


BOTH = pytest.mark.parametrize("stream", [chat, responses])
Make = Callable[[], StreamEvents]


def played(test: Callable[[Stage], Awaitable[None]]) -> None:
    """Run a test on a stage; nothing that it began may be left over."""

    async def whole() -> None:
        await test(Stage())
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:  # what was cancelled ends at its next step
            await asyncio.wait(left, timeout=60)
        assert not any(not task.done() for task in left)

    asyncio.run(whole())


async def rest(body: AsyncGenerator[bytes]) -> bytes:
    return b"".join([piece async for piece in body])


async def broken_off(body: AsyncGenerator[bytes]) -> tuple[bytes, Exception | None]:
    """What a body sent, and how it broke off; None: it ended well."""
    sent = b""
    try:
        async for piece in body:
            sent += piece
    except (ToldFailure, RuntimeError) as error:
        return sent, error
    return sent, None


@BOTH
def test_an_answer_within_the_wait_is_sent_whole_with_its_verdict(stream: Make):
    async def test(stage: Stage) -> None:
        stage.clock.advance_ms(7)
        stage.reply.set_result(accepted())

        response = await stage.respond(stream())

        made = stream()
        assert response.body == b"".join((*made.opening(), *made.answered(ANSWER)))
        assert (response.status, response.content_type) == (200, "text/event-stream")
        assert dict(response.headers) == {
            b"x-request-id": SESSION_ID.encode(),
            b"x-should-retry": b"false",
            b"openai-processing-ms": b"7",
            b"x-lakehouse-verdict": b"accepted",
            b"x-lakehouse-iterations": b"1",
            b"cache-control": b"no-cache, no-transform",
            b"x-accel-buffering": b"no",
        }

    played(test)


@pytest.mark.parametrize(
    ("ended", "status", "code"),
    [
        (exhausted(), 400, "max_iter_exhausted"),
        (broken(InfraError("connect", "Away.")), 502, "connect"),
        (broken(InfraError("timeout", "Late.")), 504, "timeout"),
        (Refusal("unknown_kind", "No."), 404, "model_not_found"),
        (InfraError("log_unavailable", "Full."), 503, "log_unavailable"),
    ],
)
@BOTH
def test_a_failure_within_the_wait_has_its_true_status(
    stream: Make, ended: SessionReply | Exception, status: int, code: str
):
    async def test(stage: Stage) -> None:
        if isinstance(ended, Exception):
            stage.reply.set_exception(ended)
        else:
            stage.reply.set_result(ended)

        response = await stage.respond(stream())

        assert isinstance(response.body, bytes)
        assert (response.status, response.content_type) == (status, "application/json")
        assert json.loads(response.body)["error"]["code"] == code

    played(test)


@BOTH
def test_a_longer_session_begins_and_is_kept_alive_until_its_answer(stream: Make):
    """Attempts that were rejected during the wait are told first; the joined answer is whole."""

    async def test(stage: Stage) -> None:
        stage.rejected.put_nowait(0)
        body = await stage.late(stream())
        made = stream()

        assert [await anext(body) for _ in made.opening()] == [*stream().opening()]
        assert await anext(body) == FIRST
        silent = asyncio.ensure_future(anext(body))
        await stage.pass_sleep(HEARTBEAT_MS)
        assert await silent == HEARTBEAT
        stage.rejected.put_nowait(1)
        assert await anext(body) == SECOND
        stage.rejected.put_nowait(None)
        silent = asyncio.ensure_future(anext(body))
        await stage.pass_sleep(HEARTBEAT_MS)
        assert await silent == HEARTBEAT
        stage.reply.set_result(accepted())
        assert await rest(body) == b"".join(made.answered(ANSWER))

    played(test)


@BOTH
def test_attempts_rejected_just_before_the_end_are_told(stream: Make):
    """However many there are at once with the outcome, each has its line before it."""

    async def test(stage: Stage) -> None:
        body = await stage.late(stream())
        for _ in stream().opening():
            await anext(body)
        for iteration in range(3):
            stage.rejected.put_nowait(iteration)
        stage.reply.set_result(exhausted(attempts=3))

        sent, _ = await broken_off(body)

        lines = b"".join(b": attempt %d rejected\n" % number for number in (1, 2, 3))
        assert sent.startswith(lines)
        assert sent.count(b" rejected\n") == 3

    played(test)


def test_headers_of_a_begun_stream_say_no_verdict():
    async def test(stage: Stage) -> None:
        response, _ = await asyncio.gather(stage.respond(), stage.pass_sleep(WAIT_MS))
        assert response.content_type == "text/event-stream"
        assert dict(response.headers) == {
            b"x-request-id": SESSION_ID.encode(),
            b"x-should-retry": b"false",
            b"openai-processing-ms": b"20000",
            b"cache-control": b"no-cache, no-transform",
            b"x-accel-buffering": b"no",
        }
        assert not isinstance(response.body, bytes)
        await response.body.aclose()

    played(test)


@pytest.mark.parametrize(
    ("ended", "code", "kind"),
    [
        (exhausted(), "max_iter_exhausted", "invalid_request_error"),
        (broken(InfraError("timeout", "Late.")), "timeout", "invalid_request_error"),
        (broken(InfraError("overloaded", "Busy.")), "overloaded", "server_error"),
        (InfraError("connect", "Away."), "connect", "server_error"),
        (asyncio.CancelledError(), "shutdown", "server_error"),
    ],
)
@BOTH
def test_a_failure_after_the_beginning_is_told_and_has_no_end(
    stream: Make, ended: Any, code: str, kind: str
):
    async def test(stage: Stage) -> None:
        body = await stage.late(stream())
        if isinstance(ended, asyncio.CancelledError):
            stage.reply.cancel()
        elif isinstance(ended, Exception):
            stage.reply.set_exception(ended)
        else:
            stage.reply.set_result(ended)

        sent, end = await broken_off(body)

        error = events(sent)[-1]["error"]
        assert isinstance(end, ToldFailure)
        assert (error["code"], error["type"]) == (code, kind)
        assert DONE not in sent
        assert sent.count(b'"error":{"message"') == 1

    played(test)


def test_a_bug_within_the_wait_is_left_to_the_server():
    async def test(stage: Stage) -> None:
        stage.reply.set_exception(RuntimeError("bug"))
        with pytest.raises(RuntimeError, match="bug"):
            await stage.respond()

    played(test)


@BOTH
def test_a_bug_after_the_beginning_is_told_without_its_cause_and_reaches_the_log(stream: Make):
    async def test(stage: Stage) -> None:
        body = await stage.late(stream())
        stage.reply.set_exception(RuntimeError("secret"))
        sent, end = await broken_off(body)
        assert events(sent)[-1]["error"]["code"] == "crashed"
        assert b"secret" not in sent
        assert isinstance(end, RuntimeError)

    played(test)


@pytest.mark.parametrize("read", range(7))
def test_a_client_that_goes_away_at_any_event_does_not_end_the_session(read: int):
    async def test(stage: Stage) -> None:
        body = await stage.late()
        for iteration in range(5):
            stage.rejected.put_nowait(iteration)
        for _ in range(min(read, 6)):
            await anext(body)
        if read == 6:  # while it waits for more
            waiting = asyncio.ensure_future(anext(body))
            await stage.pass_sleep(HEARTBEAT_MS)
            assert await waiting == HEARTBEAT
        await body.aclose()

        assert not stage.reply.done()
        stage.reply.set_result(accepted())

    played(test)


def test_a_client_that_goes_away_during_the_wait_does_not_end_the_session():
    async def test(stage: Stage) -> None:
        waiting = asyncio.ensure_future(stage.respond())
        await stage._sleeping.get()
        waiting.cancel()
        await asyncio.wait({waiting})

        assert waiting.cancelled()
        assert not stage.reply.done()

    played(test)


def test_an_answer_at_the_same_moment_as_a_heartbeat_is_sent():
    async def test(stage: Stage) -> None:
        body = await stage.late()
        opening = await anext(body)
        coming = asyncio.ensure_future(anext(body))
        await stage.pass_sleep(HEARTBEAT_MS)
        stage.reply.set_result(accepted())
        sent = opening + await coming + await rest(body)
        assert HEARTBEAT not in sent
        assert sent.endswith(DONE)

    played(test)
