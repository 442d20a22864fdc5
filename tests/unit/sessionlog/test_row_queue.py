"""Rows on their way to the thread: who wakes it, what it takes, and that it answers everybody."""

import asyncio
import errno
import threading
from pathlib import Path
from typing import Any

import pytest

from lakehouse.core.errors import InfraError, LogUnavailable, Refusal
from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.reading.reader import find_rows
from lakehouse.sessionlog.writing.row_queue import PENDING_ROWS_MAX, RowQueue
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.faulty_disk import FaultyDisk
from support.log_counts import count
from support.rows import make_row, make_started
from support.waiting import wait_until


class CountedQueue(RowQueue):
    """Counts what comes to the thread."""

    def __init__(self) -> None:
        super().__init__()
        self.woken = 0

    def wait(self, timeout_s: float | None) -> bool:
        came = super().wait(timeout_s)
        self.woken += came
        return came


@pytest.fixture
def disk() -> FaultyDisk:
    return FaultyDisk()


@pytest.fixture
def writer(tmp_path: Path, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lakehouse.sessionlog.writing.writer.RowQueue", CountedQueue)
    opened = SessionLogWriter.open(tmp_path / "log", daemon="validatord", disk=disk)
    yield opened
    opened.close()


def woken(writer: SessionLogWriter) -> int:
    assert isinstance(writer._queue, CountedQueue)
    return writer._queue.woken


def test_the_rows_of_a_turn_are_one_write_one_sync_and_one_waking(
    writer: SessionLogWriter, disk: FaultyDisk
):
    """However many there are."""
    rows = [make_row() for _ in range(20)]
    disk.writes.clear()
    before = disk.syncs

    async def run() -> None:
        await asyncio.gather(*(writer.append(row) for row in rows))

    asyncio.run(run())
    assert disk.writes == [sum(len(encode_line(row)) + 2 for row in rows)]
    assert disk.syncs == before + 1
    assert woken(writer) == 1


def test_rows_that_come_while_the_thread_works_need_no_waking(
    writer: SessionLogWriter, disk: FaultyDisk
):
    """It takes them when it comes back, in one write; a row that comes later wakes it again."""

    async def run() -> None:
        disk.gate = threading.Event()
        disk.in_sync.clear()
        first = asyncio.create_task(writer.append(make_row()))
        assert await asyncio.to_thread(disk.in_sync.wait, 10)
        others = [asyncio.create_task(writer.append(make_row())) for _ in range(40)]
        await asyncio.sleep(0)
        writes = len(disk.writes)
        disk.gate.set()
        await asyncio.gather(first, *others)
        assert len(disk.writes) == writes + 1
        assert woken(writer) == 1
        wait_until(lambda: not writer._queue._working, "rest")
        await writer.append(make_row())
        assert woken(writer) == 2

    asyncio.run(run())


def test_a_loop_that_stops_before_it_wakes_the_thread_keeps_no_other_waiting(
    writer: SessionLogWriter, tmp_path: Path
):
    """Its row goes with the others'."""
    left, row = make_row(), make_row()
    loop = asyncio.new_event_loop()

    async def begun() -> None:
        appending = writer.append(left)
        appending.send(None)  # up to where it waits; the loop does not turn again
        loop.stop()

    waits = loop.create_task(begun())
    loop.run_forever()
    asyncio.run(asyncio.wait_for(writer.append(row), 10))
    assert waits.done()
    loop.close()
    assert count(tmp_path / "log").rows == 2
    assert woken(writer) == 1


@pytest.mark.parametrize("durability", ["commit", "os"])
def test_no_row_is_acknowledged_before_it_is_written(tmp_path: Path, durability: Any):
    """Nor is the loop held up while the disk takes it."""
    disk = FaultyDisk()
    writer = SessionLogWriter.open(tmp_path / "log", daemon="v", durability=durability, disk=disk)
    row = make_row()

    async def run() -> None:
        disk.write_gate = threading.Event()
        task = asyncio.create_task(writer.append(row))
        assert await asyncio.to_thread(disk.in_write.wait, 10)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
        assert find_rows(tmp_path / "log", row.row_id) == []
        disk.write_gate.set()
        await task

    asyncio.run(run())
    assert find_rows(tmp_path / "log", row.row_id) == [encode_line(row)]
    writer.close()


def test_a_session_whose_row_waits_is_carried_into_a_new_segment(tmp_path: Path):
    """It ends when its row is written, not when it is handed over."""
    disk = FaultyDisk()
    writer = SessionLogWriter.open(tmp_path / "log", daemon="v", disk=disk, segment_age_s_max=0.0)
    waits, row = make_row(), make_row()
    started = make_started(waits)
    writer.started(started)

    async def run() -> None:
        disk.gate = threading.Event()
        disk.in_sync.clear()
        first = asyncio.create_task(writer.append(row))
        assert await asyncio.to_thread(disk.in_sync.wait, 10)
        second = asyncio.create_task(writer.append(waits))
        await asyncio.sleep(0)
        with writer._lock:
            writer._segments.rotate_if_due()
            assert writer._segments.current is not None
            newest = writer._segments.current.path.read_bytes()
        assert encode_line(started) in newest
        disk.gate.set()
        await asyncio.gather(first, second)

    asyncio.run(run())
    assert writer._segments.running == {}
    writer.close()


def test_only_the_rows_that_were_not_written_are_refused(
    writer: SessionLogWriter, disk: FaultyDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The disk fills up between two writes of rows that came together."""
    monkeypatch.setattr("lakehouse.sessionlog.writing.segments.WRITE_BYTES_MAX", 1)
    monkeypatch.setattr("lakehouse.sessionlog.writing.writer.PROBE_INTERVAL_S", 60)
    rows = [make_row() for _ in range(5)]
    real = disk.write

    def write(descriptor: int, data: bytes) -> int:
        if len(disk.writes) == 5:  # a header, a row alone in its write each
            disk.writes_fail_with = errno.ENOSPC
        return real(descriptor, data)

    monkeypatch.setattr(disk, "write", write)

    async def run() -> list[BaseException | None]:
        return await asyncio.gather(*map(writer.append, rows), return_exceptions=True)

    answers = asyncio.run(run())
    assert disk.fired["write"] == 3  # twice in the segment, once at the head of a new one
    assert answers[:4] == [None] * 4
    assert isinstance(answers[4], LogUnavailable)
    assert "ENOSPC" in answers[4].internal
    assert count(tmp_path / "log").rows == 4
    with pytest.raises(Refusal, match="ENOSPC"):
        writer.check_writable()


@pytest.mark.parametrize("step", ["_commit", "_write", "_sync_written", "_succeed"])
def test_a_bug_between_taking_and_answering_is_answered(
    writer: SessionLogWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    """Each row that met it is refused at once, the next is written."""
    fired = []

    def broken(*_: object) -> None:
        fired.append(step)
        raise ZeroDivisionError(step)

    async def run() -> list[BaseException | None]:
        appending = (writer.append(make_row()) for _ in range(5))
        return await asyncio.wait_for(asyncio.gather(*appending, return_exceptions=True), 10)

    with monkeypatch.context() as patched:
        patched.setattr(writer, step, broken)
        answers = asyncio.run(run())
    assert fired
    assert [type(answer) for answer in answers] == [LogUnavailable] * 5
    wait_until(lambda: writer._failure is None, "healing")
    row = make_row()
    asyncio.run(writer.append(row))
    assert find_rows(tmp_path / "log", row.row_id) == [encode_line(row)]


def test_a_hanging_write_is_told_too(
    writer: SessionLogWriter, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
):
    """The loop goes on, the row is answered in time, and new sessions are refused."""
    monkeypatch.setattr("lakehouse.sessionlog.writing.row_queue.ACK_S_MAX", 0.05)
    monkeypatch.setattr("lakehouse.sessionlog.writing.row_queue.WATCH_INTERVAL_S", 0.02)
    monkeypatch.setattr("lakehouse.sessionlog.writing.writer.SYNC_S_MAX", 0.0)
    disk.write_gate = threading.Event()
    try:
        with pytest.raises(InfraError) as failed:
            asyncio.run(writer.append(make_row()))
        assert disk.in_write.is_set()
        assert "no sync within" in failed.value.internal
        with pytest.raises(Refusal, match="not finished a write or a sync"):
            writer.check_writable()
    finally:
        disk.write_gate.set()


def test_more_rows_than_may_wait_are_refused(writer: SessionLogWriter, disk: FaultyDisk):
    """As are sessions that would begin; those that wait are written."""

    async def run() -> None:
        disk.gate = threading.Event()
        disk.in_sync.clear()
        row = make_row()
        first = asyncio.create_task(writer.append(row))
        assert await asyncio.to_thread(disk.in_sync.wait, 10)
        waiting = [writer._queue.add(b"{}", row.row_id) for _ in range(PENDING_ROWS_MAX)]
        for refused in (writer.append(row), asyncio.to_thread(writer.started, make_started(row))):
            with pytest.raises(LogUnavailable) as full:
                await refused
            assert "10000 rows wait" in full.value.internal
        disk.gate.set()
        await asyncio.gather(first, *waiting)

    asyncio.run(run())
