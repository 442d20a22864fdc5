"""What lies in a log and is no file of it: told, stepped over, never waited for, never followed."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lakehouse.core.errors import LakehouseError
from lakehouse.files.regular import NotRegular
from lakehouse.sessionlog.keeping.sealing import reap, seal
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.reading.odd_entries import odd_entries
from lakehouse.sessionlog.reading.query import query
from lakehouse.sessionlog.reading.reader import Follower, find_rows, read_rows
from lakehouse.sessionlog.reading.sessions import list_sessions
from lakehouse.sessionlog.reading.stats import stats
from lakehouse.sessionlog.shared_file import append_lines
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.log_counts import count, unfinished
from support.rows import make_row

pytestmark = pytest.mark.timeout(60)  # a reader that waits for a FIFO waits for ever


def fill(root: Path, count: int = 1) -> None:
    writer = SessionLogWriter.open(root, daemon="validatord")
    for _ in range(count):
        asyncio.run(writer.append(make_row()))
    writer.close()


def make_socket(path: Path) -> None:
    # The path of a socket has at most 108 bytes.
    here = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(f"/proc/self/fd/{here}/{path.name}")
    finally:
        os.close(here)


def make_link(path: Path) -> None:
    outside = path.parents[1].parent / "outside.jsonl"
    outside.write_bytes(b'{"schema":"outside"}\n')
    path.symlink_to(outside)


SORTS: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a directory": Path.mkdir,
    "a symbolic link": make_link,
    "a socket": make_socket,
    "a device": lambda path: os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5)),  # /dev/zero
}
PLACES = ("active/foreign-0.jsonl", "sealed/foreign-0.jsonl", "inbox.jsonl", "feedback.jsonl")


def every_reader(root: Path) -> None:
    """All of them end, and show the two rows."""
    assert len(list(read_rows(root))) == 2
    assert len(list_sessions(root).rows) == 2
    assert stats(root).sessions == 2
    assert count(root).rows == 2
    assert json.loads(query(root, "SELECT count(*) AS n FROM sessions").json()) == [{"n": 2}]
    assert find_rows(root, "nobody") == []
    assert unfinished(root) == []
    assert len(list(Follower(root, from_start=True).poll())) == 2


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("sort", SORTS)
def test_it_is_told_and_stepped_over(tmp_path: Path, sort: str, place: str):
    """By verify and by log_bad_lines; every reader ends, and sealing goes on."""
    root = tmp_path / "log"
    fill(root, 2)
    (root / place).parent.mkdir(exist_ok=True)
    SORTS[sort](root / place)

    every_reader(root)
    found = verify(root)
    assert [(bad.file, bad.line) for bad in found.bad] == [(place, 0)]
    assert sort in found.bad[0].reason
    assert not found.sound
    rows = json.loads(query(root, "SELECT file, line, reason FROM log_bad_lines").json())
    assert [(row["file"], row["line"]) for row in rows] == [(place, 0)]
    reap(root)
    assert len([name for name in seal(root).sealed if not name.startswith("foreign")]) == 1
    every_reader(root)
    assert os.path.lexists(root / place), "it is not ours to remove"


@pytest.mark.parametrize(
    "place",
    [
        *("writers/someone.lock", "writers/someone.reserve", "quarantine/x.bad"),
        *("replay_runs.jsonl", "sealed/foreign-0.jsonl.manifest.json"),
    ],
)
def test_other_places_too(tmp_path: Path, place: str):
    """Locks, manifests, what was kept apart."""
    root = tmp_path / "log"
    fill(root, 2)
    (root / place).parent.mkdir(exist_ok=True)
    os.mkfifo(root / place)
    every_reader(root)
    assert [odd.file for odd in odd_entries(root)] == [place]
    assert seal(root).sealed
    every_reader(root)


@pytest.mark.parametrize("name", [b"\xff\xfe-0.jsonl", b"a\nb-0.jsonl", b"not a segment.jsonl"])
def test_names_that_are_no_segments(tmp_path: Path, name: bytes):
    """Their rows are not read, and that is told, in text that can be printed as JSON."""
    fill(tmp_path, 2)
    Path(os.fsdecode(os.fsencode(tmp_path / "active") + b"/" + name)).write_bytes(b"{}\n")
    every_reader(tmp_path)
    [odd] = odd_entries(tmp_path)
    assert "not a segment's" in odd.reason
    odd.file.encode("utf-8")
    rows = json.loads(query(tmp_path, "SELECT file FROM log_bad_lines").json())
    assert rows == [{"file": odd.file}]


def test_a_target_that_is_taken_stops_only_its_segment(tmp_path: Path):
    """A directory where a sealed segment should go: the others are sealed, and daemons go on."""
    fill(tmp_path)
    fill(tmp_path)
    first = min(path.name for path in (tmp_path / "active").iterdir())
    (tmp_path / "sealed" / first).mkdir()
    sealed = seal(tmp_path).sealed
    assert len(sealed) == 1
    assert first not in sealed
    assert [odd.file for odd in odd_entries(tmp_path)] == [f"sealed/{first}"]
    every_reader(tmp_path)


def test_a_fifo_under_the_name_of_a_temporary_file_is_not_waited_for(tmp_path: Path):
    """The name of what a sealer writes first can be known before."""
    fill(tmp_path)
    [name] = [path.name for path in (tmp_path / "active").iterdir()]
    os.mkfifo(tmp_path / "sealed" / f".{name}.manifest.json.tmp")
    assert seal(tmp_path).sealed == ()
    assert stats(tmp_path).sessions == 1


def test_a_linked_directory_is_not_followed(tmp_path: Path):
    """The rows of another log are not shown as ours."""
    fill(tmp_path / "other", 3)
    fill(tmp_path / "log")
    seal(tmp_path / "log")
    (tmp_path / "log" / "active").rmdir()
    (tmp_path / "log" / "active").symlink_to(tmp_path / "other" / "active")
    assert stats(tmp_path / "log").sessions == 1
    [odd] = odd_entries(tmp_path / "log")
    assert (odd.file, "symbolic link" in odd.reason) == ("active", True)


def test_a_plain_file_that_is_none_is_not_written_to(tmp_path: Path):
    """Feedback for a FIFO is an error at once."""
    os.mkfifo(tmp_path / "feedback.jsonl")
    with pytest.raises(NotRegular, match="FIFO"):
        append_lines(tmp_path / "feedback.jsonl", [b"{}"])


def test_what_was_forgotten_stays_hidden_or_nothing_is_shown(tmp_path: Path):
    """The list cannot be read: an error, and not the sessions that it hides."""
    fill(tmp_path)
    os.mkfifo(tmp_path / "forgotten.jsonl")
    with pytest.raises(LakehouseError, match=r"forgotten\.jsonl"):
        list_sessions(tmp_path)


_AS_NOBODY = """
import os, sys
sys.path[:0] = sys.argv[2].split(os.pathsep)
from pathlib import Path
from lakehouse.sessionlog.reading.odd_entries import odd_entries
from lakehouse.sessionlog.reading.reader import read_rows
from lakehouse.sessionlog.reading.stats import stats
os.setgid(65534)
os.setuid(65534)
root = Path(sys.argv[1])
print(len(list(read_rows(root))), stats(root).sessions)
for odd in odd_entries(root):
    print(odd.file, "|", odd.reason)
