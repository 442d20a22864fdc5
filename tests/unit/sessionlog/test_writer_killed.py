"""Writers that are killed or cut while they append: no acknowledged row is lost."""

import random
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

import lakehouse
from lakehouse.sessionlog.reading.reader import read_lines, read_rows
from support.log_counts import count

SOURCE = str(Path(lakehouse.__file__).parent.parent)
TESTS = str(Path(__file__).parents[2])
_WRITER_PROGRAM = f"""
import asyncio, os, sys
sys.path[:0] = [{SOURCE!r}, {TESTS!r}]
from pathlib import Path
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.rows import make_row, make_started
"""
_ENDLESS = (
    _WRITER_PROGRAM
    + """
async def produce(writer, number):
    while True:
        row = make_row(prompt="p" * (number * 20_000))
        writer.started(make_started(row))
        await writer.append(row)
        os.write(1, (row.row_id + "\\n").encode())

async def main():
    writer = SessionLogWriter.open(Path(sys.argv[1]), daemon="validatord")
    await asyncio.gather(*(produce(writer, number) for number in range(4)))

asyncio.run(main())
"""
)
_LIMITED = (
    _WRITER_PROGRAM
    + """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

async def main():
    writer = SessionLogWriter.open(Path(sys.argv[1]), daemon="validatord")
    for _ in range(20):
        row = make_row(prompt="p" * 12_345)
        await writer.append(row)
        print(row.row_id, flush=True)
    writer.close()

asyncio.run(main())
"""
)


@pytest.mark.slow
def test_kill_9_loses_no_acknowledged_row(tmp_path: Path):
    """Twenty writers killed at random while they append: every acknowledged row is there once."""
    root = tmp_path / "log"
    chance = random.Random(20)
    acknowledged: list[str] = []
    children: list[tuple[subprocess.Popen[str], threading.Timer]] = []
    for _ in range(20):
        while len(children) >= 4:
            acknowledged += _reap(children.pop(0))
        child = subprocess.Popen(
            [sys.executable, "-c", _ENDLESS, str(root)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        acknowledged.append(child.stdout.readline().strip())  # it is writing now
        timer = threading.Timer(chance.uniform(0.0, 0.15), child.kill)
        timer.start()
        children.append((child, timer))
    for left in children:
        acknowledged += _reap(left)
    assert len(acknowledged) >= 20
    found = Counter(re.search(rb'"row_id":"(\w+)"', row)[1].decode() for row in read_rows(root))  # type: ignore[index]
    assert [row_id for row_id in acknowledged if found[row_id] != 1] == []
    assert count(root).duplicates == 0


def _reap(child: tuple[subprocess.Popen[str], threading.Timer]) -> list[str]:
    process, timer = child
    output, _ = process.communicate(timeout=60)
    timer.join()
    assert process.returncode == -signal.SIGKILL
    return [line for line in output.splitlines() if len(line) == 32]


def test_a_file_size_limit_cuts_writes_and_loses_nothing(tmp_path: Path):
    """The kernel's own short writes (RLIMIT_FSIZE): rows go on in new segments."""
    output = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()
    assert len(output) == 20
    counts = count(tmp_path / "log")
    assert counts.bad > 0, "the limit cut no write"
    assert counts.files > 3
    assert (counts.rows, counts.duplicates) == (20, 0)
    rows = {re.search(rb'"row_id":"(\w+)"', row)[1].decode() for row in read_rows(tmp_path / "log")}  # type: ignore[index]
    assert rows == set(output)
    assert all(entry.line.bytes <= 50_000 for entry in read_lines(tmp_path / "log"))
