"""A session told line by line, and read again however the lines are cut."""

import asyncio
import time
from typing import Any

import msgspec
import pytest

from lakehouse.admission.live_session import LiveSession
from lakehouse.core.context import session_context
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.session import Attempt, SessionReply
from lakehouse.engine.run import session_reply
from lakehouse.transport.client import HttpReply
from lakehouse.validatord import attempt_lines
from lakehouse.validatord.attempt_lines import (
    LINES_TYPE,
    LineReader,
    lines,
    wants_lines,
    whole_answer,
)
from support.rows import make_attempt, make_row, rejected_attempt

ATTEMPTS = (rejected_attempt(0, output="née\n\u2028"), make_attempt(1))


async def told(end: SessionReply | Exception, *, silent: bool = False) -> bytes:
    """Tell a session of two attempts."""
    session = LiveSession(session_context())
    reply: asyncio.Future[SessionReply] = asyncio.get_running_loop().create_future()
    session.runs_as(reply)
    coming = lines(session, inner=False)
    return b"".join([line async for line in _started(coming, session, reply, end, silent)])


async def _started(
    coming: Any, session: LiveSession, reply: Any, end: SessionReply | Exception, silent: bool
) -> Any:
    session.judged(ATTEMPTS[0])
    yield await anext(coming)
    if silent:
        yield await anext(coming)
    session.judged(ATTEMPTS[1])
    if isinstance(end, Exception):
        reply.set_exception(end)
    else:
        reply.set_result(end)
    async for line in coming:
        yield line


def accepted() -> SessionReply:
    return session_reply(make_row(attempts=ATTEMPTS), None)


def test_attempts_come_before_the_reply():
    body = asyncio.run(told(accepted()))

    first, second, last, rest = body.split(b"\n")
    assert msgspec.json.decode(first)["attempt"]["outcome"] == "rejected"
    assert msgspec.json.decode(second)["attempt"]["outcome"] == "accepted"
    assert msgspec.json.decode(last)["reply"]["verdict"] == "accepted"
    assert rest == b""


def test_silence_is_broken_by_an_empty_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attempt_lines, "_SILENCE_S_MAX", 0.01)

    body = asyncio.run(told(accepted(), silent=True))

    assert body.split(b"\n")[1] == b""


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (Refusal("rate_limited", "full", retry_after_s=1), "rate_limited", 429),
        (InfraError("log_unavailable", "no log"), "log_unavailable", 503),
    ],
)
def test_a_session_without_a_reply_ends_in_its_problem(error, code, status):
    *_, last, _ = asyncio.run(told(error)).split(b"\n")

    problem = msgspec.json.decode(last)["problem"]
    assert (problem["code"], problem["status"]) == (code, status)


def test_an_answer_in_lines_is_the_whole_answer_again():
    """The reply's own bytes, or the problem with its status; what is cut stays as it is."""
    headers = {"content-type": LINES_TYPE, "x-a": "b"}
    reply = accepted()
    body = asyncio.run(told(reply))
    problem = asyncio.run(told(Refusal("rate_limited", "full")))

    whole = whole_answer(HttpReply(422, headers, body))
    assert (whole.status, whole.body) == (422, msgspec.json.encode(reply))
    whole = whole_answer(HttpReply(200, headers, problem))
    assert whole.status == 429
    assert whole.headers == {"content-type": "application/problem+json", "x-a": "b"}
    assert msgspec.json.decode(whole.body)["code"] == "rate_limited"
    for rest in (body[:-9], b"", b"\n", b"[1]\n", b"\xff\n"):
        answer = HttpReply(200, headers, rest)
        assert whole_answer(answer) is answer
    plain = HttpReply(200, {"content-type": "application/json"}, body)
    assert whole_answer(plain) is plain


def test_a_reader_takes_the_lines_however_they_are_cut():
    """At every byte, and byte by byte; what is no attempt is left alone."""
    body = b"\n" + asyncio.run(told(accepted())) + b'{"attempt": nonsense}\n{"attempt\n'
    for cut in range(len(body)):
        assert _read(body[:cut], body[cut:]) == list(ATTEMPTS)
    assert _read(*(body[index : index + 1] for index in range(len(body)))) == list(ATTEMPTS)


def test_a_long_line_costs_its_length():
    """A session may have ten answers of 1 MiB, and its reply has them all."""
    reader, piece = LineReader(lambda _: None), b"x" * (64 << 10)

    begun = time.process_time()
    for _ in range(1_000):
        reader.arrived(piece)
    assert time.process_time() - begun < 1  # else about 20 s


def _read(*pieces: bytes) -> list[Attempt]:
    found: list[Attempt] = []
    reader = LineReader(found.append)
    for piece in pieces:
        reader.arrived(piece)
    return found


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ((), False),
        (("application/json",), False),
        (("application/x-ndjson",), True),
        (("application/json, application/x-ndjson;q=0.9",), True),
        (("application/json", "application/x-ndjson"), True),
    ],
)
def test_lines_are_told_to_those_that_ask(accept, wanted):
    assert wants_lines(accept) is wanted
