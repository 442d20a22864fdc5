"""Trouble on top of trouble: the writer's threads outlive it, and heal when the disk does."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from lakehouse.core.clock import SystemClock
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.files.disk import Disk
from lakehouse.sessionlog.keeping import maintenance
from lakehouse.sessionlog.keeping.maintenance import Maintenance
from lakehouse.sessionlog.layout import prepare, reserve_path
from lakehouse.sessionlog.writing.segments import Segments
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.forking import fork
from support.rows import make_row
from support.waiting import WAIT_S


class ReadOnlyDisk(Disk):
    """Fails every sync while it is `ill`, as a file system does that was remounted read-only."""

    def __init__(self) -> None:
        self.ill = False
        self.fired = 0

    def sync(self, descriptor: int) -> None:
        if self.ill:
            self.fired += 1
            raise OSError(5, "Input/output error")
        super().sync(descriptor)


def healed(writer: SessionLogWriter) -> bool:
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        try:
            writer.check_writable()
        except Refusal:
            time.sleep(0.05)
        else:
            return True
    return False


def test_a_disk_that_refuses_even_the_tidying_up_is_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The probe's empty segment cannot be removed either; later all is well again."""
    disk = ReadOnlyDisk()
    writer = SessionLogWriter.open(tmp_path / "log", daemon="v", disk=disk)
    refused = []

    def unlink(path: Path, missing_ok: bool = False) -> None:
        refused.append(path)
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", unlink)
        disk.ill = True
        with pytest.raises(InfraError):
            asyncio.run(writer.append(make_row()))
        while not refused:
            time.sleep(0.05)
    disk.ill = False
    assert disk.fired >= 2
    assert healed(writer)
    asyncio.run(writer.append(make_row()))
    writer.close()


def test_a_bug_in_the_sync_thread_is_answered_and_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The row that met it is refused at once, the next is written."""
    writer = SessionLogWriter.open(tmp_path / "log", daemon="v")
    with monkeypatch.context() as patched:
        patched.setattr(writer, "_commit", lambda batch: 1 / 0)
        with pytest.raises(InfraError) as refused:
            asyncio.run(asyncio.wait_for(writer.append(make_row()), WAIT_S))
    assert refused.value.code == "log_unavailable"
    assert healed(writer)
    asyncio.run(writer.append(make_row()))
    writer.close()


def test_a_bug_while_the_writer_closes_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The row is refused, and the thread ends."""
    writer = SessionLogWriter.open(tmp_path / "log", daemon="v")

    def commit(batch: object) -> None:
        while not writer._queue.closed:
            time.sleep(0.01)
        raise ZeroDivisionError

    monkeypatch.setattr(writer, "_commit", commit)

    async def run() -> None:
        row = asyncio.create_task(writer.append(make_row()))
        await asyncio.sleep(0.05)
        await asyncio.wait_for(asyncio.to_thread(writer.close), WAIT_S)
        with pytest.raises(InfraError):
            await row

    asyncio.run(run())
    assert not writer._thread.is_alive()


def test_maintenance_outlives_what_nobody_foresaw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The next round comes."""
    writer = SessionLogWriter.open(tmp_path / "log", daemon="v")
    rounds = []

    def seal(*_: object, **__: object) -> None:
        rounds.append(1)
        raise ZeroDivisionError

    monkeypatch.setattr(maintenance, "seal", seal)
    tended = Maintenance(tmp_path / "log", writer, interval_s=0.01)
    tended.start()
    until = time.monotonic() + WAIT_S
    while len(rounds) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    tended.stop()
    writer.close()
    assert len(rounds) >= 3


def test_a_forked_child_leaves_its_parent_the_reserve(tmp_path: Path):
    """The space that a full disk's last rows land in is the parent's."""
    writer = SessionLogWriter.open(tmp_path / "log", daemon="v")
    writer.tend()
    reserve = reserve_path(tmp_path / "log", writer.writer_id)
    assert reserve.exists()
    child = fork()
    if child == 0:  # pragma: no cover - the child
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert reserve.exists()
    writer.close()
    assert not reserve.exists()


def test_a_descriptor_that_fails_to_close_is_let_go(tmp_path: Path):
    """An error of close(2) tells of an earlier write, which the sync has told already."""
    root = prepare(tmp_path / "log")
    segments = Segments(root, daemon="v", clock=SystemClock(), disk=Disk())
    segment = segments.next()
    segments.retire()
    os.close(segment.descriptor)  # a second close fails, as one of a sick file system does
    segments.close_retired(set())
    assert segments.finished == [segment.path.name]
    segments.close()
