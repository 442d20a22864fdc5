"""Past its deadline plus two seconds no caller waits, whatever does not answer behind the door."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.stack import Answer, Process, call, free_port, running_stack
from support.waiting import wait_until

SCRIPT = {
    "matches": {
        "quick": ['{"a": 1}'],
        "slow": [{"text": '{"a": 1}', "delay_ms": 60_000}],
        "heavy": ['{"a": 2000000000}'],
    }
}
BEYOND_S = 2.0
SLACK_S = 30.0  # of a busy machine; who waits for what does not answer waits longer
TRIES_MAX = 20


class Timed(msgspec.Struct):
    """An answer, and when it came after the question."""

    answer: Answer
    took_s: float


class Question:
    """One session under way in a thread of its own."""

    def __init__(self, port: int, body: dict[str, Any]) -> None:
        self._found: Timed | None = None
        self._thread = threading.Thread(target=self._ask, args=(port, body))
        self._thread.start()

    def _ask(self, port: int, body: dict[str, Any]) -> None:
        started = time.monotonic()
        answer = call(port, "POST", "/v1/iterate", body, timeout_s=100)
        self._found = Timed(answer, time.monotonic() - started)

    def result(self) -> Timed:
        self._thread.join(110)
        assert self._found is not None
        return self._found


def config(more: str = "") -> str:
    return (
        '[log]\npath = "log"\n[models.small]\nprovider = "scripted"\nmodel = "tiny"\n'
        f'script = "script.json"\n{more}'
    )


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[dict[str, Process]]:
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    with running_stack(tmp_path, config(), apart=True) as stack:
        try:
            yield stack
        finally:  # a stopped process would not end on SIGTERM
            for process in stack.values():
                os.kill(process.pid, signal.SIGCONT)


def body(prompt: str, deadline_ms: int, **more: object) -> dict[str, Any]:
    return {"prompt": prompt, "schema": {"type": "object"}, "deadline_ms": deadline_ms, **more}


def stopped(process: Process) -> None:
    """Stop a process, and see that it is."""
    os.kill(process.pid, signal.SIGSTOP)
    state = Path(f"/proc/{process.pid}/stat")
    wait_until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", "it stops")


def begun_in(log: Path) -> int:
    """How many sessions have begun: so many started lines are there."""
    files = (log / "active").glob("*.jsonl")
    return sum(file.read_bytes().count(b'"session.started.v1"') for file in files)


def _has_begun(log: Path, count: int) -> bool:
    return begun_in(log) >= count


def asked_and_stopped(
    stack: dict[str, Process], log: Path, role: str, asked: dict[str, Any]
) -> Timed:
    """Ask, and stop a daemon amid the session.

    A busy machine may stop it so late that the session has ended by its own deadline: then again.
    """
    for _ in range(TRIES_MAX):
        wanted = begun_in(log) + 1
        question = Question(stack["gateway"].port, asked)
        wait_until(partial(_has_begun, log, wanted), "the session begins")
        stopped(stack[role])
        found = question.result()
        if found.answer.json()["error"]["code"] != "timeout":
            return found
        os.kill(stack[role].pid, signal.SIGCONT)
    raise AssertionError(f"{role} was stopped too late {TRIES_MAX} times")


@pytest.mark.parametrize("deadline_ms", [300, 2_500])
@pytest.mark.parametrize("role", ["validatord", "chatd"])
def test_a_daemon_stopped_amid_a_session_holds_nobody(
    apart: dict[str, Process], tmp_path: Path, role: str, deadline_ms: int
) -> None:
    """`crashed` within two seconds of the deadline; a stopped chatd leaves its row too."""
    found = asked_and_stopped(apart, tmp_path / "log", role, body("slow", deadline_ms))

    reply = found.answer.json()
    assert reply["error"]["code"] == "crashed", reply["error"]
    assert role in reply["error"]["hint"]
    assert found.answer.status == 502
    assert deadline_ms / 1000 < found.took_s < deadline_ms / 1000 + BEYOND_S + SLACK_S
    if role == "chatd":
        rows = call(apart["gateway"].port, "GET", f"/v1/sessions/{reply['session_id']}")
        [row] = rows.json()["rows"]
        assert row["error"]["code"] == "crashed"
        assert "/livez" in row["error"]["detail"]
    # The row is the validator's: it writes it when it goes on, and only once.
    os.kill(apart[role].pid, signal.SIGCONT)
    path = f"/v1/sessions/{reply['session_id']}"
    wait_until(lambda: call(apart["gateway"].port, "GET", path).status == 200, "the row")
    [row] = call(apart["gateway"].port, "GET", path).json()["rows"]
    assert row["row_id"] == reply["row_id"]


@pytest.mark.parametrize("role", ["validatord", "chatd"])
def test_a_daemon_stopped_before_the_session_holds_nobody(
    apart: dict[str, Process], role: str
) -> None:
    """The kernel takes the connection; nothing answers on it."""
    stopped(apart[role])
    found = Question(apart["gateway"].port, body("quick", 500)).result()
    assert found.answer.json()["error"]["code"] == "crashed"
    assert 0.5 < found.took_s < 0.5 + BEYOND_S + SLACK_S


def test_a_stopped_validator_holds_no_check(apart: dict[str, Process]) -> None:
    """`/v1/validate` and `/v1/kinds` have no deadline; they end within seconds all the same."""
    stopped(apart["validatord"])
    started = time.monotonic()
    checked = call(apart["gateway"].port, "POST", "/v1/validate", {"output": "{}", "schema": {}})
    kinds = call(apart["gateway"].port, "GET", "/v1/kinds")
    assert (checked.status, kinds.status) == (502, 502)
    assert checked.json()["code"] == kinds.json()["code"] == "crashed"
    assert time.monotonic() - started < 45  # each call of this test gives up after a minute


def test_a_model_that_takes_longer_than_the_deadline_is_a_timeout_not_a_crash(
    apart: dict[str, Process],
) -> None:
    """All daemons live and say so: the session ends by its own deadline."""
    found = Question(apart["gateway"].port, body("slow", 1_000)).result()
    assert found.answer.json()["error"]["code"] == "timeout"
    assert 1.0 <= found.took_s < 1.0 + BEYOND_S + SLACK_S


LOADING_SERVER = """
import http.server, json, sys, time
until = float("inf")
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        loading = time.monotonic() < until
        error = {"error": {"message": "Loading model", "code": 503}}
        self.answer(503 if loading else 200, error if loading else {"data": [{"id": "m"}]})
    def do_POST(self):
        global until
        self.rfile.read(int(self.headers["content-length"]))
        until = min(until, time.monotonic() + float(sys.argv[2]))
        if time.monotonic() < until:
            self.answer(503, {"error": {"message": "Loading model", "code": 503}})
        else:
            said = {"message": {"content": "{}"}, "finish_reason": "stop"}
            self.answer(200, {"choices": [said]})
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever(0.05)
"""


def test_a_model_that_loads_beyond_the_deadline_is_waited_for(tmp_path: Path) -> None:
    """Loading has its own budget: the outer daemons see that the inner ones live, and wait."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", LOADING_SERVER, str(port), "5"])
    text = (
        f'[log]\npath = "log"\n[models.m]\nprovider = "openai"\nmodel = "m"\n'
        f'base_url = "http://127.0.0.1:{port}/v1"\n'
    )
    try:
        with running_stack(tmp_path, text, apart=True) as stack:
            wait_until(lambda: _listens(port), "the endpoint listens")
            found = Question(stack["gateway"].port, body("x", 800, model="m")).result()
    finally:
        server.kill()
        server.wait()
    reply = found.answer.json()
    assert reply["verdict"] == "accepted", reply["error"]
    assert found.took_s > 2.8  # beyond the deadline and the time that a dead daemon is given


