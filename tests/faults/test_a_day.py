"""A day in production, under load: reloads, a killed worker, a dead model, a rolling restart.

Nobody is refused, and the log's rows are the calls that were made.
"""

import os
import signal
import socket
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from faults.oracle import times
from lakehouse.core.row_codec import decode_row
from lakehouse.gateway.auth import NewKey, new_key
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.reading.reader import read_rows
from support.day_callers import DayCallers
from support.endpoint import completion, endpoint
from support.handed_socket import handing_over
from support.processes import children_of
from support.stack import Answer, Process, call
from support.waiting import wait_until

CALLERS = 8
SCRIPT = '{"matches": {"": [{"text": "{}", "delay_ms": 20}]}}'
CONFIG = """
[log]
path = "log"
[gateway]
listen = "127.0.0.1:{port}"
api_keys_file = "keys"
admin_keys = ["ops"]
[models.quick]
provider = "scripted"
model = "near"
script = "script.json"
slots = 16
[models.away]
provider = "openai"
base_url = "{far}"
model = "far"
slots = 2
[kinds.near]
schema = "any.json"
model = "quick"
[kinds.far]
schema = "any.json"
model = "away"
"""


class Day:
    """A stack of two workers on a socket that outlives it, and its operator."""

    def __init__(self, directory: Path, listener: socket.socket) -> None:
        self.directory = directory
        self.listener = listener
        self.port: int = listener.getsockname()[1]
        self.ops, self.caller = new_key("ops"), new_key("caller")
        (directory / "script.json").write_text(SCRIPT)
        (directory / "any.json").write_text('{"type": "object"}')
        self.write_keys(self.ops, self.caller)

    def write_keys(self, *keys: NewKey) -> None:
        (self.directory / "keys").write_text("".join(f"{key.entry}\n" for key in keys))

    def write(self, far: str, more: str = "") -> None:
        text = CONFIG.format(port=self.port, far=far) + more
        (self.directory / "lakehouse.toml").write_text(text)

    def start(self, ends: ExitStack) -> Process:
        process = Process(
            "up",
            self.directory / "lakehouse.toml",
            self.port,
            {},
            ("--workers", "2"),
            wrapped=handing_over(self.listener),
            pass_fds=[self.listener.fileno()],
        )
        ends.callback(process.stop)
        return process

    def reload(self) -> Answer:
        return call(self.port, "POST", "/v1/reload", None, self._as(self.ops))

    def ready(self) -> Any:
        return call(self.port, "GET", "/readyz", None, self._as(self.ops)).json()

    def ask(self, kind: str, key: NewKey) -> Answer:
        body = {"kind": kind, "prompt": "y", "max_iterations": 1}
        return call(self.port, "POST", "/v1/iterate", body, self._as(key))

    @staticmethod
    def _as(key: NewKey) -> dict[str, str]:
        return {"Authorization": f"Bearer {key.secret}"}


def test_rows_equal_calls_through_a_day(tmp_path: Path) -> None:
    with ExitStack() as ends:
        listener = ends.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
        listener.set_inheritable(True)
        day = Day(tmp_path, listener)
        dying = ExitStack()
        ends.callback(dying.close)
        far = dying.enter_context(endpoint(lambda _: completion("{}")))
        day.write(far.base_url)
        process = day.start(ends)
        wait_until(lambda: day.ready()["workers"]["running"] == 2, "both workers")
        load = DayCallers(day.port, day.caller.secret, ("near", "far"), CALLERS)
        ends.callback(load.end)

        def some_more(count: int = 4 * CALLERS) -> None:
            before = len(load.answered)
            wait_until(lambda: len(load.answered) >= before + count, "more answers")

        some_more()
        assert day.ask("third", day.caller).json()["code"] == "unknown_kind"
        for turn in range(times(2, 50)):  # the good, the bad, and a key that comes
            day.write(far.base_url, '[kinds.third]\nschema = "any.json"\nmodel = "quick"\n')
            assert day.reload().status == 200
            assert day.ask("third", day.caller).status == 200
            day.write(far.base_url, "[kinds")
            assert (day.reload().status, day.ready()["config"]) == (422, "stale")
            day.write(far.base_url)
            late = new_key(f"late-{turn}")
            day.write_keys(day.ops, day.caller, late)
            assert day.ask("near", late).status == 401
            assert day.reload().status == 200
            assert day.ask("near", late).status == 200
            some_more(times(CALLERS, 200))

        assert load.cut == []
        victim = children_of(process.pid)[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in children_of(process.pid), "the worker's end")
        wait_until(lambda: day.ready()["workers"]["running"] == 2, "another worker")
        some_more()
        lost = list(load.cut)

        assert load.statuses["far"] == {200}
        dying.close()  # the model's machine is gone
        wait_until(lambda: 502 in load.statuses["far"], "calls that do not reach the model")
        some_more()
        again = ends.enter_context(endpoint(lambda _: completion("{}")))
        day.write(again.base_url)
        assert day.reload().status == 200
        wait_until(lambda: day.ask("far", day.caller).status == 200, "the model elsewhere")
        some_more()

        assert process.stop(signal.SIGTERM) == 0  # a rolling restart: the socket stays
        process = day.start(ends)
        some_more()
        load.end()
        assert process.stop(signal.SIGTERM) == 0

    assert load.refused == []
    assert load.cut == lost, "only a killed worker cuts connections"
    assert len(lost) <= CALLERS
    assert load.statuses["near"] == {200}
    seal(tmp_path / "log")
    rows = [decode_row(line) for line in read_rows(tmp_path / "log")]
    named = Counter(row.session_id for row in rows if row.session_id.startswith("day-"))
    assert set(named.values()) == {1}
    assert load.answered.keys() <= named.keys() <= {*load.answered, *lost}
    codes = {row.error.code for row in rows if row.error is not None}
    assert codes <= {"connect", "crashed"}
    assert "connect" in codes
