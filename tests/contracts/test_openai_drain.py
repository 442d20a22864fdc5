"""A daemon that is told to stop while OpenAI's routes have sessions under way: each caller is told.

Short sessions end as if nothing had happened. Long ones are ended by the drain.
"""

import contextlib
import json
import signal
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import pytest

from lakehouse.openai_api.door import PATHS
from lakehouse.openai_api.parameters import ApiRoute
from support.openai_door import COMPACT, Door, asked, door_stack, quiet, text_of
from support.openai_replies import events
from support.raw_stream import RawStream, Streamed
from support.waiting import wait_until

ROUTES: tuple[ApiRoute, ...] = ("chat", "responses")
DRAIN_MS = 13_000  # the last three seconds are for writing rows and answers


class Ask(NamedTuple):
    """One call that is under way when the daemon is told to stop."""

    route: ApiRoute
    long: bool
    streamed: bool
    key: str | None

    @property
    def prompt(self) -> str:
        which = f"{self.route}, {self.streamed}, {self.key}"
        return f"{'very long' if self.long else 'rather long'}: delayed, {which}"


ASKS = [
    Ask(route, long, streamed, key)
    for long in (True, False)  # the short ones come last, so that they still run at the end
    for route in ROUTES
    for streamed in (False, True)
    for key in (None, "one", "one")  # two callers share a key
]


def request(door: Door, ask: Ask) -> bytes:
    body = json.dumps(asked(ask.route, "event", ask.prompt, stream=ask.streamed)).encode()
    key = "" if ask.key is None else f"Idempotency-Key: {ask.prompt}\r\n"
    head = f"POST {PATHS[ask.route]} HTTP/1.1\r\nHost: 127.0.0.1\r\n{key}"
    head += f"Authorization: Bearer {door.keys[0]}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("apart", "role"),
    [(False, "gateway"), (True, "gateway"), (True, "validatord"), (True, "chatd")],
    ids=["in_process", "gateway", "validatord", "chatd"],
)
def test_every_caller_is_told(tmp_path, apart, role):
    """Streams get their end, or an error event; whole calls an answer; the exit code is 0."""
    with door_stack(tmp_path, apart=apart, stream_wait_ms=0, drain_ms=DRAIN_MS) as door:
        assert door.ask("chat", "event", "first shot: delayed").status == 200  # loads the tables
        with contextlib.ExitStack() as opened, ThreadPoolExecutor(len(ASKS)) as pool:
            streams = [
                opened.enter_context(RawStream(door.port, request(door, ask))) for ask in ASKS
            ]
            for ask, stream in zip(ASKS, streams, strict=True):
                door.wait_for_started(ask.prompt)
                if ask.streamed:
                    stream.until(b"\r\n\r\n")
            coming: list[Future[Streamed]] = [pool.submit(stream.rest) for stream in streams]
            if apart:
                calls = len(set(ASKS))  # two callers share one
                under_way = partial(door.requests_under_way, "chatd")
                # Short ones may have ended meanwhile: the machine may be busy.
                wait_until(lambda: under_way() + _accepted(door) - 1 >= calls, "the model's calls")
            short = len({ask for ask in ASKS if not ask.long})
            assert _accepted(door) - 1 < short, "a short one is under way"
            code = door.processes[role].stop(signal.SIGTERM)
            told = [one.result(60) for one in coming]
        assert code == 0
        quiet(door.processes[role])
        for ask, answer in zip(ASKS, told, strict=True):
            hold(ask, answer, role=role if apart else "up")
        if role != "gateway":
            for ask, answer in zip(ASKS, told, strict=True):
                [row] = door.rows(answer.headers["x-request-id"])
                assert row["verdict"] == ("infra_error" if ask.long else "accepted")


def _accepted(door: Door) -> int:
    return door.log().count(b'"verdict":"accepted"')


def hold(ask: Ask, answer: Streamed, *, role: str) -> None:
    """Hold what one caller got."""
    if not ask.long:
        assert (answer.status, answer.whole) == (200, True), ask
        assert text_of(ask.route, answer.body, streamed=ask.streamed) == COMPACT
        return
    assert b"LHR" not in answer.body
    if ask.streamed:
        assert (answer.status, answer.whole) == (200, False), ask
        error: dict[str, Any] = events(answer.body)[-1]["error"]
    else:
        assert answer.whole, ask
        assert answer.status in {502, 503}
        assert answer.headers["x-should-retry"] == "true"
        error = json.loads(answer.body)["error"]
    assert error["retryable"] is True
    # A gateway that stops does not know what becomes of a session at its validator.
    allowed = {"shutdown", "crashed"} if role == "gateway" else {"shutdown"}
    assert error["code"] in allowed, ask


@pytest.mark.parametrize("apart", [False, True], ids=["in_process", "apart"])
def test_a_drain_without_patience_tells_the_callers_of_streams_too(tmp_path, apart):
    """Where it leaves sessions no time, or the second signal ends them."""
    ask = Ask("chat", long=True, streamed=True, key=None)
    with (
        door_stack(tmp_path, apart=apart, stream_wait_ms=0, drain_ms=1) as door,
        RawStream(door.port, request(door, ask)) as stream,
    ):
        door.wait_for_started(ask.prompt)
        stream.until(b"\r\n\r\n")
        assert door.processes["gateway"].stop(signal.SIGTERM) == 0
        hold(ask, stream.rest(), role="gateway" if apart else "up")
