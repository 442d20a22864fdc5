"""Idempotency keys: one session for a key and a body, from all callers and processes."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lakehouse.core.errors import LogUnavailable
from lakehouse.core.ids import new_id
from lakehouse.core.row import IDEMPOTENCY_KEY, Row
from lakehouse.core.row_codec import encode_line
from lakehouse.files.locks import try_lock
from lakehouse.sessionlog import keyed
from lakehouse.sessionlog.forgotten import hide_session
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.forgetting import forget
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.keyed import KEPT_S, Claim, KeyReused, KeyStore
from lakehouse.sessionlog.layout import KEY_SHARDS, KEYS
from lakehouse.sessionlog.reading.odd_entries import odd_entries
from lakehouse.sessionlog.reading.reader import read_rows
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.dead_writer import dead_writer
from support.faulty_disk import FaultyDisk
from support.forking import fork
from support.rows import make_row, make_started

DAY = timedelta(seconds=KEPT_S + 1)


def taken(root: Path, key: str = "k", body: str = "b", **ids: str) -> Claim:
    """Claim a key that nobody holds."""
    claim = KeyStore(root).claim(
        key, body=body, session_id=ids.get("session_id", new_id()), row_id=ids.get("row_id", "")
    )
    assert claim is not None
    return claim


def row_of(claim: Claim) -> Row:
    return make_row(
        session_id=claim.session_id, row_id=claim.row_id, metadata={IDEMPOTENCY_KEY: claim.name}
    )


def append(root: Path, *rows: Row) -> None:
    writer = SessionLogWriter.open(root, daemon="validatord")
    for row in rows:
        writer.started(make_started(row))
        asyncio.run(writer.append(row))
    writer.close()


def files(root: Path) -> list[Path]:
    return [path for path in (root / KEYS).glob("*/*") if path.is_file()]


def age(root: Path, by: timedelta = DAY) -> None:
    for path in files(root):
        at = path.stat().st_mtime - by.total_seconds()
        os.utime(path, (at, at))


def test_a_key_is_held_until_it_is_released(tmp_path: Path):
    """Also within one process. Afterwards it has the ids of its first call."""
    store = KeyStore(tmp_path)
    first = store.claim("k", body="b", session_id="s-1", row_id="r-1")
    assert first is not None
    assert (first.session_id, first.row_id, first.row, first.hint) == ("s-1", "r-1", None, None)
    assert store.claim("k", body="b", session_id="s-2", row_id="r-2") is None
    assert KeyStore(tmp_path).claim("k", body="b", session_id="s-2", row_id="r-2") is None
    other = store.claim("other", body="b", session_id="s-3", row_id="r-3")
    assert other is not None
    other.release()
    first.release()

    with taken(tmp_path, session_id="s-2") as again:
        assert (again.session_id, again.row_id, again.running) == ("s-1", "r-1", False)
    taken(tmp_path).release()


def test_the_key_itself_is_stored_nowhere(tmp_path: Path):
    """It may be a secret of the caller's; names and contents have digests. 0600, 0700."""
    with taken(tmp_path, key="a secret key", body="a secret body") as claim:
        [path] = files(tmp_path)
        assert path.parent.name + path.name == claim.name
    assert b"secret" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("held", [True, False])
def test_another_body_is_told_whether_or_not_the_key_is_held(tmp_path: Path, held: bool):
    """At once: the caller need not wait for a session that it may not have."""
    claim = taken(tmp_path, session_id="s-1")
    if not held:
        claim.release()
    with pytest.raises(KeyReused) as reused:
        KeyStore(tmp_path).claim("k", body="another", session_id="s-2", row_id="r-2")
    assert reused.value.session_id == "s-1"
    claim.release()
    taken(tmp_path).release()


@pytest.mark.parametrize("place", ["active", "sealed", "table"])
def test_a_key_has_the_row_of_its_session(tmp_path: Path, place: str):
    """The row's own bytes, wherever it lies by now."""
    with taken(tmp_path, row_id=new_id()) as claim:
        row = row_of(claim)
        append(tmp_path, make_row(), row, make_row())
        claim.look()
        assert claim.row == encode_line(row)
    if place != "active":
        assert seal(tmp_path).sealed
    if place == "table":
        assert compact(tmp_path, retention_h=0).removed == 1
    with taken(tmp_path) as again:
        assert (again.row, again.running) == (encode_line(row), False)
    assert verify(tmp_path).sound


