"""Lines longer than any row, files larger than any disk, and more files than descriptors."""

import asyncio
import json
import os
import resource
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from lakehouse.core.limits import ROW_BYTES_MAX
from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.layout import LogFile, manifest_path
from lakehouse.sessionlog.manifest import encode_manifest, examine
from lakehouse.sessionlog.reading.query import query
from lakehouse.sessionlog.reading.reader import Follower, find_rows, read_rows
from lakehouse.sessionlog.reading.sessions import list_sessions
from lakehouse.sessionlog.reading.stats import stats
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.log_counts import count
from support.rows import make_row


def fill(root: Path, rows: int = 1) -> None:
    writer = SessionLogWriter.open(root, daemon="validatord")
    for _ in range(rows):
        asyncio.run(writer.append(make_row()))
    writer.close()


def every_reader(root: Path, rows: int) -> None:
    assert stats(root).sessions == rows
    counted = json.loads(query(root, "SELECT count(*) AS n FROM sessions").json())
    assert counted == [{"n": rows}]
    assert len(list(read_rows(root))) == rows
    assert len(list_sessions(root).rows) == rows
    assert count(root).rows == rows
    assert find_rows(root, "nobody") == []
    assert len(list(Follower(root, from_start=True).poll())) == rows


def test_a_segment_is_examined_in_little_memory(tmp_path: Path) -> None:
    """A daemon does it every minute, and what it once took stays with it."""
    path = tmp_path / "s-0.jsonl"
    line = b"\n" + encode_line(make_row()) + b"\n"
    path.write_bytes(line * ((24 << 20) // len(line)))
    file = LogFile(tmp_path, "", path.name, "s", 0)
    with path.open("rb") as opened:
        examine(file, opened.fileno())  # what is kept between calls is there
        tracemalloc.start()
        manifest, bad = examine(file, opened.fileno())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (manifest.rows, bad) == ((24 << 20) // len(line), [])
    assert peak < 3 << 20


LONG = {
    "over DuckDB's buffer": b"x" * (140 << 20) + b"\n",
    "unended": b"x" * (70 << 20),
    "JSON that is no row": b'{"schema":"x","a":"' + b"y" * (100 << 20) + b'"}\n',
    "a row that is too long": encode_line(make_row(prompt="p")).replace(
        b'"prompt":"p"', b'"prompt":"' + b"p" * (ROW_BYTES_MAX + 1) + b'"'
    )
    + b"\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("line", LONG)
@pytest.mark.parametrize("place", ["active", "inbox.jsonl", "feedback.jsonl"])
def test_a_line_that_is_too_long_costs_no_row(tmp_path: Path, place: str, line: str):
    """One piece of damage, and every reader shows the rows around it."""
    fill(tmp_path, 2)
    path = tmp_path / place
    if place == "active":
        [path] = path.iterdir()
    with path.open("ab") as file:
        file.write(b"\n" + LONG[line])
        if LONG[line].endswith(b"\n"):
            file.write(encode_line(make_row()) + b"\n")
    row_after = place != "feedback.jsonl" and LONG[line].endswith(b"\n")
    every_reader(tmp_path, 2 + row_after)
    if place != "feedback.jsonl":
        unfinished = place == "inbox.jsonl" and line == "unended"  # no damage while it may go on
        assert [bad.bytes > ROW_BYTES_MAX for bad in verify(tmp_path).bad] == [True] * (
            not unfinished
        )
        seal(tmp_path)
        every_reader(tmp_path, 2 + row_after)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["active/foreign-0.jsonl", "inbox.jsonl", "feedback.jsonl"])
def test_a_sparse_file_is_not_read_through(tmp_path: Path, place: str):
    """8 GiB of nothing, which no disk holds: its size costs no time."""
    fill(tmp_path, 2)
    with (tmp_path / place).open("wb") as file:
        file.write(b"\n" + encode_line(make_row()) + b"\n")
        file.truncate(8 << 30)
    rows = 2 if place == "feedback.jsonl" else 3
    before = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    every_reader(tmp_path, rows)
    after = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    # Reading it once would take 3 s of the processor, and there are seven readers.
    taken_s = sum(
        b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime
        for a, b in zip(before, after, strict=True)
    )
    assert taken_s < 8


_MANY = """
import json, resource, sys
from pathlib import Path
from lakehouse.sessionlog.reading.query import query
from lakehouse.sessionlog.reading.stats import stats
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.reading.sessions import list_sessions

resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
root = Path(sys.argv[1])
print(stats(root).sessions)
print(json.loads(query(root, "SELECT count(*) AS n FROM sessions", timeout_ms=100_000).json()))
print(len(list_sessions(root).rows))
print(verify(root).rows)
"""


@pytest.mark.slow
@pytest.mark.parametrize("directory", ["active", "sealed"])
def test_more_segments_than_descriptors(tmp_path: Path, directory: str):
    """2,000 files of other writers beside ours, and 1,024 descriptors."""
    fill(tmp_path, 2)
    line = b"\n" + encode_line(make_row()).partition(b',"crc"')[0] + b"}\n"
    for number in range(2_000):
        name = f"foreign{number}-0.jsonl"
        path = tmp_path / directory / name
        path.write_bytes(line.replace(b'"row_id":"', b'"row_id":"%05d' % number))
        if directory == "sealed":
            file = LogFile(tmp_path, directory, name, f"foreign{number}", 0)
            descriptor = os.open(path, os.O_RDONLY)
            manifest, _ = examine(file, descriptor)
            os.close(descriptor)
            manifest_path(tmp_path, name).write_bytes(encode_manifest(manifest))
    ended = subprocess.run(
        [sys.executable, "-c", _MANY, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.splitlines() == ["2002", "[{'n': 2002}]", "50", "2002"]
