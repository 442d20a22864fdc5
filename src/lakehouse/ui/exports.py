"""Everything in a filter as a file: CSV, the rows' own lines, Parquet, or the SQL for it.

A file is whole: what is too large, or not known yet, is refused before its first byte. If the log
cannot be read further, the connection ends without the end of the file, which clients report.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from functools import partial
from typing import Final, TypeVar

import msgspec

from lakehouse.core.errors import Refusal
from lakehouse.sessionlog.index.questions import RowPage, SessionLine, Sessions
from lakehouse.sessionlog.index.reader import PAGE_ROWS_MAX, LogReader, ReadFailed
from lakehouse.tabular.csv_export import csv_lines
from lakehouse.ui.filter_sql import filter_sql
from lakehouse.ui.page import Download, PageRequest, Section
from lakehouse.ui.queries import FILE_ROWS_MAX, Queries
from lakehouse.ui.reading import LogReadings
from lakehouse.ui.sources import PageSources

LINES_MAX: Final = 1_000_000
"""Sessions in a CSV file or as JSON lines. Spreadsheets hold little more."""

_PATH: Final = "/sessions"
_COLUMNS: Final = SessionLine.__struct_fields__


def exports_section(sources: PageSources, queries: Queries) -> Section:
    """Return the files of a filter, beside the list of sessions."""
    readings = sources.readings

    async def csv(request: PageRequest) -> AsyncGenerator[bytes]:
        await _check(readings, request, LINES_MAX)
        yield _bytes(csv_lines(_COLUMNS, [], raw=False))
        async for page in _pages(readings, partial(LogReader.sessions, where=request.where)):
            yield await asyncio.to_thread(_csv, page.sessions)

    async def jsonl(request: PageRequest) -> AsyncGenerator[bytes]:
        await _check(readings, request, LINES_MAX)
        async for page in _pages(readings, partial(LogReader.rows, where=request.where)):
            yield _lines(page)

    async def parquet(request: PageRequest) -> AsyncGenerator[bytes]:
        await _check(readings, request, FILE_ROWS_MAX)
        text = await asyncio.to_thread(filter_sql, request.where)
        async for piece in queries.file(text, "parquet", request.gone):
            yield piece

    async def sql(request: PageRequest) -> AsyncGenerator[bytes]:
        yield (await asyncio.to_thread(filter_sql, request.where)).encode() + b"\n"

    return Section(
        downloads=(
            _download("csv", "text/csv; charset=utf-8", csv),
            _download("jsonl", "application/x-ndjson", jsonl),
            _download("parquet", "application/vnd.apache.parquet", parquet),
            _download("sql", "application/sql", sql),
        )
    )


_Page = TypeVar("_Page", Sessions, RowPage)


async def _pages(readings: LogReadings, ask: Callable[..., _Page]) -> AsyncGenerator[_Page]:
    """Ask for one page after another, as they are taken; other questions come between."""
    cursor: str | None = None
    while True:
        page = await readings.ask(partial(ask, limit=PAGE_ROWS_MAX, cursor=cursor))
        yield page
        if (cursor := page.next) is None:
            return


def _download(
    suffix: str, media_type: str, pieces: Callable[[PageRequest], AsyncGenerator[bytes]]
) -> Download:
    return Download(
        path=f"{_PATH}.{suffix}",
        media_type=media_type,
        file_name=f"sessions.{suffix}",
        pieces=pieces,
    )


async def _check(readings: LogReadings, request: PageRequest, most: int) -> None:
    """Accept a filter whose sessions are all known, and fit into a file.

    Raises:
        Refusal: `too_large` or `rate_limited`.
    """
    where = request.where
    found = await readings.ask(lambda reader: reader.sessions(where, limit=1, count=True))
    missing, count = found.progress, found.matching or 0
    if (trouble := missing.index_trouble) is not None:
        raise ReadFailed(
            f"The index of the log cannot be built: {trouble.message}. {missing.files_missing} "
            f"files ({missing.bytes_missing} bytes) are not counted, and would be missing.",
            hint=trouble.hint,
        )
    if missing.compacted_elsewhere:
        raise Refusal(
            "invalid_request",
            "The log's compacted rows are in an object store, and would be missing in this file.",
            hint=f"SQL reads them: {request.address.file('sql', _PATH)} is the filter's, for "
            "`lakehouse query` or the page Query.",
        )
    if not missing.complete:
        raise Refusal(
            "rate_limited",
            f"The index of the log is being built: {missing.files_missing} files "
            f"({missing.bytes_missing} bytes) are not counted yet, and would be missing.",
            hint="Ask again shortly.",
            retry_after_s=5,
        )
    if count > most:
        instead = request.address.file("sql", _PATH)
        raise Refusal(
            "too_large",
            f"The filter has {count} sessions; this file holds at most {most}.",
            hint=f"Narrow the filter, in time say, or go on from its SQL: {instead}",
        )


def _lines(page: RowPage) -> bytes:
    if page.unreadable:
        raise ReadFailed(
            f"{page.unreadable} rows of the filter cannot be read from the log.",
            hint="`lakehouse log verify` shows what is damaged.",
        )
    return b"".join(bytes(row.line) + b"\n" for row in page.rows)


def _csv(lines: Iterable[SessionLine]) -> bytes:
    rows = [[_cell(getattr(line, name)) for name in _COLUMNS] for line in lines]
    return _bytes(list(csv_lines((), rows, raw=False))[1:])


def _cell(value: object) -> msgspec.Raw:
    text = " ".join(value) if isinstance(value, tuple) else value
    return msgspec.Raw(msgspec.json.encode(text))


def _bytes(lines: Iterable[str]) -> bytes:
    return "".join(lines).encode()
