"""The inbox is sealed by copies: whole lines, each once, whatever becomes of the file."""

from pathlib import Path

import msgspec
import pytest

from lakehouse.core.limits import ROW_BYTES_MAX
from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog import inbox_copies
from lakehouse.sessionlog.keeping import sealing
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.layout import SEALED
from lakehouse.sessionlog.manifest import Manifest, read_manifest
from lakehouse.sessionlog.reading.reader import find_rows, read_rows
from lakehouse.sessionlog.reading.stats import stats
from support.rows import make_row


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
    monkeypatch.setattr(inbox_copies, "read_manifest", counting)
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
