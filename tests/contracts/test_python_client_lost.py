"""Clients over HTTP whose connection is lost: the session's row is the answer, nothing is repeated.

A model's endpoint counts its calls: a session that ran twice, or none, would show there.
"""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

import lakehouse
from lakehouse import Reject
from lakehouse.library import row_search
from support.cutting_relay import CuttingRelay, Place
from support.endpoint import Answer, Endpoint, completion, endpoint
from support.python_client import rows_in, started_in
from support.stack import Process, running_stack
from support.waiting import WAIT_S, wait_until

CONFIG = """
[log]
path = "log"
[models.small]
provider = "openai"
model = "tiny"
base_url = "{}"
"""
FLIGHT = '{"flight":"VY1"}'


class Flight(msgspec.Struct):
    flight: str


class Stack(msgspec.Struct):
    """A gateway, and its model, which answers `held` prompts when `answers` is set.

    It answers `twice` with no JSON first, and a text that says VY2 with VY2.
    """

    directory: Path
    model: Endpoint
    answers: threading.Event
    port: int
    gateway: Process

    @property
    def asked(self) -> int:
        return len(self.model.calls)

    @property
    def row(self) -> dict[str, Any]:
        """The only row, of the only session that has begun."""
        assert started_in(self.directory) == 1
        (row,) = rows_in(self.directory)
        return row

    def relay(self, at: Place, *, cuts: int = 1) -> CuttingRelay:
        """Cut connections; a held model answers after that."""
        return CuttingRelay(
            self.port, at=at, cuts=cuts, runs=lambda: self.asked, then=self.answers.set
        )

    def restart(self) -> None:
        listen = {"LAKEHOUSE_GATEWAY__LISTEN": f'"127.0.0.1:{self.port}"'}
        self.gateway = Process("up", self.directory / "lakehouse.toml", self.port, listen)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    answers = threading.Event()

    def answer(body: dict[str, Any]) -> Answer:
        texts = [turn["content"] for turn in body["messages"]]
        first_of_two = "twice" in texts[-1]  # the findings end the conversation of the second
        if "held" in texts[0] and not first_of_two:
            assert answers.wait(WAIT_S)
        if first_of_two:
            return completion("no JSON")
        return completion(FLIGHT.replace("1", "2") if "VY2" in texts[-1] else FLIGHT)

    with (
        endpoint(answer) as model,
        running_stack(tmp_path, CONFIG.format(model.base_url), apart=False) as daemons,
    ):
        gateway = daemons["gateway"]
        found = Stack(tmp_path, model, answers, gateway.port, gateway)
        try:
            yield found
        finally:
            answers.set()
            found.gateway.stop()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten what a search adds to the call's deadline."""
    monkeypatch.setattr(row_search, "LOAD_BUDGET_MS_DEFAULT", 0)
    monkeypatch.setattr(row_search, "GRACE_MS", 300)


@pytest.mark.parametrize("at", ["session", "answer", "head", "body"])
def test_a_lost_connection_loses_no_answer(stack: Stack, at: Place) -> None:
    prompt = "held" if at == "session" else "at once"
    with stack.relay(at).running() as relay, lakehouse.connect(relay.url) as lake:
        flight, session = lake.create_with_session(Flight, prompt)

    assert (relay.cuts, relay.sessions, stack.asked) == (1, 1, 1)
    assert flight == Flight("VY1")
    row = stack.row
    assert (session.row_id, session.verdict) == (row["row_id"], "accepted")
    assert session.duration_ms == row["duration_ms"]
    assert not {"idempotency_key", "python_call"} & row["metadata"].keys()


@pytest.mark.parametrize(("at", "prompt"), [("attempt", "twice, held"), ("body", "twice")])
def test_attempts_are_told_once_in_order(stack: Stack, at: Place, prompt: str) -> None:
    """One attempt had arrived, or none; the others are told from the row."""
    with stack.relay(at).running() as relay, lakehouse.connect(relay.url) as lake:
        *attempts, flight = lake.stream(Flight, prompt)

    assert (relay.cuts, relay.sessions, stack.asked) == (1, 1, 2)
    assert [one.iteration for one in attempts] == [0, 1]  # type: ignore[union-attr]
    assert flight == Flight("VY1")
    assert stack.row["iterations"] == 2


def test_each_session_of_a_call_is_found(stack: Stack) -> None:
    """A check in Python rejects the first answer; both connections are lost."""
    with stack.relay("answer", cuts=2).running() as relay, lakehouse.connect(relay.url) as lake:

        @lake.check(Flight)
        def is_it(flight: Flight) -> None:
            if flight.flight == "VY1":
                raise Reject("/flight", "must be VY2")

        flight, session = lake.create_with_session(Flight, "at once", session_id="mine-1")

    assert (relay.cuts, relay.sessions, stack.asked) == (2, 2, 2)
    assert (flight, session.iterations) == (Flight("VY2"), 2)
    first, second = sorted(rows_in(stack.directory), key=lambda row: row["row_id"])
    assert second["metadata"]["python_after"] == first["row_id"]
    assert first["metadata"]["python_call"]
    assert "python_call" not in second["metadata"]  # its id was made for it


