"""Large answers: whole exports page by page, and what becomes of those too large for memory."""

import json
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse.sessionlog.index.builder import build
from lakehouse.sessionlog.index.filters import LogFilter
from lakehouse.sessionlog.index.packs import INDEX
from lakehouse.sessionlog.index.reader import PAGE_ROWS_MAX, LogReader, ReadFailed
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.reading.reader import read_rows
from support.filled_log import fill
from support.indexed_log import answering, waiting_log
from support.rows import make_row


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return waiting_log(tmp_path)


@pytest.fixture
def reader(root: Path) -> Iterator[LogReader]:
    with LogReader(root, builds=False) as one:
        yield one


def pages_of(ask: Callable[..., Any], **options: Any) -> Iterator[Any]:
    """Ask for one page after another."""
    cursor = None
    while True:
        page = ask(limit=PAGE_ROWS_MAX, cursor=cursor, **options)
        yield page
        if (cursor := page.next) is None:
            return


def test_everything_is_exported_by_pages(root: Path):
    """Segments, live rows and the compacted table; a page has 8 MiB at most, or one row."""
    large = [make_row(prompt="y" * (3 << 20)) for _ in range(3)]
    fill(root, *large)
    seal(root)
    build(root, root / INDEX)
    with LogReader(root, builds=False) as reader:
        for change in (lambda: None, lambda: compact(root, retention_h=0)):
            change()
            build(root, root / INDEX)
            fill(root, make_row())
            pages = list(pages_of(reader.rows))
            told = [bytes(one.line) for page in pages for one in page.rows]
            assert sorted(told) == sorted(read_rows(root))
            assert not any(page.unreadable for page in pages)
            assert len(pages) >= 2
            assert max(sum(len(one.line) for one in page.rows) for page in pages) <= 8 << 20
            listed = [line.row_id for page in pages_of(reader.sessions) for line in page.sessions]
            assert listed == [one.row_id for page in pages for one in page.rows]
            first, second = (
                list(pages_of(reader.rows, oldest_first=turn)) for turn in (False, True)
            )
            assert [one.row_id for page in first for one in page.rows] == [
                one.row_id for page in reversed(second) for one in reversed(page.rows)
            ]


def test_a_long_page_is_in_order(tmp_path: Path):
    """Of more times than are looked for one by one, and with other rows between."""
    rows = [
        make_row(timestamp=f"2026-01-02T03:{n // 60:02}:{n % 60:02}.000000Z", kind="ab"[n % 2])
        for n in range(600)
    ]
    fill(tmp_path, *rows)
    seal(tmp_path)
    build(tmp_path, tmp_path / INDEX, pack_rows=100)
    with LogReader(tmp_path, builds=False) as reader:
        for limit in (150, 250):
            page = reader.sessions(LogFilter(kind="b"), limit=limit)
            expected = [row.row_id for row in reversed(rows) if row.kind == "b"]
            assert [line.row_id for line in page.sessions] == expected[:limit]
        assert page.next is not None


def test_rows_and_sessions_share_filters_and_cursors(reader: LogReader, root: Path):
    build(root, root / INDEX)
    whole = [line.row_id for page in pages_of(reader.sessions) for line in page.sessions]
    begin = reader.rows(limit=4)
    rest = reader.rows(cursor=reader.sessions(limit=4).next)
    assert [one.row_id for one in (*begin.rows, *rest.rows)] == whole
    assert (len(begin.rows), rest.next) == (4, None)
    filtered = reader.rows(LogFilter(text="live"))
    assert [json.loads(bytes(one.line))["prompt"] for one in filtered.rows] == ["live"]


def test_a_damaged_row_is_counted_and_left_out_of_an_export(root: Path):
    """The index still has its columns; its line is not trusted."""
    build(root, root / INDEX)
    path = min((root / "sealed").glob("*.jsonl"))
    status = path.stat()
    before, _, after = path.read_bytes().rpartition(b"xxx")
    path.write_bytes(before + b"xyx" + after)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with LogReader(root, builds=False) as reader:
        page = reader.rows()
        assert (len(page.rows), page.unreadable) == (10, 1)


def test_a_process_whose_memory_is_used_up_is_replaced(reader: LogReader, root: Path):
    """What earlier answers left in it is no reason to refuse the next."""
    build(root, root / INDEX)
    reader.rates()
    full = answering(reader)
    fill(root, *(make_row(prompt="z" * (7 << 20)) for _ in range(4)))
    build(root, root / INDEX)
    mapped = int(Path(f"/proc/{full}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(full, resource.RLIMIT_AS, (mapped, mapped))
    assert reader.sessions(LogFilter(text="zz"), count=True).matching == 4
    assert answering(reader) != full


def test_an_answer_that_needs_more_memory_than_there_is_says_so(root: Path):
    """Of a process that has just begun, too."""
    fill(root, *(make_row(prompt="z" * (7 << 20)) for _ in range(4)))
    build(root, root / INDEX)
    small = LogReader(root, builds=False, memory_bytes=192 << 20)
    with small as reader, pytest.raises(ReadFailed, match="needs more memory") as told:
        reader.sessions(LogFilter(text="zz"))
    assert told.value.hint == "Narrow the filter, in time say."
