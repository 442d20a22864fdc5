"""Clients of OpenAI's routes that go away, at every stage and after every chunk of a stream.

The session ends all the same, with its one row; nothing hangs, and no daemon complains.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lakehouse.openai_api.door import PATHS
from lakehouse.openai_api.parameters import ApiRoute
from support.openai_door import Door, formatted, quiet_door
from support.raw_stream import RawStream, chunk_ends
from support.waiting import wait_until

ROUTES = ("chat", "responses")
ANY: dict[str, Any] = {"type": "object"}


@pytest.fixture(scope="module", params=["in_process", "apart"])
def door(request, tmp_path_factory) -> Iterator[Door]:
    directory = tmp_path_factory.mktemp(request.param)
    with quiet_door(directory, apart=request.param == "apart", stream_wait_ms=300) as running:
        yield running


@pytest.fixture(scope="module", params=["in_process", "apart"])
def late(request, tmp_path_factory) -> Iterator[Door]:
    """One whose streams begin at once."""
    directory = tmp_path_factory.mktemp(request.param)
    with quiet_door(directory, apart=request.param == "apart", stream_wait_ms=0) as running:
        yield running


def wait_for_row(door: Door, identity: str) -> dict[str, Any]:
    """Wait for a session's row, which is the only one."""
    wait_until(lambda: door.rows(identity), f"the row of {identity}")
    [row] = door.rows(identity)
    return row


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("route", ROUTES)
def test_a_stream_cut_after_every_chunk_leaves_its_row(late, route: ApiRoute, reset):
    """After the head, after each chunk, and in the middle of each."""
    request = late.raw(route, "event", "retry: delayed")
    whole = RawStream(late.port, request)
    whole.rest()
    ends = chunk_ends(whole.received)
    assert len(ends) > 4
    cuts = [0, 1, *(cut for end in ends for cut in (end - 3, end)), len(whole.received) - 1]
    identities = []
    for number, cut in enumerate(cuts):
        identity = f"cut-{route}-{reset}-{number}".ljust(32, "-")  # as long as one of ours
        with RawStream(late.port, _named(request, identity)) as caller:
            caller.to(cut)
            caller.leave(reset=reset)
        assert len(caller.received) <= cut
        identities.append(identity)
    for identity in identities:
        assert wait_for_row(late, identity)["verdict"] == "accepted"


def _named(request: bytes, identity: str) -> bytes:
    return request.replace(b"Host:", b"X-Lakehouse-Trace-Id: %b\r\nHost:" % identity.encode(), 1)


@pytest.mark.parametrize("route", ROUTES)
def test_a_client_that_leaves_while_the_daemon_cannot_send(door, route: ApiRoute):
    """The answer is larger than what the connection holds: the sending is under way, and ends."""
    request = door.raw(route, "small", "large", **formatted(route, ANY))
    identities = []
    for number in range(8):
        identity = f"narrow-{route}-{number}"
        with RawStream(door.port, _named(request, identity), narrow=True) as caller:
            caller.until(b"\r\n\r\n")
            caller.to(1_000 + 4_000 * number)
            caller.leave(reset=number % 2 == 0)
        assert len(caller.received) < 40_000
        identities.append(identity)
    for identity in identities:
        assert wait_for_row(door, identity)["verdict"] == "accepted"


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("route", ROUTES)
def test_a_client_that_leaves_before_its_body_is_sent_begins_nothing(door, route: ApiRoute, reset):
    request = door.raw(route, "event", f"first shot: delayed, {route} {reset}")
    head_end = request.index(b"\r\n\r\n") + 4
    for cut in (10, head_end - 2, head_end, head_end + 1, len(request) - 1):
        RawStream(door.port, request[:cut]).leave(reset=reset)
    wait_until(lambda: door.requests_under_way() == 0, "the end of all requests")

    assert f"first shot: delayed, {route} {reset}".encode() not in door.log()


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("stage", ["in the wait", "after the opening", "after a line", "whole"])
def test_a_client_that_leaves_during_the_session(door, route: ApiRoute, stage, reset):
    """The session goes on for a second after it: one row, accepted, with both attempts."""
    prompt = f"slow: delayed, {route}, {stage}, {reset}"
    request = door.raw(route, "event", prompt)
    if stage == "whole":
        request = _unstreamed(door, route, prompt)
    identity = f"left-{route}-{stage[:7].replace(' ', '-')}-{reset}"
    with RawStream(door.port, _named(request, identity)) as caller:
        if stage in {"in the wait", "whole"}:
            door.wait_for_started(prompt)
            assert caller.received == b""
        else:
            caller.until(b"data: " if stage == "after the opening" else b" rejected\n")
            assert b"London" not in caller.received
        assert door.rows(identity) == [], "the session is still under way"
        caller.leave(reset=reset)

    row = wait_for_row(door, identity)
    assert (row["verdict"], row["iterations"]) == ("accepted", 2)


def _unstreamed(door: Door, route: ApiRoute, prompt: str) -> bytes:
    body = json.loads(door.raw(route, "event", prompt).partition(b"\r\n\r\n")[2]) | {
        "stream": False
    }
    data = json.dumps(body).encode()
    head = f"POST {PATHS[route]} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    head += f"Authorization: Bearer {door.keys[0]}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data