def test_only_a_row_of_the_call_counts(stack: Stack) -> None:
    """Another call had the same session id, and its row is there already."""
    with lakehouse.connect(stack.gateway.url) as lake:
        lake.create(Flight, "at once", session_id="mine-1")
    with stack.relay("session").running() as relay, lakehouse.connect(relay.url) as lake:
        flight = lake.create(Flight, "held VY2", session_id="mine-1")

    assert (relay.cuts, relay.sessions, stack.asked) == (1, 1, 2)
    assert flight == Flight("VY2")
    assert [row["session_id"] for row in rows_in(stack.directory)] == ["mine-1"] * 2


@pytest.mark.usefixtures("short")
def test_a_request_that_did_not_arrive_whole_is_lost(stack: Stack) -> None:
    """Nobody here can know that no session began; it is not sent again."""
    with (
        stack.relay("request").running() as relay,
        lakehouse.connect(relay.url) as lake,
        pytest.raises(lakehouse.InfraError, match="was lost during the session") as raised,
    ):
        lake.create(Flight, "at once", session_id="lost-1", deadline=0.5)

    assert (relay.cuts, relay.sessions, stack.asked) == (1, 1, 0)
    assert (raised.value.code, raised.value.session_id) == ("crashed", "lost-1")
    assert "GET /v1/sessions/lost-1" in str(raised.value)
    assert rows_in(stack.directory) == []


def test_a_gateway_that_is_killed_and_comes_back(stack: Stack) -> None:
    """What it lost has the row of a crashed session, and that is the reply."""
    sessions: list[Any] = []
    failures: list[lakehouse.InfraError] = []
    with lakehouse.connect(stack.gateway.url) as lake:
        lake.on("session", sessions.append)

        def create() -> None:
            with pytest.raises(lakehouse.InfraError) as raised:
                lake.create(Flight, "held")
            failures.append(raised.value)

        call = threading.Thread(target=create)
        call.start()
        wait_until(lambda: stack.asked, "the model's call")
        assert stack.gateway.stop(9) == -9
        stack.answers.set()
        stack.restart()
        call.join(WAIT_S)

    (failure,), (session,), row = failures, sessions, stack.row
    assert (session.verdict, session.row_id) == ("infra_error", row["row_id"])
    assert row["error"]["code"] == failure.code == "crashed"
    assert row["error"]["message"] in str(failure)
    assert failure.session_id == row["session_id"]
    assert stack.asked == 1


@pytest.mark.usefixtures("short")
def test_a_gateway_that_is_killed_and_stays_away(stack: Stack) -> None:
    """That nobody listens any more does not mean that the session did not run."""

    def kill() -> None:
        wait_until(lambda: stack.asked, "the model's call")
        stack.gateway.stop(9)

    with lakehouse.connect(stack.gateway.url) as lake:
        assert lake.kinds() == ()
        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(lakehouse.InfraError, match="was lost during the session") as raised:
            lake.create(Flight, "held", session_id="killed-1", deadline=5)
        killer.join(WAIT_S)

    assert (raised.value.code, raised.value.session_id) == ("crashed", "killed-1")
    assert (stack.asked, started_in(stack.directory)) == (1, 1)


def test_closing_the_client_ends_the_search(stack: Stack) -> None:
    """The search of this call would take minutes."""

    async def main() -> None:
        lake = lakehouse.connect_async(relay.url)
        try:
            call = asyncio.ensure_future(lake.create(Flight, "at once"))
            await asyncio.to_thread(wait_until, lambda: relay.looks, "a look")
        finally:
            await lake.close()
        with pytest.raises(lakehouse.InfraError, match="was lost during the session"):
            await call

    with stack.relay("request").running() as relay:
        asyncio.run(main())

    assert (relay.cuts, relay.sessions, stack.asked) == (1, 1, 0)


class ImpatientProxy(BaseHTTPRequestHandler):
    """Says that a gateway lives, and gives up each session."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        found = self.path == "/livez"
        self._answer(200 if found else 404, "application/json", b'{"alive": true}')

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


@pytest.mark.usefixtures("short")
def test_a_proxy_that_gives_up_says_nothing_of_the_session() -> None:
    """It may run on: the error has its id, and does not say that there is no gateway."""
    with ThreadingHTTPServer(("127.0.0.1", 0), ImpatientProxy) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            with (
                lakehouse.connect(f"http://127.0.0.1:{server.server_address[1]}") as lake,
                pytest.raises(lakehouse.InfraError, match="answered with status 504") as raised,
            ):
                lake.create(Flight, "at once", session_id="proxied-1", deadline=0.5)
        finally:
            server.shutdown()
            thread.join()

    assert ImpatientProxy.asked == ["/v1/iterate"]
    assert (raised.value.code, raised.value.session_id) == ("crashed", "proxied-1")
