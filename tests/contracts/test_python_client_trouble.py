"""Clients over HTTP when the gateway, the way to it, or the key is not as it should be."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec
import pytest

import lakehouse
from lakehouse import Reject, Rule
from lakehouse.core.limits import MESSAGES_MAX
from lakehouse.gateway.auth import new_key
from support.cutting_relay import CuttingRelay
from support.python_client import rows_in
from support.stack import SCRIPTED, Process, free_port, running_stack
from support.waiting import wait_until

KEY = new_key("me")
CONFIG = SCRIPTED + '[gateway]\napi_keys_env = "KEYS"\n'
PROMPT = "VY3901 delayed 25 minutes"


class Flight(msgspec.Struct):
    flight: str


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Process]:
    (tmp_path / "script.json").write_text(
        json.dumps(
            {
                "matches": {
                    "slow": [{"text": '{"flight":"VY1"}', "delay_ms": 700}],
                    "twice": ["no JSON", '{"flight":"VY1"}'],
                    ".": ['{"flight":"VY1"}'],
                }
            }
        )
    )
    with running_stack(tmp_path, CONFIG, apart=False, environment={"KEYS": KEY.entry}) as stack:
        yield stack["gateway"]


@pytest.mark.parametrize("prompt", ["at once", "slow"])
def test_a_lost_connection_loses_no_answer(gateway: Process, tmp_path: Path, prompt: str) -> None:
    """The call is made once more, and is answered by the session that ran: one row."""
    with (
        CuttingRelay(gateway.port, cuts=1).running() as relay,
        lakehouse.connect(relay.url, api_key=KEY.secret) as lake,
    ):
        flight, session = lake.create_with_session(Flight, prompt)

    assert (relay.cuts, relay.sessions) == (1, 2)
    assert flight.flight == "VY1"
    assert [row["row_id"] for row in rows_in(tmp_path)] == [session.row_id]


def test_attempts_are_told_once_though_they_arrive_twice(gateway: Process, tmp_path: Path) -> None:
    with (
        CuttingRelay(gateway.port, cuts=1).running() as relay,
        lakehouse.connect(relay.url, api_key=KEY.secret) as lake,
    ):
        *attempts, _ = lake.stream(Flight, "twice")

    assert relay.cuts == 1
    assert [one.iteration for one in attempts] == [0, 1]  # type: ignore[union-attr]
    assert len(rows_in(tmp_path)) == 1


def test_what_stays_lost_is_an_infra_error_that_names_the_session(
    gateway: Process, tmp_path: Path
) -> None:
    with (
        CuttingRelay(gateway.port, cuts=9).running() as relay,
        lakehouse.connect(relay.url, api_key=KEY.secret) as lake,
        pytest.raises(lakehouse.InfraError, match="was lost during the session") as raised,
    ):
        lake.create(Flight, PROMPT, session_id="lost-1")

    assert (relay.cuts, relay.sessions) == (2, 2)
    assert (raised.value.code, raised.value.session_id) == ("crashed", "lost-1")
    assert "GET /v1/sessions/lost-1" in str(raised.value)
    assert [row["session_id"] for row in rows_in(tmp_path)] == ["lost-1"]


def test_a_gateway_that_is_gone_at_a_further_attempt_ends_the_call(
    gateway: Process, tmp_path: Path
) -> None:
    """What was answered before is in the session that hooks see."""
    sessions: list[Any] = []
    with lakehouse.connect(gateway.url, api_key=KEY.secret) as lake:
        lake.on("session", sessions.append)

        @lake.check(Flight)
        def stops_it(flight: Flight) -> None:
            gateway.stop()
            raise Reject("/flight", "is not it")

        with pytest.raises(lakehouse.InfraError) as raised:
            lake.create(Flight, PROMPT)

    (session,) = sessions
    assert raised.value.code == "connect"
    assert raised.value.session_id == session.session_id
    assert (session.verdict, session.iterations) == ("infra_error", 1)
    assert [one.path for one in session.findings] == ["/flight"]
    assert len(rows_in(tmp_path)) == 1


def test_a_gateway_that_is_killed_during_a_session(gateway: Process, tmp_path: Path) -> None:
    async def main() -> None:
        async with lakehouse.connect_async(gateway.url, api_key=KEY.secret) as lake:
            call = asyncio.create_task(lake.create(Flight, "slow", session_id="killed-1"))
            await asyncio.to_thread(wait_until, lambda: _begun(tmp_path), "the session's start")
            gateway.stop(9)
            with pytest.raises(lakehouse.InfraError) as raised:
                await call
            # That nobody listens any more does not mean that the session did not run.
            assert (raised.value.code, raised.value.session_id) == ("crashed", "killed-1")

    asyncio.run(main())


def _begun(directory: Path) -> bool:
    files = (directory / "log").rglob("*.jsonl")
    return any(b"killed-1" in file.read_bytes() for file in files)


def test_a_further_attempt_that_is_refused_ends_the_call(gateway: Process) -> None:
    """The conversation had as many messages as are allowed; the findings are one more."""
    messages = [{"role": "user", "content": PROMPT}] * MESSAGES_MAX
    with lakehouse.connect(gateway.url, api_key=KEY.secret) as lake:

        @lake.check(Flight)
        def never(flight: Flight) -> None:
            raise Reject("/flight", "is not it")

        with pytest.raises(lakehouse.InfraError, match="refused a further attempt") as raised:
            lake.create(Flight, messages)

    assert (raised.value.code, raised.value.retryable) == ("upstream_status", False)
    assert f"`messages` has {MESSAGES_MAX + 1} entries" in str(raised.value)


class ImpatientProxy(BaseHTTPRequestHandler):
    """Says that a gateway lives, and gives up each session."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self._answer(200, "application/json", b'{"alive": true}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.asked.append(self.path)
        self._answer(504, "text/html", b"<h1>Gateway Timeout</h1>")

    def _answer(self, status: int, media_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_a_proxy_that_gives_up_says_nothing_of_the_session() -> None:
    """It may run on: the error has its id, and does not say that there is no gateway."""
    with ThreadingHTTPServer(("127.0.0.1", 0), ImpatientProxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with (
            lakehouse.connect(f"http://127.0.0.1:{server.server_address[1]}") as lake,
            pytest.raises(lakehouse.InfraError, match="answered with status 504") as raised,
        ):
            lake.create(Flight, PROMPT, session_id="proxied-1")
        server.shutdown()

    assert ImpatientProxy.asked == ["/v1/iterate"]
    assert (raised.value.code, raised.value.session_id) == ("crashed", "proxied-1")


def test_nobody_there_is_told_at_the_first_call() -> None:
    with lakehouse.connect(f"http://127.0.0.1:{free_port()}") as lake:
        for ask in (lambda: lake.create(Flight, PROMPT), lake.kinds, lake.models):
            with pytest.raises(lakehouse.InfraError, match="No gateway answers") as raised:
                ask()
            assert raised.value.code == "connect"
            assert "start a gateway" in raised.value.hint
            assert "--url" not in str(raised.value)


@pytest.mark.parametrize("key", [None, "lh_wrong"])
def test_a_key_that_is_missing_or_wrong_is_refused(gateway: Process, key: str | None) -> None:
    with (
        lakehouse.connect(gateway.url, api_key=key) as lake,
        pytest.raises(lakehouse.Refused, match="requires an API key") as raised,
    ):
        lake.create(Flight, PROMPT)

    assert raised.value.code == "unauthorized"
    assert "api_key=" in raised.value.hint


@pytest.mark.parametrize("more", ["", "/", "/v1", "/v1/"])
def test_the_address_of_other_clients_is_taken_too(gateway: Process, more: str) -> None:
    with lakehouse.connect(gateway.url + more, api_key=KEY.secret) as lake:
        assert lake.create(Flight, PROMPT).flight == "VY1"


@pytest.mark.parametrize(
    ("url", "key", "told"),
    [
        ("localhost:4110", None, "URL is invalid"),
        ("ftp://localhost", None, "URL is invalid"),
        ("http://u:p4ss@localhost", None, "URL is invalid"),
        ("http://localhost:4110", "a\nb", "not allowed in a key"),
        ("http://localhost:4110", "", "is empty"),
    ],
)
def test_an_address_or_a_key_that_cannot_be_used(url: str, key: str | None, told: str) -> None:
    for connect in (lakehouse.connect, lakehouse.connect_async):
        with pytest.raises(lakehouse.SetupError, match=told) as raised:
            connect(url, api_key=key)
        assert "p4ss" not in str(raised.value)


def test_a_rule_in_sql_is_refused_before_any_call() -> None:
    """It runs where the tables are."""

    ruled = Annotated[Flight, Rule("SELECT $flight = 'VY1'", "there is no such flight")]

    with (
        lakehouse.connect(f"http://127.0.0.1:{free_port()}") as lake,
        pytest.raises(lakehouse.Refused, match=r"lakehouse\.open\(\).*kind") as raised,
    ):
        lake.create(ruled, PROMPT)

    assert raised.value.code == "invalid_request"


def test_a_client_that_was_closed_says_so(gateway: Process) -> None:
    lake = lakehouse.connect(gateway.url, api_key=KEY.secret)
    lake.close()
    with pytest.raises(lakehouse.SetupError, match="is closed"):
        lake.create(Flight, PROMPT)
