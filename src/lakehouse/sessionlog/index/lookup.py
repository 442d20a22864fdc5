"""Finds the rows of one id and reads them from their own lines: an index is not trusted for that.

A line that is not where the index says it is, or whose crc does not hold, is looked for in the log.
"""

import os
from itertools import accumulate
from pathlib import Path
from typing import Final

import duckdb
import msgspec

from lakehouse.core.limits import PAGE_BYTES_MAX
from lakehouse.sessionlog.index.answers import WRITTEN, page_source
from lakehouse.sessionlog.index.questions import (
    AskRows,
    AskSession,
    FoundRow,
    FoundSession,
    RowPage,
)
from lakehouse.sessionlog.index.shelf import Shelf
from lakehouse.sessionlog.layout import LogFile
from lakehouse.sessionlog.lines import Line, classify, crc_is_required, row_key
from lakehouse.sessionlog.reading.compacted import open_local_compacted
from lakehouse.sessionlog.reading.reader import find_rows
from lakehouse.sessionlog.reading.sessions import encode_cursor

_ROWS_MAX: Final = 500  # of one id in one answer


class Lookup:
    """Looks rows up in a shelf's database, and reads them from the log."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, root: Path, shelf: Shelf) -> None:
        self._connection = connection
        self._root = root
        self._shelf = shelf

    def session(self, asked: AskSession) -> FoundSession:
        found = self._connection.execute(
            'SELECT row_id, source, "offset", length, label FROM rows LEFT JOIN labels '
            "USING (row_id) WHERE session_id = $1 OR row_id = $1 OR trace_id = $1 "
            "ORDER BY timestamp DESC, row_id DESC LIMIT $2",
            [asked.identity, _ROWS_MAX + 1],
        ).fetchall()
        if not found and self._shelf.missing.files:
            lines = find_rows(self._root, asked.identity)
            return _session([(_id(line), line, None) for line in lines])
        lines_of = self._lines([row[:4] for row in found])
        for row_id, *_ in found:
            if row_id not in lines_of:
                lines_of.update((_id(line), line) for line in find_rows(self._root, row_id))
        return _session(
            [(row_id, lines_of[row_id], label) for row_id, *_, label in found if row_id in lines_of]
        )

    def rows(self, asked: AskRows) -> RowPage:
        source, values = page_source(asked, 'timestamp, row_id, source, "offset", length')
        found = self._connection.execute(
            f'SELECT {WRITTEN}, row_id, source, "offset", length, label FROM {source}',  # noqa: S608 - our own texts; values are bound
            values,
        ).fetchall()
        sizes = accumulate(abs(length) for _, _, _, _, length, _ in found)
        fitting = sum(size <= PAGE_BYTES_MAX for size in sizes)
        page = found[: min(asked.limit, max(fitting, 1))]
        lines_of = self._lines([row[1:5] for row in page])
        rows = tuple(
            FoundRow(row_id, msgspec.Raw(lines_of[row_id]), label)
            for _, row_id, *_, label in page
            if row_id in lines_of
        )
        more = len(found) > len(page)
        return RowPage(
            rows=rows,
            next=encode_cursor(page[-1][:2]) if more else None,
            unreadable=len(page) - len(rows),
        )

    def _lines(self, places: list[tuple[str, str, int, int]]) -> dict[str, bytes]:
        """Read the lines at these places, by their row ids; from the table what is not there."""
        lines_of = {
            row_id: line
            for row_id, source, offset, length in places
            if (line := self._line(row_id, source, offset, length)) is not None
        }
        missing = [row_id for row_id, *_ in places if row_id not in lines_of]
        compacted = open_local_compacted(self._root) if missing else None
        for line in compacted.lines_of(missing) if compacted is not None else ():
            lines_of[_id(line)] = line
        return lines_of

    def _line(self, row_id: str, source: str, offset: int, length: int) -> bytes | None:
        file = self._shelf.files.get(source)
        if file is None or length < 0:
            return None
        with file.opened() as descriptor:
            if descriptor is None:
                return None
            data = os.pread(descriptor, length, offset)
            line = Line(offset, 0, data, ended=True, bytes=len(data))
            return data if _is_row(file, descriptor, line) and _id(data) == row_id else None


def _is_row(file: LogFile, descriptor: int, line: Line) -> bool:
    required = crc_is_required(descriptor, file)
    return classify(line, file=file.label, crc_required=required, alive=False).kind == "row"


def _id(line: bytes) -> str:
    key = row_key(line)
    return key.row_id if key is not None else ""


def _session(rows: list[tuple[str, bytes, str | None]]) -> FoundSession:
    """Take as many rows as an answer holds; one, however large."""
    taken: list[FoundRow] = []
    size = 0
    for row_id, line, label in rows[:_ROWS_MAX]:
        size += len(line)
        if taken and size > PAGE_BYTES_MAX:
            break
        taken.append(FoundRow(row_id, msgspec.Raw(line), label))
    return FoundSession(rows=tuple(taken), more=len(taken) < len(rows))
