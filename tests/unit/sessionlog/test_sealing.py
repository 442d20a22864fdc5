"""Sealing: finished files become immutable and accounted for, living ones stay alone."""

import asyncio
import hashlib
import os
import stat
from pathlib import Path

import msgspec
import pytest

from lakehouse.core.limits import ROW_BYTES_MAX
from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog import sealing
from lakehouse.sessionlog.disk import Busy, Disk, exclusively
from lakehouse.sessionlog.layout import ACTIVE, SEALED, log_files
from lakehouse.sessionlog.manifest import Manifest, read_manifest
from lakehouse.sessionlog.reader import find_rows, read_rows
from lakehouse.sessionlog.reaper import dead_writers
from lakehouse.sessionlog.sealing import seal
from lakehouse.sessionlog.stats import stats
from lakehouse.sessionlog.verify import verify
from lakehouse.sessionlog.writer import SessionLogWriter
from support.dead_writer import dead_writer
from support.rows import make_row, make_started


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
    assert len(writer.tend()) == 1
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


def test_the_inbox_is_copied_from_where_the_last_copy_ended(tmp_path: Path):
    """Whole lines only; the file itself is never touched; nothing is counted twice."""
    one, two, three = make_row(), make_row(), make_row()
    inbox = tmp_path / "inbox.jsonl"

    def add(data: bytes) -> None:
        with inbox.open("ab") as file:
            file.write(data)

    add(b"\n%b\n" % encode_line(one))
    assert seal(tmp_path).sealed == ("inbox-0.jsonl",)
    assert seal(tmp_path).sealed == ()
    add(b"\n%b\n\n%b" % (encode_line(two), encode_line(three)[:100]))
    assert seal(tmp_path).sealed == ("inbox-1.jsonl",)
    assert verify(tmp_path).bad == ()
    add(b"\n%b\n" % encode_line(three))
    before = inbox.read_bytes()
    assert seal(tmp_path).sealed == ("inbox-2.jsonl",)

    found = verify(tmp_path)
    assert inbox.read_bytes() == before
    assert (found.rows, found.duplicates) == (3, 0)
    assert found.sound
    assert [damage.listed for damage in found.bad] == [True]
    assert stats(tmp_path).sessions == 3
    assert len(find_rows(tmp_path, three.row_id)) == 1


def test_an_inbox_that_was_replaced_begins_anew(tmp_path: Path):
    """Somebody rotated it: the new file's lines are all copied."""
    inbox = tmp_path / "inbox.jsonl"
    inbox.write_bytes(b"\n%b\n" % encode_line(make_row()))
    seal(tmp_path)
    fresh = tmp_path / "fresh"
    fresh.write_bytes(b"\n%b\n" % encode_line(make_row()))
    fresh.rename(inbox)

    assert seal(tmp_path).sealed == ("inbox-1.jsonl",)
    assert stats(tmp_path).sessions == 2


@pytest.mark.parametrize("added", [3, 5, 8], ids=["shorter", "as long", "longer"])
def test_an_inbox_that_was_cut_in_place_begins_anew(tmp_path: Path, added: int):
    """As `copytruncate` does it: the inode stays, and whatever comes behind the cut is copied."""
    inbox = tmp_path / "inbox.jsonl"
    before = [make_row() for _ in range(5)]
    inbox.write_bytes(b"".join(b"\n%b\n" % encode_line(row) for row in before))
    seal(tmp_path)
    inode, size = inbox.stat().st_ino, inbox.stat().st_size
    rows = [make_row() for _ in range(added)]
    inbox.write_bytes(b"".join(b"\n%b\n" % encode_line(row) for row in rows))
    assert inbox.stat().st_ino == inode
    assert (inbox.stat().st_size > size, inbox.stat().st_size < size) == (added > 5, added < 5)

    assert verify(tmp_path).rows == 5 + added
    assert seal(tmp_path).sealed == ("inbox-1.jsonl",)

    manifest = read_manifest(tmp_path, "inbox-1.jsonl")
    assert manifest is not None
    assert (manifest.rows, manifest.bad_lines) == (added, ())
    assert seal(tmp_path).sealed == ()
    inbox.unlink()
    found = verify(tmp_path)
    assert (found.rows, found.duplicates, found.bad) == (5 + added, 0, ())


def test_a_cut_is_noticed_after_the_copy_went_into_the_table(tmp_path: Path):
    """The manifest stays when the copy goes, and knows what the inbox held."""
    inbox = tmp_path / "inbox.jsonl"
    inbox.write_bytes(b"\n%b\n" % encode_line(make_row()))
    seal(tmp_path)
    (tmp_path / SEALED / "inbox-0.jsonl").unlink()
    assert seal(tmp_path).sealed == ()
    inbox.write_bytes(b"\n%b\n" % encode_line(make_row()))
    assert seal(tmp_path).sealed == ("inbox-1.jsonl",)


