"""A local table through a power cut: read at its mark, restored, and nobody else's work undone."""

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lakehouse.core.errors import LakehouseError
from lakehouse.core.ids import new_id
from lakehouse.core.row import Row
from lakehouse.files.locks import Busy, exclusively
from lakehouse.sessionlog.keeping import compaction
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.forgetting import forget
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.keeping.table import append
from lakehouse.sessionlog.reading.compacted import durable_path, durable_version
from support.dead_writer import dead_writer
from support.rows import make_row
from support.table_marks import (
    DAY,
    add,
    delete_one,
    entry,
    lines,
    newest_file,
    set_aside,
    shown,
    table_of,
    unmarked,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A log at a path that needs quoting."""
    return tmp_path / "a log's plaçe #1+1"


TORN = {
    "entry empty": lambda root: entry(root, 2).write_bytes(b""),
    "entry cut": lambda root: entry(root, 2).write_bytes(entry(root, 2).read_bytes()[:512]),
    "entry of zeros": lambda root: entry(root, 2).write_bytes(bytes(900)),
    "entry and name lost": lambda root: entry(root, 2).unlink(),
    "data missing": lambda root: newest_file(root).unlink(),
    "data empty": lambda root: newest_file(root).write_bytes(b""),
    "nothing": lambda root: None,
}


@pytest.mark.parametrize("torn", TORN)
def test_a_torn_commit_of_ours_is_set_aside_and_made_again(root: Path, monkeypatch, torn: str):
    """Readers do not even notice; the next compaction leaves a whole table."""
    rows = add(root, 3)
    compact(root, retention_h=0)
    rows += add(root, 2)
    unmarked(root, monkeypatch)
    assert durable_version(str(table_of(root))) == 1
    TORN[torn](root)
    assert shown(root) == lines(rows)
    done = compact(root, retention_h=0)
    assert (done.rows, done.removed) == (2, 1)
    assert shown(root) == lines(rows)
    assert DeltaTable(done.table).to_pyarrow_table().num_rows == 5
    assert set_aside(root) == ([] if torn == "entry and name lost" else [entry(root, 2).name])
    assert durable_version(done.table) == DeltaTable(done.table).version()


@pytest.mark.parametrize("version", ["torn", "whole"])
def test_a_table_that_was_being_made_is_made_again(root: Path, monkeypatch, version: str):
    """No mark says that there is one, so readers look at the segments."""
    rows = add(root, 3)
    unmarked(root, monkeypatch)
    durable_path(table_of(root)).write_text('{"schema":"session_log.table.v1","version":-1}')
    if version == "torn":
        entry(root, 0).write_bytes(entry(root, 0).read_bytes()[:100])
    assert shown(root) == lines(rows)
    assert compact(root, retention_h=0).rows == 3
    assert shown(root) == lines(rows)
    assert set_aside(root) == [entry(root, 0).name, entry(root, 1).name]


def test_what_another_engine_did_is_kept(root: Path):
    """Readers see it from the next compaction on."""
    rows = add(root, 3)
    compact(root, retention_h=0)
    delete_one(root, rows[0])
    assert shown(root) == lines(rows)
    compact(root)
    assert shown(root) == lines(rows[1:])
    assert set_aside(root) == []
    assert durable_version(str(table_of(root))) == 2


def test_a_commit_of_ours_below_one_of_another_engine_is_kept_if_whole(root: Path, monkeypatch):
    """It cannot be undone alone; its plan is done."""
    rows = add(root, 3)
    compact(root, retention_h=0)
    rows += add(root, 2)
    unmarked(root, monkeypatch)
    delete_one(root, rows[0])
    assert compact(root, retention_h=0).rows == 0
    assert shown(root) == lines(rows[1:])
    assert set_aside(root) == []


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_what_another_engine_did_is_set_aside_if_it_is_torn(root: Path, monkeypatch, whose: str):
    """Or if it stands on something that is: better undone than a table nobody can read."""
    rows = add(root, 3)
    compact(root, retention_h=0)
    rows += add(root, 2)
    unmarked(root, monkeypatch)
    torn = newest_file(root)
    delete_one(root, rows[0])
    torn = torn if whose == "ours" else newest_file(root)
    data = bytearray(torn.read_bytes())
    data[4:-400] = bytes(len(data) - 404)  # of the right size, and its end is whole
    torn.write_bytes(data)
    assert compact(root, retention_h=0).rows == 2
    assert shown(root) == lines(rows)
    assert set_aside(root) == [entry(root, 2).name, entry(root, 3).name]


def test_an_engine_that_commits_in_between_is_not_in_the_way(root: Path, monkeypatch):
    """Its commit is made durable with ours."""
    rows = add(root, 3)
    compact(root, retention_h=0)
    rows += add(root, 2)
    real = append

    def after_another(*arguments, **named) -> None:
        monkeypatch.setattr(compaction, "append", real)
        delete_one(root, rows[0])
        real(*arguments, **named)

    monkeypatch.setattr(compaction, "append", after_another)
    compact(root, retention_h=0)
    assert shown(root) == lines(rows[1:])


def old_table(root: Path) -> list[Row]:
    """Leave a table as the version before did: without a mark."""
    rows = add(root, 3)
    compact(root, retention_h=0)
    rows += add(root, 2)
    compact(root)
    durable_path(table_of(root)).unlink()
    return rows


def test_a_table_without_a_mark_is_read_at_its_newest_version(root: Path):
    """And is marked by the next compaction."""
    rows = old_table(root)
    assert shown(root) == lines(rows)
    compact(root)
    assert durable_version(str(table_of(root))) == 2
    assert shown(root) == lines(rows)


@pytest.mark.parametrize("torn", [name for name in TORN if name != "nothing"])
def test_a_torn_table_without_a_mark_is_restored_by_the_next_compaction(root: Path, torn: str):
    """To the newest version whose files are there."""
    rows = old_table(root)
    TORN[torn](root)
    assert compact(root).rows == 2
    assert shown(root) == lines(rows)
    assert durable_version(str(table_of(root))) == 2


def test_an_empty_entry_below_whole_ones_is_found_in_a_table_without_a_mark(root: Path):
    """The Delta library would read on, without the rows of that commit."""
    rows = old_table(root)
    rows += add(root, 1)
    compact(root)
    durable_path(table_of(root)).unlink()
    entry(root, 2).write_bytes(b"")
    assert compact(root).rows == 3
    assert shown(root) == lines(rows)


def test_a_table_without_a_mark_of_which_no_version_is_left_is_not_touched(root: Path):
    """Rows may be in its files that are nowhere else."""
    old_table(root)
    for version in range(3):
        entry(root, version).write_bytes(b"")
    with pytest.raises(LakehouseError, match="at any version"):
        compact(root)
    assert all(entry(root, version).exists() for version in range(3))
    assert not durable_path(table_of(root)).exists()


def test_a_table_that_was_torn_when_the_version_before_made_it_is_made_again(root: Path):
    """No row can have been in it."""
    rows = old_table_creation(root)
    assert compact(root, retention_h=0).rows == 3
    assert shown(root) == lines(rows)


def old_table_creation(root: Path) -> list[Row]:
    rows = add(root, 3)
    (table_of(root) / "_delta_log").mkdir(parents=True, mode=0o700)
    entry(root, 0).write_bytes(b"")
    return rows


def test_a_hint_to_a_checkpoint_that_was_set_aside_goes_with_it(root: Path, monkeypatch):
    """Every engine would look for it."""
    rows = add(root, 3)
    compact(root, retention_h=0)
    rows += add(root, 2)
    unmarked(root, monkeypatch)
    DeltaTable(str(table_of(root))).create_checkpoint()
    (checkpoint,) = table_of(root).glob("_delta_log/*.checkpoint.parquet")
    checkpoint.write_bytes(b"")
    assert shown(root) == lines(rows)
    compact(root)
    assert shown(root) == lines(rows)
    assert set_aside(root) == sorted([entry(root, 2).name, checkpoint.name, "_last_checkpoint"])


def test_a_hint_that_outlived_its_checkpoint_is_set_aside(root: Path):
    """Its name reached the disk, what it names did not."""
    rows = add(root, 3)
    compact(root, retention_h=0)
    (table_of(root) / "_delta_log" / "_last_checkpoint").write_text('{"version":2,"size":3}')
    rows += add(root, 2)
    compact(root)
    assert shown(root) == lines(rows)
    assert set_aside(root) == ["_last_checkpoint"]


def test_a_torn_checkpoint_of_another_engine_is_set_aside(root: Path):
    """What it stands for is in the entries; the commit stays."""
    rows = add(root, 3)
    compact(root, retention_h=0)
    delete_one(root, rows[0])
    DeltaTable(str(table_of(root))).create_checkpoint()
    (checkpoint,) = table_of(root).glob("_delta_log/*.checkpoint.parquet")
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    compact(root)
    assert shown(root) == lines(rows[1:])
    assert set_aside(root) == [checkpoint.name, "_last_checkpoint"]


def test_a_forgotten_session_is_not_left_in_files_that_no_version_needs(root: Path, monkeypatch):
    """The Parquet file of a commit that was set aside holds its rows, too."""
    secret = make_row(session_id=new_id())
    rows = add(root, 3)
    compact(root, retention_h=0)
    dead_writer(root, rows=[secret])
    seal(root)
    unmarked(root, monkeypatch)
    compact(root)
    assert len(holding(root, secret)) == 2
    assert forget(root, secret.session_id).left == ()
    assert holding(root, secret) == []
    assert shown(root) == lines(rows)


def holding(root: Path, row) -> list[Path]:
    """List the Parquet files that hold a row."""
    found = []
    for path in table_of(root).glob(f"{DAY}/*.parquet"):
        with pq.ParquetFile(path) as file:
            if row.row_id in file.read(columns=["row_id"])["row_id"].to_pylist():
                found.append(path)
    return found


def test_a_damaged_mark_is_an_error(root: Path):
    """It says what to do, and no row is left out."""
    rows = add(root, 3)
    compact(root, retention_h=0)
    durable_path(table_of(root)).write_text("{")
    with pytest.raises(LakehouseError, match=r"durable\.json cannot be read"):
        shown(root)
    with pytest.raises(LakehouseError, match=r"durable\.json cannot be read"):
        compact(root)
    durable_path(table_of(root)).unlink()
    assert shown(root) == lines(rows)


def test_one_log_at_a_time_changes_a_table_that_two_share(root: Path, tmp_path: Path):
    """Each has its own lock, and the table has one."""
    rows = add(root, 3)
    other = tmp_path / "other"
    rows += add(other, 2)
    compact(root)
    lock = table_of(root) / "_lakehouse" / "table.lock"
    with exclusively(lock, 0), pytest.raises(Busy, match=r"table\.lock"):
        compact(other, table=str(table_of(root)), wait_s=0.1)
    compact(other, table=str(table_of(root)))
    assert shown(root) == shown(other) == lines(rows)


def test_nothing_is_marked_that_could_not_be_synced(root: Path, monkeypatch):
    """And no segment is deleted; the commit is made again, in other files."""
    rows = add(root, 3)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fails)
        with pytest.raises(LakehouseError, match="cannot be written"):
            compact(root, retention_h=0)
    assert shown(root) == lines(rows)
    assert len(list((root / "sealed").glob("*.jsonl"))) == 1
    assert compact(root, retention_h=0).removed == 1
    assert shown(root) == lines(rows)


def fails(descriptor: int) -> None:
    raise OSError(5, "Input/output error")
