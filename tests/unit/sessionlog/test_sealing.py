"""Sealing: finished files become immutable and accounted for, living ones stay alone."""

import asyncio
import hashlib
import os
import stat
from pathlib import Path

import msgspec
import pytest

from lakehouse.files.disk import Disk
from lakehouse.files.locks import Busy, exclusively
from lakehouse.sessionlog.keeping import sealing
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.layout import ACTIVE, SEALED, log_files
from lakehouse.sessionlog.lines import dead_writers
from lakehouse.sessionlog.manifest import read_manifest
from lakehouse.sessionlog.reading.reader import read_rows
from lakehouse.sessionlog.reading.stats import stats
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.dead_writer import dead_writer
from support.rows import make_row, make_started
from support.waiting import wait_until


class Interrupted(Exception):
    """The process ends here, for a test."""


class StoppingDisk(Disk):
    """The real disk until the n-th sync, at which the process would have died."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def _count(self) -> None:
        if self.left == 0:
            raise Interrupted
        self.left -= 1

    def sync(self, descriptor: int) -> None:
        self._count()
        super().sync(descriptor)

    def sync_directory(self, path: Path) -> None:
        self._count()
        super().sync_directory(path)


def append(writer: SessionLogWriter, *rows) -> None:
    async def run() -> None:
        for row in rows:
            await writer.append(row)

    asyncio.run(run())


def active(root: Path) -> list[str]:
    return sorted(path.name for path in (root / ACTIVE).iterdir())


def test_a_dead_writers_segment_is_sealed_with_its_manifest(tmp_path: Path):
    """Same name and bytes, counts and digest beside it, the lock gone with its last segment."""
    rows = [make_row(timestamp=f"2026-01-02T03:04:0{n}.000000Z") for n in (5, 3, 7)]
    dead_writer(tmp_path, rows=rows)
    (name,) = active(tmp_path)
    before = (tmp_path / ACTIVE / name).read_bytes()

    done = seal(tmp_path)

    sealed = tmp_path / SEALED / name
    manifest = read_manifest(tmp_path, name)
    assert manifest is not None
    assert done.sealed == (name,)
    assert done.writers_removed == (name.rpartition("-")[0],)
    assert sealed.read_bytes() == before
    assert manifest.sha256 == hashlib.sha256(before).hexdigest()
    assert (manifest.rows, manifest.started, manifest.bytes) == (3, 3, len(before))
    assert manifest.first_timestamp == "2026-01-02T03:04:03.000000Z"
    assert manifest.last_timestamp == "2026-01-02T03:04:07.000000Z"
    assert not active(tmp_path)
    assert not list((tmp_path / "writers").iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / SEALED).iterdir()} == {0o600}
    assert verify(tmp_path).sound


def test_a_living_writer_is_left_alone_by_others(tmp_path: Path):
    """Its lock is held: nothing is sealed, and its lock stays."""
    writer = SessionLogWriter.open(tmp_path, daemon="validatord")
    append(writer, make_row())
    before = active(tmp_path)

    done = seal(tmp_path)

    assert done.sealed == done.writers_removed == ()
    assert active(tmp_path) == before
    append(writer, make_row())
    writer.close()
    assert stats(tmp_path).sessions == 2


def test_rotation_by_size_and_a_writer_that_seals_what_it_finished(tmp_path: Path):
    """Every row is there once, before, between and after."""
    writer = SessionLogWriter.open(tmp_path, daemon="validatord", segment_bytes_max=4_000)
    rows = [make_row() for _ in range(20)]
    append(writer, *rows)

    finished = writer.tend()
    assert len(finished) > 3
    assert stats(tmp_path).sessions == 20
    done = seal(tmp_path, own=finished, on_sealed=writer.sealed)

    assert list(done.sealed) == finished
    assert writer.tend() == []
    assert len(active(tmp_path)) == 1
    assert stats(tmp_path).sessions == 20
    assert sum(1 for _ in read_rows(tmp_path)) == 20
    writer.close()
    assert verify(tmp_path).sound


def test_rotation_by_age_needs_a_row(tmp_path: Path):
    """An idle writer makes no file after file."""
    writer = SessionLogWriter.open(tmp_path, daemon="validatord", segment_age_s_max=0.0)
    assert writer.tend() == []
    assert len(active(tmp_path)) == 1
    append(writer, make_row())
    # The row is acknowledged a moment before the thread that synced it lets go of the segment.
    wait_until(writer.tend, "a finished segment")
    assert writer.tend() == writer.tend()
    assert len(active(tmp_path)) == 2
    writer.close()


def test_running_sessions_are_carried_into_the_next_segment(tmp_path: Path):
    """Their started line is in the newest file, so that sealed ones need no second look."""
    writer = SessionLogWriter.open(tmp_path, daemon="validatord", segment_bytes_max=2_000)
    running, ended = make_row(), make_row()
    writer.started(make_started(running))
    writer.started(make_started(ended))
    append(writer, ended, make_row(), make_row(), make_row())
    seal(tmp_path, own=writer.tend(), on_sealed=writer.sealed)

    (name,) = active(tmp_path)
    text = (tmp_path / ACTIVE / name).read_text()

    assert f'"row_id":"{running.row_id}"' in text
    assert f'"row_id":"{ended.row_id}"' not in text
    writer.close()
    assert seal(tmp_path).reaped == (running.row_id,)


@pytest.mark.parametrize("calls", range(10))
def test_a_crash_between_any_two_steps_is_completed_by_the_next_call(tmp_path: Path, calls: int):
    """At no time is a row lost, doubled or unaccounted for."""
    rows, lost = [make_row() for _ in range(3)], make_row()
    dead_writer(tmp_path, rows=rows, running=[lost])
    with (tmp_path / ACTIVE / active(tmp_path)[0]).open("ab") as file:
        file.write(b'\n{"torn')
    expected = {row.row_id for row in (*rows, lost)}

    interrupted = False
    try:
        seal(tmp_path, disk=StoppingDisk(calls))
    except Interrupted:
        interrupted = True
    assert interrupted == (calls < 9)
    assert stats(tmp_path).sessions in {3, 4}
    seal(tmp_path)

    found = verify(tmp_path)
    assert (found.rows, found.duplicates, found.unfinished) == (4, 0, 0)
    assert found.sound
    assert [damage.reason for damage in found.bad if damage.listed]
    assert stats(tmp_path).sessions == 4
    assert {msgspec.json.decode(line)["row_id"] for line in read_rows(tmp_path)} == expected
    assert not active(tmp_path)
    assert not list((tmp_path / "writers").iterdir())


def test_bad_lines_are_listed_and_kept_apart(tmp_path: Path):
    """The damaged bytes lie in quarantine, the file itself is as it was."""
    dead_writer(tmp_path, rows=[make_row()])
    (name,) = active(tmp_path)
    with (tmp_path / ACTIVE / name).open("ab") as file:
        file.write(b'\n{"half": \n\nnonsense\n')
    assert not verify(tmp_path).sound

    seal(tmp_path)

    manifest = read_manifest(tmp_path, name)
    assert manifest is not None
    assert [bad.bytes for bad in manifest.bad_lines] == [9, 8]
    assert (tmp_path / "quarantine" / f"{name}.bad").read_bytes() == b'{"half": \nnonsense\n'
    found = verify(tmp_path)
    assert found.sound
    assert [damage.listed for damage in found.bad] == [True, True]


@pytest.mark.parametrize("damage", ["flip", "cut", "manifest"])
def test_a_sealed_file_that_changed_is_noticed(tmp_path: Path, damage: str):
    """By its lines, its length or its digest; a manifest that is gone is damage too."""
    dead_writer(tmp_path, rows=[make_row()])
    seal(tmp_path)
    (name,) = [file.name for file in log_files(tmp_path)]
    path = tmp_path / SEALED / name
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    elif damage == "cut":
        del data[-1:]
    else:
        (tmp_path / SEALED / f"{name}.manifest.json").unlink()
    path.write_bytes(data)

    found = verify(tmp_path)

    assert not found.sound
    assert any(entry.line == 0 for entry in found.bad)


def test_two_at_once_wait_and_then_say_so(tmp_path: Path):
    """Nothing is done without the lock."""
    dead_writer(tmp_path, rows=[make_row()])
    with exclusively(tmp_path / "reap.lock", 0), pytest.raises(Busy, match="reap"):
        seal(tmp_path, wait_s=0.1)
    assert len(active(tmp_path)) == 1


def test_a_lock_without_a_segment_is_left_for_a_minute(tmp_path: Path):
    """Its writer may be about to create its first one."""
    seal(tmp_path)
    lock = tmp_path / "writers" / "somebody.lock"
    lock.touch()
    assert seal(tmp_path).writers_removed == ()
    os.utime(lock, (0, 0))
    assert seal(tmp_path).writers_removed == ("somebody",)


def test_a_writer_that_dies_while_others_are_reaped_waits_for_the_next_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Sealed at once, its running session would never get its row: nobody had looked for it."""
    lost = make_row()
    real = dead_writers

    def dies_just_after(root: Path) -> frozenset[str]:
        dead = real(root)
        dead_writer(root, running=[lost])
        monkeypatch.setattr(sealing, "dead_writers", real)
        return dead

    monkeypatch.setattr(sealing, "dead_writers", dies_just_after)
    assert seal(tmp_path).sealed == ()
    assert verify(tmp_path).unfinished == 1
    assert seal(tmp_path).reaped == (lost.row_id,)
    assert verify(tmp_path).unfinished == 0
