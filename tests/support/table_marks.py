"""A local table that is read at its mark, and what is done to its log."""

from pathlib import Path

import pytest
from deltalake import DeltaTable

from lakehouse.core.row import Row
from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.keeping import compaction
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.reading.reader import read_rows
from support.dead_writer import dead_writer
from support.rows import make_row

DAY = "date=2026-01-02"


def add(root: Path, number: int) -> list[Row]:
    """Write some rows into a sealed segment."""
    rows = [make_row() for _ in range(number)]
    dead_writer(root, rows=rows)
    seal(root)
    return rows


def unmarked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compact, and be killed between a commit and its mark."""
    with monkeypatch.context() as patch:
        patch.setattr(compaction, "make_durable", killed)
        with pytest.raises(KeyboardInterrupt):
            compact(root)


def killed(*_: object) -> None:
    """Stand where the process would have been killed."""
    raise KeyboardInterrupt


def table_of(root: Path) -> Path:
    return root / "table"


def entry(root: Path, version: int) -> Path:
    return table_of(root) / "_delta_log" / f"{version:020d}.json"


def shown(root: Path) -> list[bytes]:
    return sorted(read_rows(root))


def lines(rows: list[Row]) -> list[bytes]:
    return sorted(map(encode_line, rows))


def set_aside(root: Path) -> list[str]:
    """List what was moved out of the table's log."""
    return sorted(path.name for path in table_of(root).glob("_lakehouse/set_aside/*/*"))


def newest_file(root: Path) -> Path:
    """Give the Parquet file that was written last."""
    return max(table_of(root).glob(f"{DAY}/*.parquet"), key=lambda path: path.stat().st_mtime_ns)


def delete_one(root: Path, row: Row) -> None:
    """Delete a row as an operator would, with another engine."""
    deleted = DeltaTable(str(table_of(root))).delete(f"row_id = '{row.row_id}'")
    assert deleted["num_deleted_rows"] == 1