def test_a_manifest_without_a_digest_of_the_inbox_still_tells_how_far_it_is_done(tmp_path: Path):
    """Written by an earlier version: the size alone shows a cut."""
    inbox = tmp_path / "inbox.jsonl"
    inbox.write_bytes(b"\n%b\n" % encode_line(make_row()) * 2)
    seal(tmp_path)
    path = tmp_path / SEALED / "inbox-0.jsonl.manifest.json"
    manifest = msgspec.json.decode(path.read_bytes())
    del manifest["inbox"]["tail_sha256"]
    path.write_bytes(msgspec.json.encode(manifest))

    assert seal(tmp_path).sealed == ()
    inbox.write_bytes(b"\n%b\n" % encode_line(make_row()))
    assert seal(tmp_path).sealed == ("inbox-1.jsonl",)


def test_an_endless_line_in_the_inbox_is_one_bad_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Longer than a whole copy may be: listed and kept apart once it ends, and the rows behind it
    are sealed. Every reader tells the same of it.
    """
    monkeypatch.setattr(sealing, "_INBOX_BYTES_MAX", ROW_BYTES_MAX + 1000)
    inbox = tmp_path / "inbox.jsonl"
    before, after = make_row(), make_row()
    inbox.write_bytes(b"\n%b\n" % encode_line(before) + b"x" * (2 * ROW_BYTES_MAX))

    assert seal(tmp_path).sealed == ("inbox-0.jsonl",)
    assert seal(tmp_path).sealed == ()
    assert verify(tmp_path).bad == ()
    with inbox.open("ab") as file:
        file.write(b"\n%b\n" % encode_line(after))
    assert [(bad.bytes, bad.listed) for bad in verify(tmp_path).bad] == [(2 * ROW_BYTES_MAX, False)]
    assert seal(tmp_path).sealed == ("inbox-1.jsonl", "inbox-2.jsonl")

    manifests = [read_manifest(tmp_path, f"inbox-{number}.jsonl") for number in range(3)]
    assert [(m.rows, len(m.bad_lines)) for m in manifests if m] == [(1, 0), (0, 1), (1, 0)]
    found = verify(tmp_path)
    assert (found.rows, found.duplicates, found.sound) == (2, 0, True)
    assert [damage.listed for damage in found.bad] == [True]
    assert (tmp_path / "quarantine" / "inbox-1.jsonl.bad").stat().st_size == ROW_BYTES_MAX + 2
    assert set(read_rows(tmp_path)) == {encode_line(before), encode_line(after)}
    assert seal(tmp_path).sealed == ()


def test_blank_lines_that_fill_a_copy_hold_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What stands behind them is sealed."""
    monkeypatch.setattr(sealing, "_INBOX_BYTES_MAX", 10_000)
    row = make_row()
    (tmp_path / "inbox.jsonl").write_bytes(b"\n" * 25_000 + encode_line(row) + b"\n")
    assert len(seal(tmp_path).sealed) == 3
    assert verify(tmp_path).rows == 1
    (tmp_path / "inbox.jsonl").unlink()
    assert list(read_rows(tmp_path)) == [encode_line(row)]


def test_only_the_newest_manifest_of_the_inbox_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """However many copies there are; ten come after nine."""
    inbox = tmp_path / "inbox.jsonl"
    read: list[str] = []

    def add() -> tuple[str, ...]:
        with inbox.open("ab") as file:
            file.write(b"\n%b\n" % encode_line(make_row()))
        return seal(tmp_path).sealed

    def counting(root: Path, name: str) -> Manifest | None:
        read.append(name)
        return read_manifest(root, name)

    for number in range(12):
        assert add() == (f"inbox-{number}.jsonl",)
    monkeypatch.setattr(sealing, "read_manifest", counting)
    assert add() == ("inbox-12.jsonl",)
    assert read == ["inbox-11.jsonl", "inbox-12.jsonl"]
    assert (verify(tmp_path).rows, verify(tmp_path).duplicates) == (13, 0)


def test_a_copy_of_the_inbox_without_its_manifest_is_made_again(tmp_path: Path):
    """A crash came between the two: the same number, and no row twice."""
    inbox = tmp_path / "inbox.jsonl"
    for _ in range(2):
        with inbox.open("ab") as file:
            file.write(b"\n%b\n" % encode_line(make_row()))
        seal(tmp_path)
    manifest = tmp_path / SEALED / "inbox-1.jsonl.manifest.json"
    before = manifest.read_bytes()
    for damage in (None, b'{"half'):
        manifest.unlink()
        if damage is not None:
            manifest.write_bytes(damage)
        assert seal(tmp_path).sealed == ("inbox-1.jsonl",)
        assert manifest.read_bytes() == before
    found = verify(tmp_path)
    assert (found.rows, found.duplicates, found.bad) == (2, 0, ())


def test_a_copy_without_its_manifest_is_kept_when_the_inbox_was_cut(tmp_path: Path):
    """Nothing else holds its rows any more."""
    inbox = tmp_path / "inbox.jsonl"
    inbox.write_bytes(b"\n%b\n" % encode_line(make_row()))
    seal(tmp_path)
    (tmp_path / SEALED / "inbox-0.jsonl.manifest.json").unlink()
    inbox.write_bytes(b"\n%b\n" % encode_line(make_row()))

    assert seal(tmp_path).sealed == ("inbox-1.jsonl",)
    assert seal(tmp_path).sealed == ()
    found = verify(tmp_path)
    assert (found.rows, found.duplicates, found.bad) == (2, 0, ())


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