"""


def test_a_file_that_this_user_may_not_read(tmp_path: Path):
    """Another user, who may read all but one: the rest is shown, the one is told."""
    root = tmp_path / "log"
    fill(root, 2)
    [lock] = (root / "writers").glob("*.lock")
    for path in (*tmp_path.parents, tmp_path, *tmp_path.rglob("*")):
        if str(path).startswith("/tmp/"):
            path.chmod(0o755 if path.is_dir() else 0o644)
    (root / "active" / "foreign-0.jsonl").write_bytes(b"{}\n")
    (root / "active" / "foreign-0.jsonl").chmod(0)
    ended = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, str(root), os.pathsep.join(filter(None, sys.path))],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == [
        "2 2",
        "active/foreign-0.jsonl | Permission denied",
    ]
    assert lock.exists()


def test_a_daemon_with_a_fifo_in_its_log_ends_on_sigterm(tmp_path: Path):
    """It starts, seals and reads around it, and goes when it is told to."""
    log = tmp_path / "lakehouse-data" / "sessions"
    fill(log, 2)
    os.mkfifo(log / "active" / "foreign-0.jsonl")
    (tmp_path / "lakehouse.toml").write_text(
        '[gateway]\nlisten = "127.0.0.1:0"\n[models.m]\nprovider = "ollama"\nmodel = "m"\n'
        'base_url = "http://127.0.0.1:9"\npreload = false\n'
    )
    daemon = subprocess.Popen(
        [sys.executable, "-m", "lakehouse", "up"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        assert daemon.stdout is not None
        assert "http://" in daemon.stdout.readline()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(60) == 0
    finally:
        daemon.kill()
        daemon.communicate()
