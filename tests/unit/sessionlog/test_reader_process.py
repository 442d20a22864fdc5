"""A reader's process that dies: while idle, of its question, or before it has begun."""

import errno
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from lakehouse.sessionlog.index.background_builder import command
from lakehouse.sessionlog.index.reader import LogReader, ReadFailed
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.layout import IDENTITY
from lakehouse.sessionlog.reading.compacted import LogIdentity
from support.filled_log import fill
from support.indexed_log import answering
from support.rows import make_row


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[LogReader]:
    fill(tmp_path / "log", make_row())
    with LogReader(tmp_path / "log", builds=False) as one:
        yield one


def test_a_process_that_is_killed_while_idle_is_told_and_replaced(
    reader: LogReader, caplog: pytest.LogCaptureFixture
):
    """The question that found it dead is asked once more."""
    reader.rates()
    killed = answering(reader)
    os.kill(killed, signal.SIGKILL)
    assert reader.rates().total.sessions == 1
    assert answering(reader) != killed
    assert "ended by signal 9 (SIGKILL)" in caplog.text


_DIES = (
    "import os, sys; open(sys.argv[1], 'a').write('started '); sys.stdin.buffer.read(8); "
    "sys.stderr.write('x' * 100_000 + 'the cause'); sys.stderr.flush(); os.kill(os.getpid(), 6)"
)


@pytest.mark.parametrize("answered_before", [False, True])
def test_a_question_that_kills_its_process_is_asked_at_most_twice(
    reader: LogReader,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answered_before: bool,
):
    """Its cause is told, as much of it as an operator can read."""
    if answered_before:
        reader.rates()
        os.kill(answering(reader), signal.SIGKILL)
    starts = tmp_path / "starts"
    command = [sys.executable, "-c", _DIES, str(starts)]
    monkeypatch.setattr("lakehouse.sessionlog.index.reader.command", lambda _: command)
    with pytest.raises(ReadFailed, match="ended without an answer"):
        reader.rates()
    assert starts.read_text() == "started "
    told = caplog.messages[-1]
    assert "ended by signal 6 (SIGABRT); it said: xxx" in told
    assert told.endswith("the cause")
    assert len(told) < 5_000
    assert len(caplog.messages) == 1 + answered_before


def test_a_process_that_cannot_be_started_is_told(
    reader: LogReader, monkeypatch: pytest.MonkeyPatch
):
    def full(**_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("tempfile.TemporaryDirectory", full)
        with pytest.raises(ReadFailed, match="cannot be started: No space left on device"):
            reader.rates()
    assert reader.rates().total.sessions == 1


_LOG_COMES = """
import os, shutil, sys
from lakehouse.sessionlog.index import reader_child

origin, root = sys.argv[1:3]
step = getattr(reader_child, sys.argv[3])
restricted, bring = os.pipe()
brings = os.fork()
if not brings:
    os.close(bring)
    os.read(restricted, 1)
    shutil.copytree(origin, root)
    os._exit(0)

def step_then_bring(*args, **options):
    done = step(*args, **options)
    os.write(bring, b".")
    os.waitpid(brings, 0)
    return done

setattr(reader_child, sys.argv[3], step_then_bring)
reader_child.main()
"""


@pytest.mark.parametrize("step", ["restrict", "open_local_compacted", "limit_memory"])
def test_a_log_that_comes_while_its_process_begins_is_read_by_another(
    step: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """The first one may not read what was not there when it restricted itself."""
    origin, root = tmp_path / "origin", tmp_path / "log"
    fill(origin, make_row())
    (origin / IDENTITY).write_bytes(msgspec.json.encode(LogIdentity(log_id="a", table="table")))
    begin = [sys.executable, "-c", _LOG_COMES, str(origin), str(root), step]
    started = iter([begin])
    monkeypatch.setattr(
        "lakehouse.sessionlog.index.reader.command", lambda name: next(started, command(name))
    )
    with LogReader(root, builds=False) as reader:
        assert reader.rates().total.sessions == 1
    assert next(started, None) is None, "the first process was started"
    assert not caplog.messages


def test_a_table_that_comes_after_its_process_began_is_read_by_another(tmp_path: Path):
    """Its place is written before it is there; the process has no right to read it then."""
    root, table = tmp_path / "log", tmp_path / "elsewhere" / "table"
    fill(root, make_row())
    seal(root)
    identity = LogIdentity(log_id="0" * 32, table=str(table))
    (root / IDENTITY).write_bytes(msgspec.json.encode(identity))
    with LogReader(root, builds=False) as reader:
        first = reader.rates()
        assert first.total.sessions == 1
        began = answering(reader)
        assert compact(root).rows == 1
        second = reader.rates()
        assert second.total.sessions == 1, second.progress
        assert second.progress.complete or second.progress.files_missing
        assert answering(reader) != began
