"""Crashed sessions of idempotency keys: one row each, whether they are reaped or taken over."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from lakehouse.core.clock import SystemClock, timestamp
from lakehouse.core.ids import new_id
from lakehouse.core.row import IDEMPOTENCY_KEY, Row
from lakehouse.core.row_codec import decode_row
from lakehouse.sessionlog.forgotten import hide_session
from lakehouse.sessionlog.keeping import reaper
from lakehouse.sessionlog.keeping.maintenance import KEYED_AGE_S, Maintenance
from lakehouse.sessionlog.keeping.sealing import reap, seal
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.keyed import Claim, KeyStore
from lakehouse.sessionlog.reading.reader import read_rows
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.dead_writer import dead_writer
from support.rows import make_row, make_started
from support.waiting import wait_until


def taken(root: Path, key: str = "k") -> Claim:
    claim = KeyStore(root).claim(key, body="b", session_id=new_id(), row_id=new_id())
    assert claim is not None
    return claim


def row_of(claim: Claim, *, ago_s: float = 3600) -> Row:
    return make_row(
        session_id=claim.session_id,
        row_id=claim.row_id,
        timestamp=timestamp(SystemClock().now() - timedelta(seconds=ago_s)),
        metadata={IDEMPOTENCY_KEY: claim.name},
    )


def crash(root: Path, key: str = "k", *, ago_s: float = 3600) -> Row:
    """Leave a session of a key as a killed process does."""
    with taken(root, key) as claim:
        row = row_of(claim, ago_s=ago_s)
        dead_writer(root, running=[row])
    return row


def test_a_key_that_is_held_keeps_its_session_from_the_reaper(tmp_path: Path):
    """Its writer's files stay where they are; those of others are sealed."""
    row = crash(tmp_path)
    dead_writer(tmp_path, rows=[make_row()], running=[other := make_row()])
    [mine] = [path for path in (tmp_path / "active").iterdir() if row.row_id in path.read_text()]
    lock = tmp_path / "writers" / f"{mine.name.removesuffix('-0.jsonl')}.lock"

    with taken(tmp_path):
        assert reap(tmp_path) == (other.row_id,)
        done = seal(tmp_path)
        assert (done.reaped, len(done.sealed)) == ((), 2)
        assert mine.exists()
        assert lock.exists()

    done = seal(tmp_path)
    assert (done.reaped, mine.name in done.sealed) == ((row.row_id,), True)
    assert not lock.exists()
    found = verify(tmp_path)
    assert (found.sound, found.rows, found.duplicates, found.unfinished) == (True, 3, 0, 0)


def test_a_session_that_was_taken_over_has_the_row_of_its_second_run(tmp_path: Path):
    """And no crashed one beside it."""
    row = crash(tmp_path)
    with taken(tmp_path) as claim:
        assert claim.row_id == row.row_id
        writer = SessionLogWriter.open(tmp_path, daemon="validatord")
        again = row_of(claim, ago_s=0)
        writer.started(make_started(again))
        asyncio.run(writer.append(again))
        writer.close()

    assert seal(tmp_path).reaped == ()
    [line] = read_rows(tmp_path)
    assert decode_row(line) == again


def test_a_session_that_another_process_runs_on_is_not_reaped(tmp_path: Path):
    """Its gateway took it over and died; the key is free, its writer lives."""
    row = crash(tmp_path)
    with taken(tmp_path) as claim:
        writer = SessionLogWriter.open(tmp_path, daemon="validatord")
        again = row_of(claim, ago_s=0)
        writer.started(make_started(again))
    assert reap(tmp_path) == ()
    assert seal(tmp_path).reaped == ()
    asyncio.run(writer.append(again))
    writer.close()
    assert seal(tmp_path).reaped == ()
    found = verify(tmp_path)
    assert (found.rows, found.duplicates, found.unfinished) == (1, 0, 0)
    assert row.row_id == again.row_id


def test_of_two_crashes_the_later_one_is_told(tmp_path: Path):
    """One row, of the newest start, and both writers are done."""
    crash(tmp_path)
    with taken(tmp_path) as claim:
        assert seal(tmp_path).sealed == ()
        dead_writer(tmp_path, running=[later := row_of(claim, ago_s=100)])
        assert seal(tmp_path).sealed == ()
    done = seal(tmp_path)
    assert (done.reaped, len(done.sealed)) == ((later.row_id,), 3)
    [line] = read_rows(tmp_path)
    assert decode_row(line).timestamp == later.timestamp


def test_a_round_of_a_daemon_leaves_young_sessions_to_their_callers(tmp_path: Path):
    """For a minute; by hand it does not wait."""
    young = crash(tmp_path, "young", ago_s=KEYED_AGE_S - 30)
    old = crash(tmp_path, "old", ago_s=KEYED_AGE_S + 30)
    plain = make_row(timestamp=young.timestamp)
    dead_writer(tmp_path, running=[plain])
    with taken(tmp_path, "expired"):
        pass
    [expired] = [
        path
        for path in (tmp_path / "keys").glob("*/*")
        if young.metadata[IDEMPOTENCY_KEY][2:] != path.name != old.metadata[IDEMPOTENCY_KEY][2:]
    ]
    os.utime(expired, (0, 0))

    def rows() -> set[str]:
        return {decode_row(line).row_id for line in read_rows(tmp_path)}

    writer = SessionLogWriter.open(tmp_path, daemon="validatord")
    maintenance = Maintenance(tmp_path, writer)
    maintenance.start()
    try:
        wait_until(lambda: not expired.exists(), "the end of the first round")
    finally:
        maintenance.stop()
        writer.close()
    assert rows() == {old.row_id, plain.row_id}
    assert reap(tmp_path) == (young.row_id,)


@pytest.mark.parametrize("gone", ["expired", "forgotten", "renewed", "a name of the caller's"])
def test_a_session_that_its_key_has_left_is_reaped_without_it(tmp_path: Path, gone: str):
    """The key is held for another run now."""
    row = crash(tmp_path)
    [path] = (tmp_path / "keys").glob("*/*")
    if gone == "expired":
        path.unlink()
    elif gone == "forgotten":
        hide_session(tmp_path, row.session_id, SystemClock().now())
    elif gone == "renewed":
        with taken(tmp_path) as claim:
            claim.renew(new_id())
    else:
        named = msgspec.structs.replace(row, row_id=new_id(), metadata={IDEMPOTENCY_KEY: "../k"})
        dead_writer(tmp_path, running=[named])
    with taken(tmp_path):
        assert len(reap(tmp_path)) == 1


def test_more_sessions_than_descriptors_are_reaped_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """All of them in one call."""
    monkeypatch.setattr(reaper, "_KEYS_HELD_MAX", 3)
    ids = [crash(tmp_path, str(number)).row_id for number in range(7)]
    assert sorted(reap(tmp_path)) == sorted(ids)
    assert verify(tmp_path).duplicates == 0
