"""The results of a strict reader: rows, and unreadable rows, each with its place.

The rules, the same for reference tables, the inputs of `lakehouse run` and whatever else reads
such a file:

- UTF-8, with or without a byte order mark; UTF-16, other encodings and compressed files are
  refused. A row that is not UTF-8 is a bad row.
- A column's name occurs once in a header, a member's name once in an object.
- A CSV row has as many cells as the header. An opened quote is closed, and ends the cell.
- JSON is strict (`core.json_text`): no NaN, no infinities, no lone surrogates; numbers are exact.
- A row has at most `ROW_BYTES_MAX`. Blank lines are ignored.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from lakehouse.core.json_text import ENCODER, NULL
from lakehouse.core.suggestion import did_you_mean
from lakehouse.tabular.formats import ENDINGS, FORMATS, format_of_file

ROW_BYTES_MAX: Final = 64 << 20  # of one row of a text file, its line ends within cells included

_UTF8_MARK: Final = b"\xef\xbb\xbf"
_MARKS: Final = {  # how files begin that are not UTF-8 text
    b"\xff\xfe": "it is UTF-16; save it as UTF-8",
    b"\xfe\xff": "it is UTF-16; save it as UTF-8",
    b"\x00\x00\xfe\xff": "it is UTF-32; save it as UTF-8",
    b"\x1f\x8b": "it is compressed (gzip); unpack it first",
    b"\x28\xb5\x2f\xfd": "it is compressed (zstd); unpack it first",
    b"BZh": "it is compressed (bzip2); unpack it first",
    b"\xfd7zXZ": "it is compressed (xz); unpack it first",
    b"PK\x03\x04": "it is a ZIP archive or a workbook; save it as CSV",
} | {
    one.begins: f"it is {one.name}; its name must end in {one.endings[0]}"
    for one in FORMATS
    if one.begins is not None
}


class FileFault(ValueError):
    """A file that cannot be read as what its name says; the message says why, for people."""


class TableRow(msgspec.Struct, frozen=True):
    """One row: the chosen columns that it has, each as raw JSON, null included.

    A cell keeps its own bytes where it came as JSON: `1.10` stays `1.10`. `index` counts rows from
    0, `line` lines from 1, where the format has lines.
    """

    index: int
    line: int | None
    cells: Mapping[str, msgspec.Raw]


class BadRow(msgspec.Struct, frozen=True):
    """A row that breaks the rules. `index` counts rows from 0, `line` lines from 1.

    `raw` are the row's own bytes, as far as they were read; empty if the format is not text.
    """

    index: int
    line: int | None
    reason: str
    raw: bytes = b""

    @property
    def told(self) -> str:
        return f"{place(self.index, self.line)}: {self.reason}"


def read_rows(path: Path, columns: Collection[str]) -> Iterator[TableRow | BadRow]:
    """Read the rows of a file in its order; it may be larger than memory.

    Raises:
        FileFault: Its name has none of the known endings, or it cannot be read as what its name
            says, or has no column of a name that is asked for, or one whose type has no form in
            JSON.
        OSError: It cannot be opened or read.
    """
    found = format_of_file(path)
    if found is None:
        raise FileFault(f"its name must end in one of {', '.join(ENDINGS)}")
    check_regular(path)
    with path.open("rb") as file:
        yield from found.load().rows(file, columns)


def check_regular(path: Path) -> None:
    """Check that a path is a regular file before it is opened: opening a pipe would block.

    Raises:
        FileFault: It is something else. A missing file is reported when it is opened.
    """
    if path.exists() and not path.is_file():
        raise FileFault("it is not a regular file")


def place(index: int, line: int | None) -> str:
    """Return the place of a row."""
    return f"row {index}" if line is None else f"row {index} (line {line})"


def without_mark(file: Any) -> None:
    """Skip a UTF-8 byte order mark at the beginning of a binary file.

    Raises:
        FileFault: It begins like a file that is not UTF-8 text.
    """
    head = file.read(8)
    for mark, told in _MARKS.items():
        if head.startswith(mark):
            raise FileFault(told)
    if b"\0" in head:
        raise FileFault("it is UTF-16 or binary; save it as UTF-8")
    file.seek(len(_UTF8_MARK) if head.startswith(_UTF8_MARK) else 0)


def lines(file: Any) -> Iterator[bytes]:
    """Yield the lines of a binary file with their ends, each cut slightly above the row limit.

    A longer line is cut, without its end; the rest of it is skipped.
    """
    while line := file.readline(ROW_BYTES_MAX + 1):
        yield line
        while len(line) > ROW_BYTES_MAX and not line.endswith(b"\n"):
            line = file.readline(1 << 20)
            if not line:
                return
            if line.endswith(b"\n"):
                break


def check_distinct(names: Collection[str]) -> None:
    """Check that a file names each column once.

    Raises:
        FileFault: It names one twice.
    """
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise FileFault(f"it has more than one column {twice[0]!r}")


def check_columns(wanted: Collection[str], known: Collection[str]) -> None:
    """Check that a file has all requested columns.

    Raises:
        FileFault: It lacks one; the message names its columns and the nearest.
    """
    for name in wanted:
        if name not in known:
            there = ", ".join(known) or "none"
            raise FileFault(
                f"it has no column {name!r}{did_you_mean(name, known)}; its columns are {there}"
            )


def raw_cell(value: object) -> msgspec.Raw:
    """Write a cell as raw JSON, a decimal with all of its digits."""
    if value is None:
        return NULL
    if isinstance(value, Decimal):
        return msgspec.Raw(f"{value:f}".encode("ascii"))
    return msgspec.Raw(ENCODER.encode(value))
