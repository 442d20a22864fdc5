"""A local table whose log another engine cleaned up: entries that are gone are no torn tail."""

from pathlib import Path

import pytest
from deltalake import DeltaTable

from lakehouse.core.errors import LakehouseError
from lakehouse.sessionlog.keeping import compaction, durability
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.table import append
from lakehouse.sessionlog.reading.compacted import durable_version
from support.table_marks import (
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


def checkpoint_and_clean_up(root: Path, version: int) -> None:
    """Write a checkpoint of a version and delete the entries below, as other engines do in time."""
    DeltaTable(str(table_of(root)), version=version).create_checkpoint()
    for below in range(version):
        entry(root, below).unlink()


def test_entries_that_another_engine_cleaned_up_are_no_torn_tail(root: Path):
    """The marked version is gone and so is the next; the newest one is read, and marked."""
    rows = add(root, 5)
    compact(root, retention_h=0)
    for row in rows[:3]:
        delete_one(root, row)
    checkpoint_and_clean_up(root, 4)
    assert durable_version(str(table_of(root))) == 1
    assert shown(root) == lines(rows[3:])
    rows += add(root, 2)
    assert shown(root) == lines(rows[3:])
    assert compact(root, retention_h=0).rows == 2
    assert shown(root) == lines(rows[3:])
    assert set_aside(root) == []
    assert durable_version(str(table_of(root))) == 5


def test_a_commit_of_ours_that_a_checkpoint_stands_on_is_kept(root: Path, monkeypatch):
    """Its entry is there and follows the mark, which is gone: nothing is left to go back to."""
    rows = add(root, 3)
    compact(root, retention_h=0)
    rows += add(root, 2)
    unmarked(root, monkeypatch)
    checkpoint_and_clean_up(root, 2)
    assert shown(root) == lines(rows)
    assert compact(root, retention_h=0).rows == 0
    assert shown(root) == lines(rows)
    assert set_aside(root) == []


def test_a_gap_whose_later_versions_cannot_be_read_is_not_touched(root: Path):
    """Rows may be in its files that are nowhere else."""
    rows = add(root, 3)
    compact(root, retention_h=0)
    for row in rows[:2]:
        delete_one(root, row)
    checkpoint_and_clean_up(root, 3)
    torn = newest_file(root)
    whole = torn.read_bytes()
    torn.write_bytes(whole[:4] + bytes(len(whole) - 404) + whole[-400:])
    before = sorted(path.name for path in table_of(root).glob("_delta_log/*"))
    with pytest.raises(LakehouseError, match="version 1 nor at a later one"):
        compact(root)
    assert sorted(path.name for path in table_of(root).glob("_delta_log/*")) == before
    assert set_aside(root) == []
    torn.write_bytes(whole)
    compact(root)
    assert shown(root) == lines(rows[2:])


def test_a_tail_that_lost_an_entry_in_its_midst_is_set_aside(root: Path, monkeypatch):
    """No checkpoint stands for it, and the mark is whole: its rows are added anew."""
    rows = add(root, 3)
    compact(root, retention_h=0)
    rows += add(root, 2)
    unmarked(root, monkeypatch)
    delete_one(root, rows[0])
    entry(root, 2).unlink()
    assert shown(root) == lines(rows)
    assert compact(root, retention_h=0).rows == 2
    assert shown(root) == lines(rows)
    assert set_aside(root) == [entry(root, 3).name]


def test_entries_that_are_cleaned_up_during_a_compaction_are_no_torn_tail(root: Path, monkeypatch):
    """Its own commit is marked with what came before it."""
    rows = add(root, 3)
    compact(root, retention_h=0)
    rows += add(root, 2)
    real = append

    def then_another(*arguments, **named) -> None:
        real(*arguments, **named)
        delete_one(root, rows[0])
        checkpoint_and_clean_up(root, 3)

    monkeypatch.setattr(compaction, "append", then_another)
    assert compact(root, retention_h=0).removed == 1
    assert durable_version(str(table_of(root))) == 3
    assert shown(root) == lines(rows[1:])


def test_nothing_is_deleted_for_a_version_that_is_not_marked(root: Path, monkeypatch):
    """An engine that cleans up at the worst moment makes the compaction be asked for again."""
    rows = add(root, 3)
    compact(root, retention_h=0)
    delete_one(root, rows[0])
    checkpoint_and_clean_up(root, 2)
    monkeypatch.setattr(durability, "make_durable", lambda uri: None)
    with pytest.raises(LakehouseError, match="lost its marked version"):
        durability.open_durable(str(table_of(root)))
