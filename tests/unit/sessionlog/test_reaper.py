"""Crashed sessions: exactly one row each, the same bytes whoever reaps, and only of the dead."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

import lakehouse
from lakehouse.core.row_codec import add_crc, decode_row, encode_line
from lakehouse.files.disk import Disk
from lakehouse.sessionlog.keeping.reaper import (
    CRASHED_MESSAGE,
    crashed_row,
    reap_dead,
)
from lakehouse.sessionlog.keeping.sealing import reap
from lakehouse.sessionlog.keeping.sealing import seal as seal_log
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.lines import dead_writers
from lakehouse.sessionlog.reading.reader import find_rows, read_rows
from support.dead_writer import dead_writer
from support.log_counts import unfinished
from support.rows import make_row, make_started

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(
        (str(Path(lakehouse.__file__).parent.parent), str(Path(__file__).parents[2]))
    ),
}
LIVING = """
import sys, time
from pathlib import Path
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.rows import make_row, make_started
writer = SessionLogWriter.open(Path(sys.argv[1]), daemon="validatord")
writer.started(make_started(make_row(row_id="ab" * 16)))
print("started", flush=True)
time.sleep(60)
"""


def test_the_row_of_a_crashed_session():
    """The started members copied, the rest as the contract says."""
    whole = make_row(prompt="Ölfleck — 🛬", metadata={"a": "b"})
    row = decode_row(crashed_row(encode_line(make_started(whole))))

    assert row == msgspec.structs.replace(
        whole,
        verdict="infra_error",
        iterations=0,
        accepted_iteration=None,
        grounded=None,
        artifact=row.artifact,
        attempts=(),
        error=row.error,
        usage=row.usage,
        duration_ms=0,
        tables={},
    )
    assert row.error is not None
    assert (row.error.code, row.error.message) == ("crashed", CRASHED_MESSAGE)
    assert row.error.detail is None
    assert b'"message":"%b","detail":null}' % CRASHED_MESSAGE.encode() in encode_line(row)
    assert (row.usage.prompt_tokens, row.usage.completion_tokens) == (None, None)
    assert bytes(row.artifact) == b"null"


def test_members_that_a_newer_version_added_stay():
    """With their own bytes, before the crc."""
    line = encode_line(make_started(make_row()))
    newer = add_crc(line[:-18] + b',"colour":{"n":1.10}}')

    row = crashed_row(newer)

    assert b',"tables":{},"colour":{"n":1.10},"crc":"' in row
    decode_row(row)


def test_each_session_is_reaped_once(tmp_path: Path):
    """Also by several reapers one after the other, and after sealing."""
    ended, lost = make_row(), [make_row() for _ in range(3)]
    dead_writer(tmp_path, rows=[ended], running=lost)
    assert len(unfinished(tmp_path)) == 3

    assert set(reap(tmp_path)) == {row.row_id for row in lost}
    assert reap(tmp_path) == ()
    seal_log(tmp_path)
    assert reap(tmp_path) == ()

    found = verify(tmp_path)
    assert (found.rows, found.duplicates, found.unfinished) == (4, 0, 0)
    (line,) = find_rows(tmp_path, lost[0].row_id)
    assert line == crashed_row(encode_line(make_started(lost[0])))


def test_a_row_in_another_file_counts(tmp_path: Path):
    """The reaper before us wrote it and died before it sealed anything."""
    lost = make_row()
    dead_writer(tmp_path, running=[lost])
    assert reap_dead(tmp_path, dead_writers(tmp_path), disk=Disk()).row_ids == (lost.row_id,)

    assert reap_dead(tmp_path, dead_writers(tmp_path), disk=Disk()).row_ids == ()
    assert sum(1 for _ in read_rows(tmp_path)) == 1


@pytest.mark.parametrize("stopped", [False, True])
def test_a_process_that_lives_is_not_reaped(tmp_path: Path, stopped: bool):
    """Nor one that is only stopped: it may go on. Killed, it is."""
    child = subprocess.Popen(
        [sys.executable, "-c", LIVING, str(tmp_path)], stdout=subprocess.PIPE, env=ENVIRONMENT
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"started\n"
        if stopped:
            os.kill(child.pid, signal.SIGSTOP)
            for _ in range(500):
                if f"{child.pid} (" in (stat := Path(f"/proc/{child.pid}/stat").read_text()) and (
                    stat.rpartition(")")[2].split()[0] == "T"
                ):
                    break
                time.sleep(0.01)
            else:
                pytest.fail("the process did not stop")
        assert reap(tmp_path) == ()
        assert seal_log(tmp_path).sealed == ()
    finally:
        child.kill()
        child.wait(60)
        assert child.stdout is not None
        child.stdout.close()

    assert reap(tmp_path) == ("ab" * 16,)


def test_a_started_line_that_is_damaged_is_no_session(tmp_path: Path):
    """No row is made of bytes that nobody vouches for."""
    row = make_row()
    dead_writer(tmp_path, running=[row])
    (path,) = (tmp_path / "active").iterdir()
    path.write_bytes(path.read_bytes().replace(b"Oslo", b"Osla"))

    assert reap(tmp_path) == ()
    assert not verify(tmp_path).sound
