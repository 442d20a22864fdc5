"""Numbers as people write them in a text.

Pure. `1,200`, `1.10`, `-5`, `1 200`, `1'200`, `2e3`. What
two conventions read in two ways (`1.200`, `1,5`) has both readings, the English one first. The
parts of a date, a time or a name (`2024-05-01`, `14:00`, `3/4`, `COVID-19`) are no numbers.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import msgspec

_EXPONENT_MAX: Final = 200  # beyond, not every reader of JSON can hold the number
_DIGITS_MAX: Final = 40  # longer runs of digits are no quantity
_GROUPS_MAX: Final = 6  # of three digits with spaces: a table of numbers has runs without end
_NUMERAL: Final = re.compile(
    r"(?P<date>(?<!\w)\d{4}-\d{2}-\d{2}(?![\d-]))"
    r"|[-−+]?[.]?\d(?:[\d,.'’\xa0\u2009\u202f]*\d)?(?:[eE][-+]?\d{1,3}(?!\w))?"
)
# Groups with plain spaces may also be numbers side by side: both readings are given.
_SPACED: Final = re.compile(
    rf"[-−+]?\d{{1,3}}(?: \d{{3}}){{1,{_GROUPS_MAX}}}(?![\d,.]*\d)(?! \d{{3}}(?!\d))(?:[.,]\d+)?"
)
_TIME_PART: Final = re.compile(r"[:/]\d")  # behind a number that is a part of another thing
_CONVENTIONS: Final = ((".", ", '’\xa0\u2009\u202f"), (",", ". '’\xa0\u2009\u202f"))
"""The decimal mark, and the marks between groups of three digits."""


class Numeral(msgspec.Struct, frozen=True):
    """A number that a text writes from `start` to `end`, with its JSON text."""

    start: int
    end: int
    value: Decimal
    text: str


def numerals_in(text: str) -> Iterator[Numeral]:
    """Yield each number of the text, in order, once for each reading. Cost: one pass."""
    for found in _NUMERAL.finditer(text):
        if found["date"] is not None:
            continue
        spaced = _SPACED.match(text, found.start())
        if spaced is not None:
            yield from _read(text, *spaced.span())
        yield from _read(text, *found.span())


def _read(text: str, start: int, end: int) -> Iterator[Numeral]:
    before = text[start - 1] if start else " "
    if text[start] in "-−+" and (before.isdigit() or before in ")]"):
        start += 1  # a dash: 20-25
    elif before in ":/" and start > 1 and text[start - 2].isdigit():
        return
    elif before.isalnum() or before == "_" or (before == "." and text[start].isdigit()):
        return  # A320
    if text[end : end + 1] == "_" or _TIME_PART.match(text, end) is not None:
        return
    readings = []
    for decimal_mark, marks in _CONVENTIONS:
        plain = _plain(text[start:end], decimal_mark, marks)
        if plain is not None and plain not in readings:
            readings.append(plain)
            yield Numeral(start, end, Decimal(plain), plain)


def _plain(written: str, decimal_mark: str, marks: str) -> str | None:
    """Return a number in JSON's form by one convention; None if it is none by it."""
    number, e, exponent = written.replace("−", "-").lower().partition("e")
    sign = "-" if number.startswith("-") else ""
    whole, _, fraction = number.lstrip("+-").partition(decimal_mark)
    used = {char for char in whole if char in marks}
    groups = re.split(f"[{re.escape(marks)}]", whole)
    if (
        len(used) > 1
        or (fraction and not fraction.isdigit())
        or not all(group.isdigit() for group in groups if group or len(groups) > 1)
    ):
        return None
    if used and not (1 <= len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])):
        return None
    # Digits of any script become those of JSON.
    digits = "".join(str(int(char)) for char in "".join(groups)).lstrip("0") or "0"
    after = "".join(str(int(char)) for char in fraction).rstrip("0")
    if len(digits) + len(after) > _DIGITS_MAX or (e and abs(int(exponent)) > _EXPONENT_MAX):
        return None
    plain = digits + (f".{after}" if after else "")
    if plain == "0":
        return "0"
    return f"{sign}{plain}" + (f"e{int(exponent)}" if e else "")