def test_a_session_that_runs_on_is_told_until_it_ends(tmp_path: Path):
    """Its gateway died, the process that judges did not: nobody may run it again."""
    claim = taken(tmp_path, row_id=new_id())
    row = row_of(claim)
    writer = SessionLogWriter.open(tmp_path, daemon="validatord")
    writer.started(make_started(row))
    claim.release()

    with taken(tmp_path) as again:
        assert (again.row, again.running) == (None, True)
        asyncio.run(writer.append(row))
        again.look()
        assert (again.row, again.running) == (encode_line(row), False)
    writer.close()


def test_a_session_whose_writer_died_is_taken_over(tmp_path: Path):
    """With its own ids: the started line of a dead process runs nowhere."""
    with taken(tmp_path, session_id="s-1", row_id=new_id()) as claim:
        dead_writer(tmp_path, running=[row_of(claim)])
    with taken(tmp_path) as again:
        assert (again.session_id, again.row_id) == ("s-1", claim.row_id)
        assert (again.row, again.running) == (None, False)


def test_a_run_that_failed_is_followed_by_another_of_the_same_session(tmp_path: Path):
    """The hint of a failure stays with its row, and goes with it."""
    first, second = new_id(), new_id()
    with taken(tmp_path, session_id="s-1", row_id=first) as claim:
        append(tmp_path, row_of(claim))
        claim.told("Start the model.")
    with taken(tmp_path) as again:
        assert again.row is not None
        assert again.hint == "Start the model."
        again.renew(second)
        assert (again.session_id, again.row_id) == ("s-1", second)
    with taken(tmp_path) as third:
        assert (third.session_id, third.row_id, third.hint) == ("s-1", second, None)
        assert third.row is None


def test_a_line_cut_by_a_crash_is_none(tmp_path: Path):
    """Of a new key: it is new again. Of a stored one: the line before counts."""
    with taken(tmp_path, session_id="s-1") as claim:
        [path] = files(tmp_path)
        whole = path.read_bytes()
        claim.told("hint")
    told = path.read_bytes()
    for size in range(len(whole) + 1, len(told) - 1):
        path.write_bytes(told[:size])
        with taken(tmp_path) as again:
            assert (again.session_id, again.hint) == ("s-1", None)
    for size in range(len(whole) - 1):
        path.write_bytes(whole[:size])
        with taken(tmp_path, body="another", session_id="s-2") as again:
            assert again.session_id == "s-2"


def test_a_key_is_durable_before_anything_runs_for_it(tmp_path: Path):
    """File and name. A takeover syncs too: the first process may have been killed before it did."""
    disk = FaultyDisk()
    store = KeyStore(tmp_path, disk=disk)
    for calls in (2 + 2, 2, 2):
        disk.calls.clear()
        claim = store.claim("k", body="b", session_id="s", row_id=new_id())
        assert claim is not None
        [path] = files(tmp_path)
        assert disk.calls[-2:] == ["sync", f"sync {path.parent.name}"]
        assert len(disk.calls) == calls
        if calls == 2:
            disk.calls.clear()
            claim.renew(new_id())
            assert disk.calls == ["sync", f"sync {path.parent.name}"]
        claim.release()


@pytest.mark.parametrize("fault", ["sync", "short", "write"])
def test_a_key_that_cannot_be_stored_is_no_claim(tmp_path: Path, fault: str):
    """`log_unavailable`, and the key is free again."""
    disk = FaultyDisk()
    disk.failing_syncs = fault == "sync"
    disk.short_writes = fault == "short"
    disk.writes_fail_with = 28 if fault == "write" else None
    with pytest.raises(LogUnavailable):
        KeyStore(tmp_path, disk=disk).claim("k", body="b", session_id="s-1", row_id="r")
    assert disk.fired == {fault: 1}
    taken(tmp_path).release()


def test_what_is_no_file_of_ours_is_never_followed(tmp_path: Path):
    """A link at a key's place, or at its directory's, is an error, and is told by the checks."""
    with taken(tmp_path):
        [path] = files(tmp_path)
    outside = tmp_path.parent / "outside"
    outside.write_bytes(b"")
    path.unlink()
    path.symlink_to(outside)
    with pytest.raises(LogUnavailable, match="cannot be written") as trouble:
        taken(tmp_path)
    assert "symbolic link" in trouble.value.internal
    assert [odd.file for odd in odd_entries(tmp_path)] == [f"keys/{path.parent.name}/{path.name}"]
    path.unlink()
    path.parent.rmdir()
    path.parent.symlink_to(tmp_path.parent)
    with pytest.raises(LogUnavailable):
        taken(tmp_path)
    assert [odd.file for odd in odd_entries(tmp_path)] == [f"keys/{path.parent.name}"]


