"""Compaction: every row once in the table, its bytes kept, and every reader none the wiser."""

import os
import time
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from lakehouse.core.errors import LakehouseError, SetupError
from lakehouse.core.ids import new_id
from lakehouse.core.row import LoggedError
from lakehouse.core.row_codec import add_crc, encode_line
from lakehouse.files.locks import Busy, exclusively
from lakehouse.sessionlog.keeping import compaction as module
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.records import SCHEMA, record_batch
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.keeping.table import append
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.layout import COMPACT_LOCK
from lakehouse.sessionlog.reading.compacted import plan_path, read_identity, read_plans
from lakehouse.sessionlog.reading.filters import SessionFilter
from lakehouse.sessionlog.reading.query import query
from lakehouse.sessionlog.reading.reader import find_rows, read_rows
from lakehouse.sessionlog.reading.sessions import list_sessions
from lakehouse.sessionlog.reading.stats import stats
from lakehouse.sessionlog.reading.views import open_views
from support.compaction import compacted, rows_of_three_days, write_sealed
from support.dead_writer import dead_writer
from support.log_counts import unfinished
from support.rows import make_row


def everything(root: Path) -> dict[str, object]:
    """Ask every reader for everything."""
    with open_views(root) as connection:
        views = {
            name: sorted(map(repr, connection.execute(f"SELECT * FROM {name}").fetchall()))
            for name in ("sessions", "attempts", "findings")
        }
    page = list_sessions(root, limit=7)
    pages = [*page.rows, *list_sessions(root, limit=200, cursor=page.next).rows]
    narrow = SessionFilter(code="ungrounded", kind="airport_event", since="2026-01-02")
    return {
        **views,
        "lines": sorted(read_rows(root)),
        "pages": pages,
        "narrow": list_sessions(root, narrow).rows,
        "stats": stats(root, by=["day", "verdict", "kind"]),
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A log at a path that needs quoting."""
    return tmp_path / "a log's plaçe #1+1"


def test_no_reader_can_tell_a_compacted_log_from_the_files(root: Path):
    """Before, with the segments still there, and after they are gone: the same bytes."""
    rows = rows_of_three_days()
    write_sealed(root, rows)
    before = everything(root)
    done = compact(root)
    assert (done.commits, done.rows, done.duplicates, done.damaged) == (1, len(rows), 0, ())
    assert everything(root) == before
    assert compact(root, retention_h=0).removed == 1
    assert not list((root / "sealed").glob("*.jsonl"))
    assert everything(root) == before
    assert sorted(read_rows(root)) == sorted(encode_line(row) for row in rows)
    for row in rows[:3]:
        assert find_rows(root, row.row_id) == [encode_line(row)]
    assert verify(root).sound
    answer = query(root, "SELECT count(*) AS n, count(artifact) AS a FROM sessions").json()
    assert msgspec.json.decode(answer) == [{"n": 15, "a": 6}]


def test_live_rows_and_compacted_ones_are_one_log(root: Path):
    """A row that is in the table and again in a later segment is shown once."""
    rows = rows_of_three_days()
    write_sealed(root, rows[:10])
    compact(root)
    write_sealed(root, rows[8:12])
    writer_rows = [encode_line(row) for row in rows[9:]]
    (root / "inbox.jsonl").write_bytes(b"".join(b"\n" + line + b"\n" for line in writer_rows))
    with open_views(root) as connection:
        counted = connection.execute(
            "SELECT count(*), count(DISTINCT row_id) FROM sessions"
        ).fetchone()
    assert counted == (15, 15)
    assert len(list_sessions(root, limit=200).rows) == 15
    assert len(list(read_rows(root))) == 15
    seal(root)
    done = compact(root)
    assert (done.rows, done.duplicates) == (5, 2 + 3)
    assert len(list(read_rows(root))) == 15


def test_what_every_engine_reads(root: Path):
    """Protocol 1/2 and no features; typed columns; DuckDB needs no extension."""
    write_sealed(root, rows_of_three_days())
    table = DeltaTable(compact(root).table)
    protocol = table.protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)
    assert not protocol.reader_features
    assert not protocol.writer_features
    assert table.metadata().partition_columns == ["date"]
    arrow = table.to_pyarrow_table()
    assert arrow["usage"].to_pylist()[0] == {"prompt_tokens": 10, "completion_tokens": 20}
    files = list(compacted(root).files)
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT date, count(*) FROM read_parquet({files}, hive_partitioning = true) GROUP BY 1"
        ).fetchall()
    assert {str(day): count for day, count in found} == dict.fromkeys(
        ["2026-01-01", "2026-01-02", "2026-01-03"], 5
    )
    # Statistics would keep pieces of prompts in the table's own log, past `log forget`.
    logs = (Path(table.table_uri) / "_delta_log").glob("*.json")
    assert all("prompt '" not in path.read_text() for path in logs)


def test_a_table_of_before_takes_rows_whose_error_has_a_detail(root: Path):
    """Its schema grows by the member; older files and newer ones are one table to each reader."""
    error = SCHEMA.field("error")
    shorter = error.with_type(pa.struct([part for part in error.type if part.name != "detail"]))
    old = SCHEMA.set(SCHEMA.get_field_index("error"), shorter)
    first = make_row(verdict="infra_error", error=LoggedError("timeout", "late"))
    line = add_crc(encode_line(first)[:-18].replace(b',"detail":null', b"") + b"}")
    columns = pa.table(record_batch([line])).to_pydict()
    del columns["error"][0]["detail"]
    write_deltalake(
        str(root / "table"), pa.table(columns, schema=old), partition_by=["date"], mode="append"
    )
    assert '"detail"' not in DeltaTable(root / "table").schema().to_json()
    write_sealed(root, [make_row(verdict="infra_error", error=LoggedError("connect", "no", "why"))])
    for _ in range(2):
        compact(root, retention_h=0)
        with open_views(root) as connection:
            sql = "SELECT error.code, error.detail FROM sessions ORDER BY ALL"
            found = connection.execute(sql).fetchall()
        assert found == [("connect", "why"), ("timeout", None)]
    assert '"detail"' in DeltaTable(root / "table").schema().to_json()
    assert find_rows(root, first.row_id) == [line]
    assert stats(root, where=SessionFilter(code="timeout")).infra_error == 1


def interrupted(*_: object, **__: object) -> None:
    """Stand where the process would have been killed."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("place", ["append", "make_durable", "_merge", "remove_segment"])
def test_a_compaction_that_dies_is_completed_by_the_next(root: Path, monkeypatch, place: str):
    """Between any two of its steps."""
    rows = rows_of_three_days()
    write_sealed(root, rows)
    with monkeypatch.context() as patch:
        patch.setattr(module, place, interrupted)
        with pytest.raises(KeyboardInterrupt):
            compact(root, retention_h=0)
    assert len(list(read_rows(root))) == len(rows)
    compact(root, retention_h=0)
    assert sorted(read_rows(root)) == sorted(encode_line(row) for row in rows)
    with open_views(root) as connection:
        assert connection.execute("SELECT count(*) FROM sessions").fetchone() == (len(rows),)
    assert not list((root / "sealed").glob("*.jsonl"))
    assert not read_plans(root)


def test_a_commit_that_was_not_heard_of_is_not_made_twice(root: Path, monkeypatch):
    """The commit lands and its answer is lost: the transaction says that it is done."""
    rows = rows_of_three_days()
    write_sealed(root, rows)
    real = append

    def unheard(*arguments, **named) -> None:
        real(*arguments, **named)
        monkeypatch.setattr(module, "append", real)
        raise CommitFailedError("the answer was lost")

    monkeypatch.setattr(module, "append", unheard)
    compact(root)
    assert DeltaTable(str(root / "table")).count() == len(rows)


def test_a_second_compactor_of_the_same_plan_finds_it_done(root: Path, monkeypatch):
    """Two at once without the lock, as on two machines: one commit."""
    rows = rows_of_three_days()
    write_sealed(root, rows)
    real = append

    def overtaken(*arguments, **named) -> None:
        monkeypatch.setattr(module, "append", real)
        (plan,) = read_plans(root)
        identity = read_identity(root)
        assert identity is not None
        module._execute(root, plan, identity, str(root / "table"), module._Tally())
        real(*arguments, **named)

    monkeypatch.setattr(module, "append", overtaken)
    done = compact(root)
    assert DeltaTable(done.table).count() == len(rows)
    identity = read_identity(root)
    assert identity is not None
    assert DeltaTable(done.table).transaction_version(identity.application) == 1


def test_small_files_are_merged_and_old_ones_removed(root: Path):
    """A compaction every minute would leave a file for each."""
    rows = rows_of_three_days()
    for number, row in enumerate(rows[:5]):
        write_sealed(root, [row])
        done = compact(root)
        assert done.merged == (4 if number == 3 else 0)
    assert len(compacted(root).files) == 2
    assert len(list(read_rows(root))) == 5


def test_a_damaged_segment_is_left_out_and_named(root: Path):
    """Its rows would be lost with it, were it let go."""
    rows = rows_of_three_days()
    write_sealed(root, rows[:3])
    (damaged,) = (root / "sealed").glob("*.jsonl")
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    write_sealed(root, rows[3:6])
    done = compact(root, retention_h=0)
    assert done.damaged == (damaged.name,)
    assert done.rows == 3
    assert damaged.exists()
    assert not verify(root).sound


def test_a_planned_segment_that_changed_stops_the_compaction(root: Path, monkeypatch):
    """Nothing is committed, and the message says what to restore."""
    write_sealed(root, rows_of_three_days())
    with monkeypatch.context() as patch:
        patch.setattr(module, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            compact(root)
    (segment,) = (root / "sealed").glob("*.jsonl")
    segment.write_bytes(segment.read_bytes()[:-100])
    with pytest.raises(LakehouseError, match="was changed after it was sealed") as failed:
        compact(root)
    assert str(plan_path(root, 1)) in failed.value.hint
    assert DeltaTable(str(root / "table")).count() == 0


def test_a_started_session_whose_row_is_in_the_table_is_not_reaped_again(root: Path):
    """The reaper looks there, too."""
    row_id = new_id()
    row = make_row(session_id=row_id, row_id=row_id)
    write_sealed(root, [row])
    compact(root, retention_h=0)
    dead_writer(root, running=[row])
    assert unfinished(root) == []
    assert seal(root).reaped == ()
    assert verify(root).unfinished == 0


def test_segments_stay_for_their_retention(root: Path):
    """By default a day."""
    write_sealed(root, rows_of_three_days())
    assert compact(root).removed == 0
    old = time.time() - 25 * 3600
    os.utime(plan_path(root, 1), (old, old))
    assert compact(root).removed == 1


def test_the_table_of_a_log_is_chosen_once(root: Path, tmp_path: Path):
    """And may lie anywhere."""
    place = str(tmp_path / "elsewhere")
    write_sealed(root, rows_of_three_days())
    assert compact(root, table=place).table == place
    assert len(list(read_rows(root))) == 15
    with pytest.raises(SetupError, match="compacted into"):
        compact(root, table=str(tmp_path / "third"))


def test_a_path_that_the_delta_library_misreads_is_refused(tmp_path: Path):
    """It would write into another directory."""
    with pytest.raises(SetupError, match="percent sign"):
        compact(tmp_path / "100%25")


def test_one_at_a_time(root: Path):
    """Another compactor's lock is waited for, then named."""
    write_sealed(root, rows_of_three_days())
    with exclusively(root / COMPACT_LOCK, 0), pytest.raises(Busy, match=r"compact\.lock"):
        compact(root, wait_s=0.1)


def test_a_damaged_table_is_an_error_and_not_an_empty_log(root: Path):
    """Every reader says so."""
    write_sealed(root, rows_of_three_days())
    compact(root)
    for path in (root / "table" / "_delta_log").iterdir():
        path.write_text("{")
    for reader in (lambda log: list(read_rows(log)), stats, list_sessions):
        with pytest.raises(LakehouseError, match="cannot be read"):
            reader(root)


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b'{"version":"1"}'])
def test_a_damaged_plan_is_an_error_that_names_it(root: Path, damage: bytes):
    """Every reader and the compactor say what to do, and after it each row is there once."""
    rows = rows_of_three_days()
    write_sealed(root, rows)
    compact(root)
    plan = plan_path(root, 1)
    plan.write_bytes(damage)
    for reader in (lambda log: list(read_rows(log)), stats, list_sessions, compact):
        with pytest.raises(LakehouseError, match=r"compacted/1\.json cannot be read") as failed:
            reader(root)
        assert "or remove it" in failed.value.hint
    assert "1.json" in verify(root).bad[0].reason
    plan.unlink()
    assert sorted(read_rows(root)) == sorted(encode_line(row) for row in rows)
    done = compact(root, retention_h=0)
    assert (done.rows, done.duplicates, done.removed) == (0, len(rows), 1)
    assert sorted(read_rows(root)) == sorted(encode_line(row) for row in rows)
