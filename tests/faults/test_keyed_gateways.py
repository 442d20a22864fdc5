"""Idempotency keys over four whole daemons that share one log, under kill -9.

The clients do what real ones do: after a broken connection, or an answer that says so, they send
the same request with the same key again, to another daemon.
"""

import contextlib
import http.client
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lakehouse.core.row_codec import decode_row
from lakehouse.openai_api.door import PATHS
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.reading.reader import read_lines
from support.openai_door import asked, formatted, text_of
from support.raw_stream import RawStream
from support.stack import SCRIPTED, Process, call, free_port
from support.waiting import wait_until

PROCESSES = 4
ROUNDS = 5
KEYS_A_ROUND = 4
CALLS_A_KEY = 10
CALLS = ROUNDS * KEYS_A_ROUND * CALLS_A_KEY
TRIES_MAX = 200
ROUTES = ("chat", "responses", "iterate")
SESSION_MS = 700

pytestmark = pytest.mark.timeout(300)


class Ask(NamedTuple):
    """One call: its key, its route, and whether it is streamed."""

    key: int
    route: str
    streamed: bool

    @property
    def artifact(self) -> str:
        return json.dumps({"key": self.key}, separators=(",", ":"))


class Answered(NamedTuple):
    """What the caller got in the end."""

    key: int
    session_id: str
    row_id: str
    artifact: str
    replayed: bool
    broken: int


def asks() -> list[Ask]:
    """The calls of every round. A key is for one route and body; chat and Responses also stream."""
    found = []
    for key in range(ROUNDS * KEYS_A_ROUND):
        route = ROUTES[key % len(ROUTES)]
        streamed = route != "iterate" and key % 2 == 1
        found += [Ask(key, route, streamed)] * CALLS_A_KEY
    return found


