"""The writer: exact bytes, shared syncs, faults that lose nothing, clear words at the start."""

import asyncio
import errno
import os
import re
import signal
import threading
from pathlib import Path

import pytest

import lakehouse
from lakehouse.core.clock import FixedClock
from lakehouse.core.errors import InfraError, Refusal, SetupError
from lakehouse.core.row import SegmentHeader
from lakehouse.core.row_codec import encode_line
from lakehouse.files.locks import lock_held
from lakehouse.sessionlog.layout import lock_path
from lakehouse.sessionlog.reading.reader import bad_lines, find_rows, read_rows
from lakehouse.sessionlog.writing.space import free_bytes_required
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.faulty_disk import FaultyDisk
from support.forking import fork
from support.log_counts import count
from support.rows import make_row, make_started
from support.waiting import wait_until


@pytest.fixture
def disk() -> FaultyDisk:
    return FaultyDisk()


@pytest.fixture
def writer(tmp_path: Path, disk: FaultyDisk):
    opened = SessionLogWriter.open(tmp_path / "log", daemon="validatord", disk=disk)
    yield opened
    opened.close()


def segments(root: Path) -> list[Path]:
    return sorted((root / "active").iterdir())


def test_the_bytes_of_a_segment(tmp_path: Path):
    """Header, started line and row lie there exactly as the contract says."""
    clock = FixedClock()
    writer = SessionLogWriter.open(tmp_path / "log", daemon="validatord", clock=clock)
    row = make_row()
    started = make_started(row)
    writer.started(started)
    asyncio.run(writer.append(row))
    writer.close()
    header = SegmentHeader(
        writer_id=writer.writer_id,
        segment=0,
        daemon="validatord",
        runtime="python",
        version=lakehouse.__version__,
        started_at="2026-01-02T03:04:05.678901Z",
    )
    [path] = segments(tmp_path / "log")
    assert re.fullmatch(r"[0-9a-f]{32}-0\.jsonl", path.name)
    assert path.read_bytes() == b"%b\n\n%b\n\n%b\n" % (
        encode_line(header),
        encode_line(started),
        encode_line(row),
    )


def test_files_are_private_and_the_lock_says_who_lives(tmp_path: Path):
    """0700 and 0600 whatever the umask; the lock is held from the first file to the end."""
    before = os.umask(0)
    try:
        writer = SessionLogWriter.open(tmp_path / "log", daemon="validatord")
    finally:
        os.umask(before)
    root = tmp_path / "log"
    modes = {path: path.stat().st_mode & 0o777 for path in [root, *root.rglob("*")]}
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items())
    lock = lock_path(root, writer.writer_id)
    assert lock_held(lock)
    writer.close()
    assert lock.exists()
    assert not lock_held(lock)


def test_rows_that_wait_share_one_sync(writer: SessionLogWriter, disk: FaultyDisk):
    """While one sync runs everything else waits, and then takes one more sync together."""

    async def run() -> None:
        disk.gate = threading.Event()
        disk.in_sync.clear()
        first = asyncio.create_task(writer.append(make_row()))
        await asyncio.to_thread(disk.in_sync.wait, 10)
        before = disk.syncs
        others = [asyncio.create_task(writer.append(make_row())) for _ in range(40)]
        await asyncio.sleep(0)
        assert not first.done()
        disk.gate.set()
        await asyncio.gather(first, *others)
        assert disk.syncs == before + 1

    asyncio.run(run())


def test_no_row_is_acknowledged_before_its_sync(writer: SessionLogWriter, disk: FaultyDisk):
    """The directory is synced before the first segment's data, and append waits for the sync."""
    assert disk.calls == ["sync active", "sync"]

    async def run() -> None:
        disk.gate = threading.Event()
        disk.in_sync.clear()
        task = asyncio.create_task(writer.append(make_row()))
        assert await asyncio.to_thread(disk.in_sync.wait, 10)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
        disk.gate.set()
        await task

    asyncio.run(run())


def test_durability_os_never_syncs(tmp_path: Path, disk: FaultyDisk):
    """The page cache is enough where the configuration says so."""
    writer = SessionLogWriter.open(tmp_path / "log", daemon="v", durability="os", disk=disk)
    asyncio.run(writer.append(make_row()))
    writer.close()
    assert disk.syncs == 0
    assert count(tmp_path / "log").rows == 1


def test_a_short_write_is_written_again_whole(
    writer: SessionLogWriter, disk: FaultyDisk, tmp_path: Path
):
    """The cut half stays alone on its line and harms neither its own second try nor the next."""
    rows = [make_row() for _ in range(3)]
    asyncio.run(writer.append(rows[0]))
    disk.short_writes = 1
    asyncio.run(writer.append(rows[1]))
    asyncio.run(writer.append(rows[2]))
    assert disk.fired["short"] == 1
    assert list(read_rows(tmp_path / "log")) == [encode_line(row) for row in rows]
    [bad] = bad_lines(tmp_path / "log")
    assert encode_line(rows[1]).startswith(bad.line.data)
    writer.check_writable()


