"""Rows with ids and times of any sort are compacted like others."""

from pathlib import Path

import pytest
from deltalake import DeltaTable

from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.reading.compacted import open_compacted
from lakehouse.sessionlog.reading.filters import SessionFilter
from lakehouse.sessionlog.reading.reader import find_rows, read_rows
from lakehouse.sessionlog.reading.views import open_views
from support.compaction import pages, rows_of_three_days, write_sealed
from support.rows import make_row


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A log at a path that needs quoting."""
    return tmp_path / "a log's plaçe #1+1"


ODD_TIMES = [
    "yesterday",
    "",
    "2026-01-02",
    "2026-01-02T01:00:00+05:00",
    "2026-01-02 03:04:05",
    "2026-W01-5T00:00:00Z",
    "2026-01-02T25:00:00.000000Z",
    "9999-12-31T23:59:59-01:00",
    "0001-01-01T00:00:00+01:00",
]


def write_foreign(root: Path) -> list[bytes]:
    """Have a program write rows into the inbox with ids and times of its own sort; seal them."""
    rows = [
        make_row(row_id=f"not-hex {number}", timestamp=time)
        for number, time in enumerate(ODD_TIMES)
    ]
    lines = [encode_line(row) for row in (*rows, *rows_of_three_days())]
    (root / "inbox.jsonl").write_bytes(b"".join(b"\n" + line + b"\n" for line in lines))
    seal(root)
    return lines


def ids_in_sql(root: Path) -> list[str]:
    """Ask SQL for every session."""
    with open_views(root) as connection:
        found = connection.execute("SELECT row_id FROM sessions ORDER BY row_id").fetchall()
    return [row_id for (row_id,) in found]


def test_rows_with_ids_and_times_of_any_sort_come_into_the_table(root: Path):
    """And no reader of rows loses one: neither there nor on the way."""
    root.mkdir()
    lines = write_foreign(root)
    narrow = [SessionFilter(since="2026-01-02"), SessionFilter(until="2026-01-02")]
    before = [pages(root, limit, where) for limit in (1, 4, 200) for where in (None, *narrow)]
    assert [len(found) for found in before[:3]] == [24, 13, 11]
    assert before[0] == before[3] == before[6]
    in_views = ids_in_sql(root)
    assert len(in_views) == len(lines)
    assert compact(root, retention_h=0).rows == len(lines)
    assert sorted(read_rows(root)) == sorted(lines)
    assert [
        pages(root, limit, where) for limit in (1, 4, 200) for where in (None, *narrow)
    ] == before
    assert ids_in_sql(root) == in_views
    assert find_rows(root, "not-hex 0") == [lines[0]]
    table = DeltaTable(str(root / "table")).to_pyarrow_table(
        columns=["row_id", "timestamp", "date"]
    )
    undated = {row["row_id"] for row in table.to_pylist() if row["timestamp"] is None}
    assert undated == {f"not-hex {number}" for number in (0, 1, 6, 7, 8)}
    assert {row["date"] for row in table.to_pylist() if row["row_id"] in undated} == {"9999-12-31"}


@pytest.mark.parametrize("times", [ODD_TIMES, *([time] for time in ODD_TIMES)])
def test_a_row_with_any_time_is_known_to_be_in_the_table(root: Path, times: list[str]):
    """Days that are left out for being too old hold none that is asked for."""
    rows = [
        make_row(row_id=f"not-hex {number}", timestamp=time) for number, time in enumerate(times)
    ]
    for _ in range(2):
        write_sealed(root, rows)
        done = compact(root, retention_h=0)
    assert (done.rows, done.duplicates) == (0, len(rows))
    compacted = open_compacted(root)
    assert compacted is not None
    found = compacted.row_ids_among([row.row_id for row in rows], "yesterday")
    assert found == {row.row_id for row in rows}
