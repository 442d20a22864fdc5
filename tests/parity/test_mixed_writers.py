"""Programs of every runtime append to one log at once, and are killed: nothing is lost or glued."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faults.oracle import ENVIRONMENT, PROGRAMS, wait_until
from lakehouse.core.row_codec import decode_row
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.reading.reader import read_rows
from parity.runtimes import NAMES, writer

ROUNDS = 8
OF_EACH = 2


class Writer:
    """One program of a runtime that appends rows without end; what it says goes to a file."""

    def __init__(self, runtime: str, log: Path, said: Path) -> None:
        self.runtime = runtime
        self._said = said
        if runtime == "python":
            command = [sys.executable, str(PROGRAMS / "producer.py"), str(log)]
        else:
            command = [str(writer(runtime)), "append", "--log", str(log), "--rows", "1000000"]
        with said.open("wb") as stdout:
            self.process = subprocess.Popen(command, stdout=stdout, env=ENVIRONMENT)
        self.is_at_work = lambda: said.stat().st_size > 0

    def kill(self) -> None:
        """Kill it, and see that this is what ended it."""
        self.process.kill()
        self.process.wait()
        assert self.process.returncode == -signal.SIGKILL, f"{self.runtime} ended by itself"

    def acknowledged(self) -> set[str]:
        """Read which rows it said are durable; a line that its end cut was not said."""
        said = self._said.read_text("utf-8").split("\n")[:-1]
        if self.runtime != "python":
            return set(said)
        return {line.removeprefix("acked ") for line in said if line.startswith("acked ")}


def killed_together(root: Path, chance: random.Random) -> dict[str, set[str]]:
    """Run writers of all runtimes at once and kill each; gives what each runtime acknowledged."""
    (root / "said").mkdir(exist_ok=True)
    names = [name for name in ("python", *NAMES) for _ in range(OF_EACH)]
    chance.shuffle(names)
    writers = [
        Writer(name, root / "log", root / "said" / f"{number}") for number, name in enumerate(names)
    ]
    for one in writers:
        wait_until(one.is_at_work, f"a first row of {one.runtime}")
    for one in writers:
        time.sleep(chance.uniform(0, 0.05))
        one.kill()
    acked: dict[str, set[str]] = {}
    for one in writers:
        acked[one.runtime] = acked.get(one.runtime, set()) | one.acknowledged()
    return acked


@pytest.mark.timeout(300)
def test_every_acknowledged_row_is_there_once_whoever_wrote_it(tmp_path: Path):
    """All killed while they wrote; all lines are whole rows, or listed as torn."""
    chance = random.Random(7)
    acked: dict[str, set[str]] = {}
    for _ in range(ROUNDS):
        for name, row_ids in killed_together(tmp_path, chance).items():
            acked[name] = acked.get(name, set()) | row_ids

    assert set(acked) == {"python", *NAMES}
    assert all(len(row_ids) > ROUNDS * OF_EACH for row_ids in acked.values()), acked.keys()
    log = tmp_path / "log"
    seal(log)
    rows = [decode_row(line) for line in read_rows(log)]
    ids = [row.row_id for row in rows]
    assert len(ids) == len(set(ids))
    for name, wanted in acked.items():
        assert wanted <= set(ids), f"{name} lost {len(wanted - set(ids))} acknowledged rows"
    verified = verify(log)
    assert verified.duplicates == 0
    assert verified.sound, verified.bad
    assert verified.unchecked == 0
    print({name: len(rows) for name, rows in acked.items()}, len(verified.bad), "torn")


def test_a_lost_row_would_be_seen(tmp_path: Path):
    """One line less in one file, and the same check finds it."""
    acked = killed_together(tmp_path, random.Random(1))
    wanted = set.union(*acked.values())
    segment = max((tmp_path / "log" / "active").iterdir(), key=lambda path: path.stat().st_size)
    lines = segment.read_bytes().split(b"\n")
    gone = next(
        number
        for number, line in enumerate(lines)
        if b'"verdict":' in line and decode_row(line).row_id in wanted
    )
    segment.write_bytes(b"\n".join(lines[:gone] + lines[gone + 1 :]))

    ids = {decode_row(line).row_id for line in read_rows(tmp_path / "log")}
    assert len(wanted - ids) == 1