def test_a_failed_sync_moves_every_unacknowledged_row_to_a_new_segment(
    writer: SessionLogWriter, disk: FaultyDisk, tmp_path: Path
):
    """Rows in the failed sync and rows that came meanwhile: all in segment 1, all acknowledged.

    Only the first lies in the suspect file too: the others were not written yet.
    """
    acknowledged = make_row()
    asyncio.run(writer.append(acknowledged))
    rows = [make_row() for _ in range(8)]

    async def run() -> None:
        disk.gate = threading.Event()
        disk.in_sync.clear()
        disk.failing_syncs = 1
        first = asyncio.create_task(writer.append(rows[0]))
        await asyncio.to_thread(disk.in_sync.wait, 10)
        others = [asyncio.create_task(writer.append(row)) for row in rows[1:]]
        await asyncio.sleep(0)
        disk.gate.set()
        await asyncio.gather(first, *others)

    asyncio.run(run())
    assert disk.fired["sync"] == 1
    second = (tmp_path / "log" / "active" / f"{writer.writer_id}-1.jsonl").read_bytes()
    assert all(encode_line(row) in second for row in rows)
    assert encode_line(acknowledged) not in second
    counts = count(tmp_path / "log")
    assert (counts.files, counts.rows, counts.duplicates, counts.bad) == (2, 9, 1, 0)
    assert disk.calls[-3:] == ["sync active", "sync", "sync"]
    writer.check_writable()


def test_syncs_that_keep_failing_are_said_and_heal(writer: SessionLogWriter, disk: FaultyDisk):
    """The row is not acknowledged, new sessions are refused, and the writer mends itself."""
    disk.failing_syncs = 3
    with pytest.raises(InfraError) as failed:
        asyncio.run(writer.append(make_row()))
    assert failed.value.code == "log_unavailable"
    assert disk.fired["sync"] == 3
    with pytest.raises(Refusal, match="EIO"):
        writer.check_writable()
    wait_until(lambda: writer._failure is None, "healing")
    writer.check_writable()
    asyncio.run(writer.append(make_row()))


def test_a_full_disk_is_said_and_heals(writer: SessionLogWriter, disk: FaultyDisk, tmp_path: Path):
    """No row, no stray file; once there is space again rows land without anybody's help."""
    disk.writes_fail_with = errno.ENOSPC
    with pytest.raises(InfraError):
        asyncio.run(writer.append(make_row()))
    with pytest.raises(Refusal) as refused:
        writer.check_writable()
    assert refused.value.code == "log_unavailable"
    assert refused.value.retry_after_s
    fired = disk.fired["write"]
    wait_until(lambda: disk.fired["write"] > fired, "a try of its own")  # it tries by itself
    assert len(segments(tmp_path / "log")) == 1
    disk.writes_fail_with = None
    wait_until(lambda: writer._failure is None, "healing")
    row = make_row()
    asyncio.run(writer.append(row))
    assert find_rows(tmp_path / "log", row.row_id) == [encode_line(row)]


def test_too_little_space_refuses_new_sessions_but_not_running_ones(
    writer: SessionLogWriter, disk: FaultyDisk
):
    """Below the watermark no token is bought; a session that runs still gets its row."""
    disk.free_bytes = (16 << 20) - 1
    writer._space_at = 0.0
    with pytest.raises(Refusal, match="15 MiB are free"):
        writer.check_writable()
    asyncio.run(writer.append(make_row()))
    disk.free_bytes = None
    writer._space_at = 0.0
    writer.check_writable()


@pytest.mark.parametrize(
    ("total_mib", "required_mib"), [(1, 16), (800, 16), (5_000, 100), (10**6, 256)]
)
def test_the_watermark(total_mib: int, required_mib: int):
    """max(16 MiB, min(256 MiB, 2 %))."""
    assert free_bytes_required(total_mib << 20) == required_mib << 20


def test_a_removed_segment_is_noticed_and_replaced(writer: SessionLogWriter, tmp_path: Path):
    """Writing on into a file without a name would lose every row: refused, then a new file."""
    for path in segments(tmp_path / "log"):
        path.unlink()
    lock_path(tmp_path / "log", writer.writer_id).unlink()
    old_id = writer.writer_id
    writer._space_at = 0.0
    with pytest.raises(Refusal, match="removed"):
        writer.check_writable()
    wait_until(lambda: writer._failure is None, "healing")
    assert writer.writer_id != old_id, "readers would take the old id for dead"
    assert lock_held(lock_path(tmp_path / "log", writer.writer_id))
    row = make_row()
    asyncio.run(writer.append(row))
    assert find_rows(tmp_path / "log", row.row_id)


