"""Eight writers that rotate all the time, others that seal, and readers who look on."""

import os
import signal
import time
from pathlib import Path

import pytest

from faults.oracle import END_S, check, end, start, times, told
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.reading.views import open_views

WRITERS = 8
ROWS = times(130, 2_500)  # of each writer, a segment each
READS = 300  # of one log, each of which sees more than the one before
LOGS = times(1, 34)  # anew, since reading a log takes longer the more there is in it
STOPS = times(20, 200)


def look(root: Path) -> int:
    """Count the rows by SQL: each with its members, none twice."""
    with open_views(root) as connection:
        columns = "count(*), count(DISTINCT row_id), count(session_id), count(attempts)"
        found = connection.execute(f"SELECT {columns} FROM sessions").fetchone()
    assert found is not None
    assert len(set(found)) == 1, f"rows, ids, sessions, attempts: {found}"
    return int(found[0])


def look_until_more(root: Path, before: int) -> int:
    """Look until something was written since; no look may see less."""
    until = time.monotonic() + END_S
    while (count := look(root)) <= before:
        assert count == before, "a row is not there any more"
        assert time.monotonic() < until, "nobody writes any more"
        time.sleep(0.005)
    return count


@pytest.mark.timeout(times(900, 7_200))
def test_no_row_comes_into_a_segment_that_is_sealed(tmp_path: Path):
    """Every row rotates, and all writers and a tender seal all the time."""
    options = ["--rows", ROWS, "--at-once", 2, "--segment-bytes", 1, "--tend"]
    writers = [start("producer.py", tmp_path, *options) for _ in range(WRITERS)]
    tender = start("tender.py", tmp_path)
    said = told(*(end(writer) for writer in writers))
    end(tender, kill=True)
    assert len(said.acked) == WRITERS * ROWS
    verified = check(tmp_path, said)
    assert verified.files >= WRITERS * ROWS * 0.9  # it did rotate
    assert look(tmp_path) == WRITERS * ROWS
    print(f"{verified.files} segments")


@pytest.mark.timeout(times(900, 7_200))
def test_readers_of_a_living_log_see_every_row_once(tmp_path: Path):
    """No error, no row without members, no row twice, and never fewer than before."""
    options = ["--at-once", 2, "--segment-bytes", 200_000, "--tend", "--pause-s", 0.1]
    for number in range(LOGS):
        root = tmp_path / f"{number}"
        writers = [start("producer.py", root, *options) for _ in range(WRITERS)]
        tender = start("tender.py", root)
        seen = 0
        for _ in range(READS):
            seen = look_until_more(root, seen)
        said = told(*(end(process, kill=True) for process in writers))
        end(tender, kill=True)
        verified = check(root, said)
        print(f"{READS} reads of {seen} rows at the last, {verified.files} segments")


@pytest.mark.timeout(times(300, 7_200))
def test_a_stopped_writer_is_not_a_dead_one(tmp_path: Path):
    """SIGSTOP while others reap, SIGCONT: its sessions end as if nothing had been."""
    outputs = []
    for _ in range(STOPS):
        writer = start("producer.py", tmp_path, "--left-running", 3, "--rows", 20, "--wait")
        assert writer.stdout is not None
        assert writer.stdin is not None
        first = writer.stdout.readline().decode()
        os.kill(writer.pid, signal.SIGSTOP)
        state = Path(f"/proc/{writer.pid}/stat")
        while state.read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.001)
        done = seal(tmp_path)
        mine = first.split()[1]
        assert mine not in done.reaped
        os.kill(writer.pid, signal.SIGCONT)
        while not (line := writer.stdout.readline()).startswith(b"done"):
            first += line.decode()
        writer.stdin.write(b"\n")
        outputs.append(first + end(writer))
    said = told(*outputs)
    assert len(said.acked) == 20 * STOPS
    check(tmp_path, said)
