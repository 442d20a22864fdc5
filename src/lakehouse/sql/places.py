"""Where a message of DuckDB points to in the SQL."""

import re
import unicodedata
from typing import Final

import msgspec

_EXCERPT: Final = re.compile(
    r"\n\nLINE (?P<line>[0-9]+): (?P<text>.*)\n(?P<gap> *)(?P<mark>\^+)\s*\Z"
)
_CUT: Final = "..."


class SqlPlace(msgspec.Struct, frozen=True):
    """`line` and `column` count from 1; `chars` is how much is meant."""

    line: int
    column: int
    chars: int


def place_of(error: BaseException, sql: str) -> SqlPlace | None:
    """Find the place that a message shows an excerpt of; None if it is not in this SQL."""
    found = _EXCERPT.search(str(error))
    lines = sql.split("\n")
    if found is None or not 1 <= int(found["line"]) <= len(lines):
        return None
    number, text = int(found["line"]), found["text"]
    line = lines[number - 1]
    cut = len(_CUT) if text.startswith(_CUT) and not line.startswith(_CUT) else 0
    begins = line.find(text[cut:].removesuffix(_CUT))
    if begins < 0:
        return None
    gap = len(found["gap"]) - len(f"LINE {number}: ")
    return SqlPlace(number, begins + _chars(text, gap) - cut + 1, len(found["mark"]))


def _chars(text: str, columns: int) -> int:
    """Return how many characters take so many columns of a terminal."""
    taken = count = 0
    while taken < columns and count < len(text):
        char = text[count]
        wide = unicodedata.east_asian_width(char) in "WF"
        taken += 0 if unicodedata.combining(char) else 2 if wide else 1
        count += 1
    return count