def test_a_key_is_new_after_a_day(tmp_path: Path):
    """Also with another body, and its file is used again."""
    with taken(tmp_path, session_id="s-1", row_id=new_id()) as claim:
        append(tmp_path, row_of(claim))
    age(tmp_path, DAY - timedelta(minutes=1))
    with taken(tmp_path, session_id="s-2") as claim:
        assert claim.session_id == "s-1"
    age(tmp_path, timedelta(minutes=1))  # the claim in between made it no younger
    with taken(tmp_path, body="another", session_id="s-3") as claim:
        assert claim.session_id == "s-3"
    assert KeyStore(tmp_path).expire(datetime.now(UTC)) == 0


def test_old_files_that_nobody_holds_are_removed(tmp_path: Path):
    """A held one stays, whatever its age; the one that waits for it gets it."""
    for number in range(20):
        taken(tmp_path, key=str(number)).release()
    held = taken(tmp_path, key="held")
    now = datetime.now(UTC)
    store = KeyStore(tmp_path)
    assert store.expire(now) == 0
    assert store.expire(now + DAY) == 20
    assert [path.parent.name + path.name for path in files(tmp_path)] == [held.name]
    held.release()
    assert store.expire(now + DAY) == 1
    assert files(tmp_path) == []
    taken(tmp_path, key="held").release()


def test_one_call_does_a_bounded_part_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """So that a minute's round stays short, however many keys there are."""
    for number in range(40):
        taken(tmp_path, key=str(number)).release()
    monkeypatch.setattr(keyed, "_LOOKED_AT_MAX", 10)
    store = KeyStore(tmp_path)
    later = datetime.now(UTC) + DAY
    removed = [store.expire(later) for _ in range(4)]
    assert all(10 <= count <= 13 for count in removed[:3])
    assert sum(removed) == 40


def test_a_file_removed_between_the_open_and_the_lock_is_no_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A lock on it would keep nobody out."""
    taken(tmp_path).release()
    [path] = files(tmp_path)

    def late(descriptor: int) -> bool:
        path.unlink(missing_ok=True)
        return try_lock(descriptor)

    monkeypatch.setattr(keyed, "try_lock", late)
    assert KeyStore(tmp_path).claim("k", body="b", session_id="s", row_id="r") is None


def test_a_forgotten_session_does_not_answer(tmp_path: Path):
    """Its key is removed with it, and is new even where it could not be removed yet."""
    with taken(tmp_path, row_id=new_id()) as claim:
        append(tmp_path, row_of(claim))
    taken(tmp_path, key="kept", session_id="kept").release()
    holding = taken(tmp_path)
    done = forget(tmp_path, claim.session_id)
    assert done.left == (f"keys/{claim.name[:2]}/{claim.name[2:]}",)
    holding.release()
    assert forget(tmp_path, claim.session_id).left == ()
    assert len(files(tmp_path)) == 1

    with taken(tmp_path, session_id="s-1") as again:
        assert again.session_id == "s-1"
    hide_session(tmp_path, "s-1", datetime.now(UTC))
    with taken(tmp_path, body="another", session_id="s-2") as again:
        assert again.session_id == "s-2"
    with taken(tmp_path, key="kept") as kept:
        assert kept.session_id == "kept"


def test_a_forked_child_holds_no_key(tmp_path: Path):
    """Else a dead parent's key would stay held."""
    claim = taken(tmp_path)

    there, here = os.pipe()
    heard, said = os.pipe()
    child = fork()
    if child == 0:
        os.close(here)
        os.write(said, b".")
        os.read(there, 1)  # until the parent is done
        os._exit(0)
    try:
        os.read(heard, 1)
        claim.release()
        taken(tmp_path).release()
    finally:
        for descriptor in (here, there, heard, said):
            os.close(descriptor)
        assert os.waitpid(child, 0)[1] == 0


def test_a_released_claim_writes_no_more(tmp_path: Path):
    """Somebody else may have the key by then."""
    claim = taken(tmp_path)
    claim.release()
    claim.release()
    with pytest.raises(LogUnavailable):
        claim.renew(new_id())


def test_the_keys_disturb_no_reader_and_no_keeper(tmp_path: Path):
    """A log with keys reads, verifies, seals and compacts as one without."""
    claims = [taken(tmp_path, key=str(number), row_id=new_id()) for number in range(3)]
    rows = [row_of(claim) for claim in claims]
    append(tmp_path, *rows)
    assert sorted(read_rows(tmp_path)) == sorted(map(encode_line, rows))
    assert verify(tmp_path).sound
    assert odd_entries(tmp_path) == []
    seal(tmp_path)
    compact(tmp_path, retention_h=0)
    assert sorted(read_rows(tmp_path)) == sorted(map(encode_line, rows))
    assert verify(tmp_path).sound
    assert sorted(path.name for path in (tmp_path / KEYS).iterdir()) == list(KEY_SHARDS)
    for claim in claims:
        claim.release()