def test_a_hanging_sync_is_answered_in_time(
    writer: SessionLogWriter, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
):
    """A disk that never answers: the session is told, and new ones are refused."""
    monkeypatch.setattr("lakehouse.sessionlog.writing.row_queue.ACK_S_MAX", 0.05)
    monkeypatch.setattr("lakehouse.sessionlog.writing.row_queue.WATCH_INTERVAL_S", 0.02)
    monkeypatch.setattr("lakehouse.sessionlog.writing.writer.SYNC_S_MAX", 0.0)
    disk.gate = threading.Event()
    try:
        with pytest.raises(InfraError) as failed:
            asyncio.run(writer.append(make_row()))
        assert "no sync within" in failed.value.internal
        with pytest.raises(Refusal, match="not finished a write or a sync"):
            writer.check_writable()
    finally:
        disk.gate.set()


def test_close_answers_everybody_and_then_refuses(
    writer: SessionLogWriter, disk: FaultyDisk, tmp_path: Path
):
    """Rows in flight at the end are synced and acknowledged; later ones are refused."""
    rows = [make_row() for _ in range(20)]

    async def run() -> None:
        tasks = [asyncio.create_task(writer.append(row)) for row in rows]
        await asyncio.sleep(0)
        await asyncio.to_thread(writer.close)
        await asyncio.gather(*tasks)
        with pytest.raises(InfraError):
            await writer.append(make_row())

    asyncio.run(run())
    assert count(tmp_path / "log").rows == 20
    with pytest.raises(Refusal):
        writer.check_writable()


def test_a_cancelled_append_does_not_harm_the_others(writer: SessionLogWriter, tmp_path: Path):
    """A client that goes away takes no acknowledgement with it; its row lands all the same."""

    async def run() -> None:
        tasks = [asyncio.create_task(writer.append(make_row())) for _ in range(10)]
        await asyncio.sleep(0)
        tasks[3].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [index for index, result in enumerate(results) if result is not None] == [3]

    asyncio.run(run())
    assert count(tmp_path / "log").rows == 10


def test_writers_in_several_threads_and_loops(writer: SessionLogWriter, tmp_path: Path):
    """One writer, four event loops: every row once."""

    async def produce() -> None:
        await asyncio.gather(*(writer.append(make_row()) for _ in range(25)))

    threads = [threading.Thread(target=lambda: asyncio.run(produce())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    counts = count(tmp_path / "log")
    assert (counts.rows, counts.duplicates, counts.bad) == (100, 0, 0)


def test_a_forked_child_neither_writes_nor_keeps_the_lock(writer: SessionLogWriter, tmp_path: Path):
    """The child's copy is closed, so the lock goes when the parent lets go of it."""
    read_end, write_end = os.pipe()
    child = fork()
    if child == 0:  # pragma: no cover - the child
        try:
            writer.check_writable()
            answer = b"writable"
        except Refusal:
            answer = b"refused"
        os.write(write_end, answer)
        signal.pause()
        os._exit(0)
    try:
        assert os.read(read_end, 20) == b"refused"
        writer.close()
        assert not lock_held(lock_path(tmp_path / "log", writer.writer_id))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read_end)
        os.close(write_end)


def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path):
    """The message names the directory, the hint the command."""
    (tmp_path / "log").mkdir()
    (tmp_path / "log").chmod(0o770)
    with pytest.raises(SetupError, match="other users may write") as refused:
        SessionLogWriter.open(tmp_path / "log", daemon="v")
    assert refused.value.hint == f"chmod go-w {tmp_path / 'log'}"


def test_a_file_or_a_link_in_place_of_a_directory_is_refused(tmp_path: Path):
    """A file for the log, and a link for one of its parts; a link to the whole log is fine."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(SetupError, match="is not a directory"):
        SessionLogWriter.open(tmp_path / "file", daemon="v")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SetupError, match="is not a directory"):
        SessionLogWriter.open(tmp_path / "dangling", daemon="v")
    real = tmp_path / "real"
    (tmp_path / "elsewhere").mkdir()
    real.mkdir(mode=0o700)
    (real / "active").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SetupError, match="symbolic link"):
        SessionLogWriter.open(real, daemon="v")
    (real / "active").unlink()
    (tmp_path / "link").symlink_to(real)
    SessionLogWriter.open(tmp_path / "link", daemon="v").close()
    assert len(segments(real)) == 1


def test_a_disk_that_cannot_be_written_at_the_start_is_one_clear_message(
    tmp_path: Path, disk: FaultyDisk
):
    """Nothing starts, and no half segment is left."""
    disk.writes_fail_with = errno.EROFS
    with pytest.raises(SetupError, match="EROFS"):
        SessionLogWriter.open(tmp_path / "log", daemon="v", disk=disk)
    assert disk.fired["write"] == 1
    assert segments(tmp_path / "log") == []
