"""Eight writers that rotate all the time, others that seal, and readers who look on."""

import os
import signal
import time
from pathlib import Path

import pytest

from faults.oracle import check, end, start, times, told
from lakehouse.sessionlog.sealing import seal
from lakehouse.sessionlog.views import open_views

WRITERS = 8
ROWS = times(130, 2_500)  # of each writer, a segment each
READS = times(300, 10_000)
STOPS = times(20, 200)


@pytest.mark.timeout(600)
def test_readers_of_a_log_that_rotates_see_every_row_once(tmp_path: Path):
    """No error, no row without members, no row twice, and never fewer than before."""
    options = ["--rows", ROWS, "--at-once", 2, "--segment-bytes", 1, "--tend"]
    writers = [start("producer.py", tmp_path, *options) for _ in range(WRITERS)]
    tender = start("tender.py", tmp_path)
    reads = before = 0
    while any(writer.poll() is None for writer in writers) or reads < READS:
        with open_views(tmp_path) as connection:
            columns = "count(*), count(DISTINCT row_id), count(session_id), count(attempts)"
            found = connection.execute(f"SELECT {columns} FROM sessions").fetchone()
        assert found is not None
        assert len(set(found)) == 1, f"rows, ids, sessions, attempts: {found}"
        assert found[0] >= before
        before = found[0]
        reads += 1
    said = told(*(end(writer) for writer in writers))
    end(tender, kill=True)
    assert len(said.acked) == WRITERS * ROWS
    verified = check(tmp_path, said)
    assert verified.files >= WRITERS * ROWS * 0.9  # it did rotate
    print(f"{verified.files} segments, {reads} reads, {before} rows at the last")


@pytest.mark.timeout(300)
def test_a_stopped_writer_is_not_a_dead_one(tmp_path: Path):
    """SIGSTOP while others reap, SIGCONT: its sessions end as if nothing had been."""
    outputs = []
    for _ in range(STOPS):
        writer = start("producer.py", tmp_path, "--left-running", 3, "--rows", 20, "--wait")
        assert writer.stdout is not None
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
