"""Results as CSV that is safe in a spreadsheet: no cell becomes a formula.

A text that begins with `=`, `+`, `-`, `@`, a tab or a line break is run by spreadsheets: it gets a
leading apostrophe. Numbers stay numbers. With `raw`, cells are unchanged.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from lakehouse.core.json_text import cell_text

# Also the full-width forms, which some spreadsheets take for the same.
_FORMULA: Final = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def csv_lines(
    names: Sequence[str], rows: Sequence[Sequence[msgspec.Raw]], *, raw: bool
) -> Iterator[str]:
    """Return the lines of a CSV file, the header first; NULL is an empty cell."""
    guard = str if raw else _guarded
    yield _line([guard(name) for name in names])
    for row in rows:
        yield _line(["" if (text := cell_text(cell)) is None else guard(text) for cell in row])


def _guarded(text: str) -> str:
    formula = _FORMULA.match(text) is not None and _NUMBER.fullmatch(text) is None
    return f"'{text}" if formula else text


def _line(cells: list[str]) -> str:
    # Cells are quoted that hold a character of the line's end: both, so that none ends a line.
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue().removesuffix("\r\n") + "\n"