def test_the_configured_deadline_is_the_one_of_the_hop_too(tmp_path: Path) -> None:
    """A request without a deadline has the configuration's, at the door as well."""
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    text = config("[session]\ndeadline_ms = 1200\n")
    with running_stack(tmp_path, text, apart=True) as stack:
        asked = {"prompt": "slow", "schema": {"type": "object"}}
        found = asked_and_stopped(stack, tmp_path / "log", "validatord", asked)
        os.kill(stack["validatord"].pid, signal.SIGCONT)
    assert found.answer.json()["error"]["code"] == "crashed"
    assert found.took_s < 1.2 + BEYOND_S + SLACK_S


KIND = """
[tables.t]
path = "t.jsonl"
[kinds.k]
schema = "k.schema.json"
"""


@pytest.mark.parametrize("together", [True, False], ids=["one process", "three daemons"])
@pytest.mark.parametrize(
    "rule",
    [
        '[[kinds.k.grounding]]\npath = "/a"\ncolumn = "t.a"\n',
        '[[kinds.k.rules]]\nsql = "SELECT count(*) > 0 FROM t WHERE a = $a"\nmessage = "no a"\n',
    ],
    ids=["grounding", "rule"],
)
def test_a_slow_table_does_not_outlast_the_deadline(
    tmp_path: Path, rule: str, *, together: bool
) -> None:
    """The load goes on, and serves the next session."""
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    (tmp_path / "k.schema.json").write_text(
        '{"type": "object", "properties": {"a": {"type": "integer"}}}'
    )
    table, larger = tmp_path / "t.jsonl", tmp_path / "larger.jsonl"
    table.write_text('{"a": 1, "b": "text"}\n')
    with larger.open("w") as file:
        file.writelines(f'{{"a": {n}, "b": "text number {n}"}}\n' for n in range(400_000))
    with running_stack(tmp_path, config(KIND + rule), apart=not together) as stack:
        port = stack["gateway"].port
        larger.replace(table)  # the next session finds another file, and reads it
        asked = {"kind": "k", "prompt": "quick", "deadline_ms": 300}
        found = Question(port, asked).result()
        reply = found.answer.json()
        assert reply["error"]["code"] == "timeout", reply
        assert "tables" in reply["error"]["message"]
        assert found.took_s < 0.3 + BEYOND_S + SLACK_S
        [row] = call(port, "GET", f"/v1/sessions/{reply['session_id']}").json()["rows"]
        assert row["error"]["code"] == "timeout"

        def accepted() -> bool:
            again = call(port, "POST", "/v1/iterate", {**asked, "deadline_ms": 20_000})
            return bool(again.json()["verdict"] == "accepted")

        wait_until(accepted, "the load that went on serves a session")


