"""Reads CSV strictly: comma-separated, with a header, quotes as in RFC 4180.

A cell is its text; an empty cell is null, `""` is the empty text. See `rows` for the rules.
"""

import csv
import re
from collections.abc import Collection, Iterator, Mapping
from typing import IO, Any, Final

from lakehouse.tabular.formats import CellType
from lakehouse.tabular.rows import (
    ROW_BYTES_MAX,
    BadRow,
    FileFault,
    TableRow,
    check_columns,
    check_distinct,
    lines,
    raw_cell,
    without_mark,
)

Cells = list[str | None]

_CELL: Final = re.compile(r'(?:^|,)(""(?=[,\r\n]|$)|"(?:[^"]|"")*"|[^,\r\n"]*)')
_UNCLOSED: Final = "a quote is opened and never closed; nothing after it was read"
_LINE_ENDS: Final = "\r\n"
_SEPARATORS: Final = (";", "\t", "|")  # of files named CSV that use another separator


def rows(file: IO[bytes], columns: Collection[str]) -> Iterator[TableRow | BadRow]:
    """Return the rows of a file in its order; see `rows.read_rows`."""
    found = CsvRows(file)
    try:
        check_columns(columns, found.names)
    except FileFault as fault:
        mark = next((one for one in _SEPARATORS if one in found.names[0]), None)
        if mark is None or len(found.names) > 1:
            raise
        raise FileFault(
            f"its header is one column, {found.names[0]!r}: it seems to be separated by {mark!r}; "
            "save it with commas"
        ) from fault
    chosen = [(name, found.names.index(name)) for name in columns]
    for index, cells in enumerate(found):
        if isinstance(cells, BadRow):
            yield cells
        else:
            yield TableRow(index, found.line, {name: raw_cell(cells[at]) for name, at in chosen})


def table(content: bytes, types: Mapping[str, CellType]) -> Any:
    """Read a whole file as a `pyarrow.Table`; see `csv_table.read_csv`."""
    from lakehouse.tabular.csv_table import read_csv  # noqa: PLC0415  Arrow takes 0.2 s

    return read_csv(content, types)


class CsvRows:
    """The rows of one CSV file, in its order, one at a time.

    `names` are the header's. Iterate once. The file may be larger than memory.
    """

    def __init__(self, file: Any) -> None:
        """Read the header of a binary file that can seek.

        Raises:
            FileFault: It is not UTF-8 text, or has no header, or one that names a column twice.
        """
        without_mark(file)
        csv.field_size_limit(ROW_BYTES_MAX + 1)  # the module's own default is 128 KiB
        self._lines = _Lines(file)
        self._reader = csv.reader(self._lines, strict=True)
        header = self._next()
        while header is not None and not isinstance(header, BadRow) and not header:
            header = self._next()
        if header is None:
            raise FileFault("it has no header: the file is empty")
        if isinstance(header, BadRow):
            raise FileFault(f"the header: {header.reason}")
        check_distinct(header)
        self.names = tuple(header)

    def __iter__(self) -> Iterator[Cells | BadRow]:
        """Yield each row's cells in the order of `names`, or the row's error."""
        index, width = 0, len(self.names)
        while (row := self._next()) is not None:
            if isinstance(row, BadRow):
                yield BadRow(index, row.line, row.reason, row.raw)
            elif not row:
                continue  # a blank line
            elif len(row) != width:
                reason = f"it has {len(row)} cells, the header has {width}"
                yield BadRow(index, self._lines.first, reason, self._lines.taken())
            else:
                yield self._with_nulls(row)
            index += 1

    @property
    def line(self) -> int:
        """The first line of the last row, from 1."""
        return self._lines.first

    def _next(self) -> list[str] | BadRow | None:
        """Return the next record, empty for a blank line; None at the end."""
        self._lines.begin()
        try:
            row = next(self._reader, None)
        except csv.Error as error:
            reason = _UNCLOSED if self._lines.ended else f"{error}; a quote in a cell is doubled"
            return BadRow(0, self._lines.first, reason, self._lines.taken())
        except _TooLong:
            reason = f"it is larger than {ROW_BYTES_MAX >> 20} MiB"
            return BadRow(0, self._lines.first, reason, self._lines.taken()[:1_000])
        if row is not None and self._lines.damaged:
            raw = self._lines.taken()
            try:
                raw.decode("utf-8")
            except UnicodeDecodeError as error:
                reason = f"invalid UTF-8 at byte {error.start} of the row; save the file as UTF-8"
                return BadRow(0, self._lines.first, reason, raw)
        return row

    def _with_nulls(self, row: list[str]) -> Cells:
        if "" not in row:
            return row  # type: ignore[return-value]  # a list of texts is one of cells
        text = self._lines.text()
        if '""' not in text:
            return [cell or None for cell in row]
        written = [match[1] for match in _CELL.finditer(text.rstrip(_LINE_ENDS))]
        return [
            None if cell == "" and mark == "" else cell
            for cell, mark in zip(row, written, strict=True)
        ]


class _TooLong(Exception):
    """A record longer than the limit."""


class _Lines:
    """Feeds lines to the parser, and stores those of the current record."""

    def __init__(self, file: Any) -> None:
        self._lines = lines(file)
        self._record: list[str] = []
        self._bytes = 0
        self._number = 0
        self._halves: Iterator[str] = iter(())
        self.first = 1
        self.damaged = False
        self.ended = False

    def begin(self) -> None:
        """Start a record: the lines so far belong to the last one."""
        self._record = []
        self._bytes = 0
        self.first = self._number + 1
        self.damaged = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        text = next(self._halves, None)
        if text is None:
            line = next(self._lines, None)
            if line is None:
                self.ended = True
                raise StopIteration
            text = line.decode("utf-8", "surrogateescape")
            if "\r" in text[:-2]:  # lines that end in a carriage return alone
                self._halves = iter(_PARTS.findall(text))
                text = next(self._halves)
        self._number += 1
        self._bytes += len(text)
        self._record.append(text)
        if self._bytes > ROW_BYTES_MAX:
            raise _TooLong
        if not text.isascii() and _ESCAPED.search(text) is not None:
            self.damaged = True
        return text

    def text(self) -> str:
        """Return the record's own text."""
        return "".join(self._record)

    def taken(self) -> bytes:
        """Return the record's own bytes."""
        return self.text().encode("utf-8", "surrogateescape")


_PARTS: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$")
_ESCAPED: Final = re.compile("[\udc80-\udcff]")
