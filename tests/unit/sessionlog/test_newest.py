"""Pages of large rows: bounded in bytes, and together every row once, newest first."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.core.ids import new_id
from lakehouse.core.limits import PAGE_BYTES_MAX
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.reading.newest import NewestRows, Order
from lakehouse.sessionlog.reading.sessions import SessionsPage, list_sessions, session_rows
from support.dead_writer import dead_writer
from support.rows import make_attempt, make_row

ROWS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=40, unique_by=lambda row: row[0]
)


@given(ROWS, st.integers(1, 6), st.integers(1, 30), st.randoms())
def test_pages_hold_every_row_once_in_order_whatever_order_they_are_met_in(
    rows: list[tuple[int, int]], rows_max: int, bytes_max: int, random: object
) -> None:
    """Some are met twice; a page is full by count or by size, and never empty before the end."""
    lines = {(f"{moment:02}", "id"): bytes(size) for moment, size in rows}
    seen: list[Order] = []
    before: Order | None = None
    for _ in range(len(lines) + 1):
        newest = NewestRows(rows_max=rows_max, bytes_max=bytes_max)
        met = [order for order in [*lines, *lines] if before is None or order < before]
        random.shuffle(met)  # type: ignore[attr-defined]
        for order in met:
            assert newest.has_room_for(order) or order in lines
            newest.offer(order, lines[order])
        page = newest.page()
        assert len(page) <= rows_max
        assert len(page) == 1 or sum(len(line) for _, line in page) <= bytes_max
        seen += [order for order, _ in page]
        if newest.floor is None:
            break
        before = page[-1][0]
    assert seen == sorted(lines, reverse=True)


LARGE = "x" * (1 << 20)


def _large_rows(root: Path, *, sealed: bool) -> list[str]:
    """Write a session of 20 rows of 1 MiB, and one whose rows are large by their attempts only."""
    rows = [
        make_row(
            session_id="large", prompt=LARGE, timestamp=f"2026-01-01T00:00:{number:02}.000000Z"
        )
        for number in range(20)
    ]
    rows += [
        make_row(
            session_id=new_id(),
            attempts=(make_attempt(output=LARGE),),
            timestamp=f"2026-01-02T00:00:{number:02}.000000Z",
        )
        for number in range(20)
    ]
    dead_writer(root, rows=rows)
    if sealed:
        seal(root)
        compact(root)
    return [row.row_id for row in reversed(rows)]


def _paged(ask: Callable[[str | None], SessionsPage]) -> list[list[str]]:
    pages: list[list[str]] = []
    cursor: str | None = None
    for _ in range(100):
        page = ask(cursor)
        sizes = [len(row) for row in page.rows]
        assert len(sizes) == 1 or sum(sizes) <= PAGE_BYTES_MAX
        pages.append([json.loads(row)["row_id"] for row in page.rows])
        cursor = page.next
        if cursor is None:
            return pages
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize("sealed", [False, True], ids=["segments", "table"])
def test_a_page_of_sessions_ends_by_its_size(tmp_path: Path, *, sealed: bool) -> None:
    """What counts is what is shown: large attempts are not."""
    expected = _large_rows(tmp_path, sealed=sealed)
    pages = _paged(lambda cursor: list_sessions(tmp_path, limit=200, cursor=cursor))
    assert [row_id for page in pages for row_id in page] == expected
    assert len(pages[0]) > 20
    assert len(pages) == 3


@pytest.mark.parametrize("sealed", [False, True], ids=["segments", "table"])
def test_the_rows_of_one_session_come_in_pages_too(tmp_path: Path, *, sealed: bool) -> None:
    """Whole rows, newest first."""
    expected = _large_rows(tmp_path, sealed=sealed)[20:]
    pages = _paged(lambda cursor: session_rows(tmp_path, "large", cursor=cursor))
    assert [row_id for page in pages for row_id in page] == expected
    assert len(pages) == 3


def test_one_row_is_a_page_however_large(tmp_path: Path) -> None:
    """Else its reader would never come past it."""
    rows = [make_row(session_id="one", prompt="x" * (7 << 20)) for _ in range(3)]
    dead_writer(tmp_path, rows=rows)
    pages = _paged(lambda cursor: session_rows(tmp_path, "one", cursor=cursor))
    assert [len(page) for page in pages] == [1, 1, 1]