class Gateways:
    """The daemons, each on a port of its own that it keeps when it is started again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ports = [free_port() for _ in range(PROCESSES)]
        self.processes = [self._start(port) for port in self.ports]
        self.killed_under_way = 0

    def _start(self, port: int) -> Process:
        listen = {"LAKEHOUSE_GATEWAY__LISTEN": f'"127.0.0.1:{port}"'}
        return Process("up", self.directory / "lakehouse.toml", port, listen)

    def kill_one_under_way(self) -> int:
        """Kill a daemon that is in the middle of a session, which is seen while it stands still."""
        victim: list[int] = []

        def struck() -> bool:
            for number, process in enumerate(self.processes):
                os.kill(process.pid, signal.SIGSTOP)
                if under_way(process.pid):
                    victim.append(number)
                    assert process.stop(signal.SIGKILL) == -signal.SIGKILL
                    return True
                os.kill(process.pid, signal.SIGCONT)
            return False

        wait_until(struck, "a session under way")
        self.killed_under_way += 1
        return victim[0]

    def restart(self, number: int) -> None:
        self.processes[number] = self._start(self.ports[number])

    def close(self) -> list[int]:
        return [process.stop(signal.SIGTERM) for process in self.processes]


def under_way(pid: int) -> set[str]:
    """The sessions that a process has begun and not ended, by the files that it writes."""
    begun: set[str] = set()
    ended: set[str] = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            file = descriptor.readlink()
            if file.parent.name == "active" and file.suffix == ".jsonl":
                for line in file.read_bytes().split(b"\n"):
                    with contextlib.suppress(ValueError):
                        told = json.loads(line)
                        to = begun if told["schema"] == "session.started.v1" else ended
                        to.add(told.get("row_id", ""))
    return begun - ended


def prompt(ask: Ask) -> str:
    return f"key {ask.key} of them"


def body(ask: Ask) -> dict[str, Any]:
    schema = {"type": "object"}
    if ask.route == "iterate":
        return {"schema": schema, "prompt": prompt(ask), "model": "small"}
    members = formatted(ask.route, schema) | {"stream": ask.streamed}  # type: ignore[arg-type]
    return asked(ask.route, "small", prompt(ask), **members)  # type: ignore[arg-type]


def once(port: int, ask: Ask) -> tuple[int, dict[str, str], bytes] | None:
    """Make one call; None where no whole answer came."""
    path = "/v1/iterate" if ask.route == "iterate" else PATHS[ask.route]  # type: ignore[index]
    headers = {"Idempotency-Key": f"key-{ask.key}"}
    data = json.dumps(body(ask)).encode()
    try:
        if not ask.streamed:
            answer = call(port, "POST", path, data, headers)
            return answer.status, answer.headers, answer.body
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        head += f"Idempotency-Key: key-{ask.key}\r\nContent-Length: {len(data)}\r\n\r\n"
        told = RawStream(port, head.encode() + data).rest()
    except (OSError, EOFError, http.client.HTTPException):
        return None
    return (told.status, told.headers, told.body) if told.whole else None


def until_answered(ports: list[int], number: int, ask: Ask) -> Answered:
    """Call again and again, each time at the next daemon, as long as an answer allows it."""
    broken = 0
    for attempt in range(TRIES_MAX):
        told = once(ports[(number + attempt) % len(ports)], ask)
        if told is None:
            broken += 1
            time.sleep(0.05)  # as a client backs off
            continue
        status, headers, data = told
        assert status in {200, 502, 503, 504}, data
        if status != 200:
            assert headers.get("x-should-retry", "true") == "true", data
            continue
        replayed = "x-lakehouse-replayed" in headers
        identity = headers["x-lakehouse-trace-id"]
        return Answered(ask.key, identity, row_id(ask, data), artifact(ask, data), replayed, broken)
    raise AssertionError(f"{ask} was never answered")


def artifact(ask: Ask, data: bytes) -> str:
    if ask.route == "iterate":
        return json.dumps(json.loads(data)["artifact"], separators=(",", ":"))
    return text_of(ask.route, data, streamed=ask.streamed)  # type: ignore[arg-type]


def row_id(ask: Ask, data: bytes) -> str:
    if not ask.streamed:
        told = json.loads(data)
        return str(told["row_id"] if ask.route == "iterate" else told["lakehouse"]["row_id"])
    lines = [line for line in data.split(b"\n") if b'"row_id"' in line]
    told = json.loads(lines[-1].removeprefix(b"data: "))
    told = told["response"] if ask.route == "responses" else told
    return str(told["lakehouse"]["row_id"])


@pytest.fixture
def gateways(tmp_path: Path) -> Iterator[Gateways]:
    keys = range(ROUNDS * KEYS_A_ROUND)
    matches = {
        f"key {key} of": [{"text": json.dumps({"key": key}), "delay_ms": SESSION_MS}]
        for key in keys
    }
    (tmp_path / "script.json").write_text(json.dumps({"matches": matches}))
    (tmp_path / "lakehouse.toml").write_text(SCRIPTED)
    running = Gateways(tmp_path)
    try:
        yield running
    finally:
        for process in running.processes:
            process.stop(signal.SIGKILL)


def test_a_key_is_one_session_whichever_daemon_is_killed(gateways: Gateways, tmp_path: Path):
    """200 calls with 20 keys at four daemons, five of them killed in the middle of a session."""
    chance = random.Random(13)
    calls = asks()
    assert len(calls) == CALLS
    answers: list[Answered] = []
    a_round = KEYS_A_ROUND * CALLS_A_KEY
    with ThreadPoolExecutor(a_round) as pool:
        for start in range(0, CALLS, a_round):
            batch = calls[start : start + a_round]
            chance.shuffle(batch)
            coming: list[Future[Answered]] = [
                pool.submit(until_answered, gateways.ports, number, ask)
                for number, ask in enumerate(batch)
            ]
            gateways.restart(gateways.kill_one_under_way())
            answers += [one.result(120) for one in coming]
    codes = gateways.close()

    assert codes == [0] * PROCESSES
    assert gateways.killed_under_way == ROUNDS
    assert sum(answer.broken for answer in answers) >= ROUNDS, "callers saw the daemons die"
    hold(tmp_path / "log", answers)


def hold(root: Path, answers: list[Answered]) -> None:
    """As many sessions and rows as keys, in what was said and in the log."""
    keys = ROUNDS * KEYS_A_ROUND
    assert len(answers) == CALLS
    said = {(one.key, one.session_id, one.row_id, one.artifact) for one in answers}
    assert len(said) == keys, "every call with one key got one session, one row, one artifact"
    for key, _, _, told in said:
        assert json.loads(told) == {"key": key}
    # A run may end after its caller is gone: then nobody saw the answer that was no repetition.
    assert sum(not answer.replayed for answer in answers) <= keys
    lines = [entry.line.data for entry in read_lines(root) if entry.kind == "row"]
    rows = [decode_row(line) for line in lines]
    assert {(row.session_id, row.row_id) for row in rows} == {one[1:3] for one in said}
    assert len(rows) == keys
    assert {row.verdict for row in rows} == {"accepted"}
    assert {row.metadata.get("door") for row in rows} == {"openai.chat", "openai.responses", None}
    seal(root)
    found = verify(root)
    assert (found.sound, found.rows, found.unfinished) == (True, keys, 0)
