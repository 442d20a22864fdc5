"""Fenced blocks in a text, and the JSON inside them.

Source: CommonMark 0.31, section 4.5 (at most three spaces before a fence, the closing one at
least as long, an unclosed block reaches the end). Models write less strictly than that, so three
more things are found: a closing fence right behind the value on its last line, one with special
tokens such as `<|return|>` behind it, and a value that begins on the line of the opening fence. Of
lists it knows the marker that may stand before an opening fence.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from lakehouse.core.json_text import parses
from lakehouse.validation.regions import STRING, Region, balanced, begins_array, skip_blank

_ITEM: Final = r"(?:[-*+]|[0-9]{1,9}[.)])[ \t]{1,4}"
_FENCE: Final = rf" {{0,3}}(?P<item>{_ITEM})?(?P<fence>`{{3,}}+(?=[^`\n]*$)|~{{3,}}+)"
_FENCE_LINE = re.compile(rf"^{_FENCE}", re.MULTILINE)
_FENCE_HERE = re.compile(_FENCE, re.MULTILINE)
_SCALAR = re.compile(rf"{STRING}|[^ \t\n\r`~]++", re.DOTALL)


class Block(NamedTuple):
    """A fenced block: its content, and where the text continues after it."""

    content: Region
    after: int


def next_fence(text: str, start: int, limit: int) -> re.Match[str] | None:
    """Find the next opening fence that begins a line."""
    return _FENCE_LINE.search(text, start, limit)


def fence_at(text: str, start: int) -> re.Match[str] | None:
    """Parse the opening fence at a place, as if a line began there."""
    return _FENCE_HERE.match(text, start)


def block_of(text: str, opening: re.Match[str], limit: int) -> Block:
    """Read the block that a fence opens, before `limit`. Cost: linear in the block."""
    fence = opening["fence"]
    line_end = text.find("\n", opening.end(), limit)
    start = limit if line_end < 0 else line_end + 1
    item = opening["item"] or ""
    closing_line, run = _closing(fence[0], len(fence), len(item) + 3)
    closing = closing_line.search(text, start, limit)
    end = limit if closing is None else closing.start()
    start = _value_in_info(text, opening.end(), start, end, run) or start
    value_end = _value_end(text, start, end)
    behind = None if value_end is None else run.match(text, value_end, end)
    if value_end is not None and behind is not None:
        return Block(Region(start, value_end, closed=True), behind.end())
    if closing is None:
        return Block(Region(start, limit, closed=False), limit)
    return Block(Region(start, end, closed=True), closing.end(1))


@lru_cache(maxsize=64)  # a fence of one mark and length after the other
def _closing(mark: str, length: int, indent_max: int) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Make the patterns of a closing fence: alone on its line, and behind a value."""
    run = rf"{re.escape(mark)}{{{length},}}+"
    tokens = r"(?:<\|[A-Za-z_]{1,32}\|>[ \t]*+)*+"
    alone = re.compile(rf"^ {{0,{indent_max}}}({run})[ \t]*+{tokens}\r?$", re.MULTILINE)
    return alone, re.compile(rf"[ \t]*+{run}")


def _value_in_info(text: str, info: int, start: int, end: int, run: re.Pattern[str]) -> int | None:
    """Find a value that begins in the info string and is all there is in the block."""
    places = [at for at in (text.find("{", info, start), text.find("[", info, start)) if at >= 0]
    if not places:
        return None
    region = balanced(text, min(places), end)
    alone = skip_blank(text, region.end, end) == end or run.match(text, region.end, end)
    return region.start if alone and parses(text[region.start : region.end]) else None


def _value_end(text: str, start: int, end: int) -> int | None:
    """Return where the value ends that a block begins with; a scalar has to be JSON."""
    at = skip_blank(text, start, end)
    if text.startswith("{", at, end) or begins_array(text, at, end):
        region = balanced(text, at, end)
        return region.end if region.closed else None
    scalar = _SCALAR.match(text, at, end)
    return scalar.end() if scalar is not None and parses(scalar[0]) else None