def test_a_slow_rule_does_not_outlast_the_deadline(tmp_path: Path) -> None:
    """A rule that counts for long on this answer is cut off a second after the deadline at most."""
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    (tmp_path / "k.schema.json").write_text(
        '{"type": "object", "properties": {"a": {"type": "integer"}}}'
    )
    rule = (
        '[kinds.k]\nschema = "k.schema.json"\n[[kinds.k.rules]]\n'
        'sql = "SELECT count(*) >= 0 FROM range($a) x, range(100) y WHERE x.range % 7 = y.range"\n'
        'message = "never"\n'
    )
    with running_stack(tmp_path, config(rule), apart=False) as stack:
        asked = {"kind": "k", "prompt": "heavy", "deadline_ms": 4_000}
        found = Question(stack["gateway"].port, asked).result()
    assert found.answer.json()["error"]["code"] == "timeout", found.answer.json()
    assert "rules" in found.answer.json()["error"]["message"]
    assert found.took_s < 4.0 + BEYOND_S + SLACK_S


def test_a_slot_is_not_waited_for_beyond_the_deadline(tmp_path: Path) -> None:
    """The one slot is taken for a minute; who waits for it keeps to the own deadline."""
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    with running_stack(tmp_path, config("slots = 1\n"), apart=True) as stack:
        port = stack["gateway"].port
        holder = Question(port, body("slow", 8_000))
        wait_until(partial(_has_begun, tmp_path / "log", 1), "the slot is taken")
        found = Question(port, body("quick", 600)).result()
        assert found.answer.json()["error"]["code"] == "overloaded", found.answer.json()
        assert found.took_s < 0.6 + BEYOND_S + SLACK_S
        holder.result()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
