"""A daemon that is told to stop under load, again and again: every session has its row."""

import contextlib
import json
import random
import signal
import threading
import time
from pathlib import Path

import msgspec
import pytest

from faults.oracle import times
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.reading.reader import read_rows
from support.stack import call, running_stack

RESTARTS = times(20, 300)
IN_FLIGHT = 50

CONFIG = """
[log]
path = "log"
[session]
drain_ms = 1000
[models.small]
provider = "scripted"
model = "tiny"
slots = 64
script = "script.json"
"""
# Some end within the time to drain, some do not and become rows of their own kind.
SCRIPT = {
    "matches": {
        "quick": [{"text": "{}", "delay_ms": 150}],
        "slow": [{"text": "{}", "delay_ms": 30_000}],
    }
}


class Callers:
    """Threads that ask one session after the other, until nobody answers any more."""

    def __init__(self, port: int) -> None:
        self.verdicts: dict[str, tuple[str, str | None]] = {}
        self.refused = 0
        self._port = port
        self._threads = [threading.Thread(target=self._run, args=(i,)) for i in range(IN_FLIGHT)]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        prompt = "slow" if number % 10 == 0 else "quick"
        body = {"schema": {"type": "object"}, "prompt": prompt, "model": "small"}
        with contextlib.suppress(OSError):
            while True:
                answer = call(self._port, "POST", "/v1/iterate", body).json()
                if "row_id" not in answer:  # refused before it was taken on
                    self.refused += 1
                    return
                code = (answer["error"] or {}).get("code")
                self.verdicts[answer["row_id"]] = (answer["verdict"], code)

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(60)


@pytest.mark.timeout(times(300, 7_200))
def test_sigterm_under_load_loses_no_session(tmp_path: Path):
    """The rows of the log are the sessions that were answered, each with its verdict."""
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    chance = random.Random(3)
    answered: dict[str, tuple[str, str | None]] = {}
    shutdowns = 0
    for _ in range(RESTARTS):
        with running_stack(tmp_path, CONFIG, apart=False) as processes:
            daemon = processes["gateway"]
            callers = Callers(daemon.port)
            while not callers.verdicts:
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.3))
            assert daemon.stop(signal.SIGTERM) == 0
            callers.wait()
        answered |= callers.verdicts
        stopped = [verdict for verdict in callers.verdicts.values() if verdict[1] == "shutdown"]
        shutdowns += len(stopped)
    assert shutdowns >= RESTARTS, "no session was cut off by a stop"
    seal(tmp_path / "log")
    found = {}
    for line in read_rows(tmp_path / "log"):
        row = msgspec.json.decode(line)
        found[row["row_id"]] = (row["verdict"], (row["error"] or {}).get("code"))
    assert found == answered
    verified = verify(tmp_path / "log")
    assert (verified.sound, verified.unfinished, verified.duplicates) == (True, 0, 0)
    print(f"{RESTARTS} restarts, {len(found)} sessions, {shutdowns} of them cut off")
