"""Long streams through nginx: its time-out is not reached, because of the heartbeats alone.

nginx waits 60 s between two reads of an answer. Here it waits `READ_S`, and every interval of ours
is as much shorter.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.openai_api.parameters import ApiRoute
from support import heartbeats
from support.nginx import nginx
from support.openai_door import COMPACT, Door, door_stack, text_of
from support.raw_stream import RawStream, Streamed
from support.stack import call, free_port
from support.waiting import wait_until

ROUTES: tuple[ApiRoute, ...] = ("chat", "responses")
READ_S = 2
TRIES_MAX = 4
WAIT_MS = 700  # 20 s in the measure of nginx's 60 s
HEARTBEAT_MS = 330  # 10 s likewise
PROMPT = "rather long: delayed"  # 4 s
HTTP = """
access_log off;
server {{
  listen 127.0.0.1:{port};
  location / {{
    proxy_pass http://127.0.0.1:{upstream};
    proxy_http_version {version};
    proxy_read_timeout {read_s}s;
  }}
}}
"""


@contextlib.contextmanager
def proxy(directory: Path, upstream: int, version: str) -> Iterator[int]:
    """Run nginx before a port, at which it speaks this version of HTTP; gives its own port."""
    port = free_port()
    directory.mkdir()
    http = HTTP.format(port=port, upstream=upstream, version=version, read_s=READ_S)
    with nginx(directory, http, lambda: _listens(port)):
        yield port


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        return call(port, "GET", "/livez").status == 200
    return False


@contextlib.contextmanager
def behind_nginx(
    directory: Path,
    *,
    wait_ms: int = WAIT_MS,
    heartbeat_ms: int = HEARTBEAT_MS,
    version: str = "1.1",
) -> Iterator[tuple[Door, int]]:
    wrapped = (sys.executable, str(heartbeats.__file__), str(heartbeat_ms))
    stack = door_stack(directory / "stack", apart=False, stream_wait_ms=wait_ms, wrapped=wrapped)
    with stack as door, proxy(directory / "nginx", door.port, version) as port:
        yield door, port


def stream(door: Door, port: int, route: ApiRoute) -> Streamed:
    return RawStream(port, door.raw(route, "event", PROMPT)).rest()


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_heartbeats_keep_a_stream_alive(tmp_path, version):
    """Whole, though it took twice what nginx waits; each piece arrives as it is sent.

    nginx speaks 1.0 to the servers behind it unless its configuration says otherwise.
    """
    with behind_nginx(tmp_path, version=version) as (door, port):
        for route in ROUTES:
            # nginx may take a pause of the machine for silence; without heartbeats no try ends.
            tries = (stream(door, port, route) for _ in range(TRIES_MAX))
            told = next((told for told in tries if told.whole), None)

            assert told is not None
            assert told.status == 200
            assert text_of(route, told.body, streamed=True) == COMPACT
            assert told.body.count(b": waiting\n") > READ_S * 1_000 / HEARTBEAT_MS
            assert len(door.rows(told.headers["x-request-id"])) == 1


def test_without_heartbeats_nginx_gives_up(tmp_path):
    """The same set-up: so it is the heartbeats that keep it alive. The session has its row."""
    with behind_nginx(tmp_path, heartbeat_ms=60_000) as (door, port):
        told = stream(door, port, "chat")

        assert (told.status, told.whole) == (200, False)
        assert b"LHR" not in told.body
        _wait_for_the_row(door, told.headers["x-request-id"])


def test_a_status_that_is_held_too_long_is_nginxs_own(tmp_path):
    """504 of nginx, for a stream and for a whole call; with its key each call gets its answer."""
    with behind_nginx(tmp_path, wait_ms=10_000) as (door, port):
        for streamed in (False, True):
            headers = {"Idempotency-Key": f"key-{streamed}"}
            told = door.ask("chat", "event", PROMPT, headers, port=port, stream=streamed)
            again = door.ask("chat", "event", PROMPT, headers, stream=streamed)

            assert (told.status, told.headers["server"].split("/")[0]) == (504, "nginx")
            assert again.status == 200
            assert again.headers["x-lakehouse-replayed"] == "true"
            assert text_of("chat", again.body, streamed=streamed) == COMPACT
            assert len(door.rows(again.headers["x-request-id"])) == 1


def _wait_for_the_row(door: Door, identity: str) -> None:
    wait_until(lambda: len(door.rows(identity)) == 1, f"the row of {identity}")
