"""Regions of a text that may be JSON: where one begins, where its brackets close, how it ends.

Brackets of both kinds count alike, and those within strings do not count.
"""

import re
from typing import Final, NamedTuple

BLANK: Final = (
    " \t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
)
"""Unicode's white space. Not `str.isspace`, which takes four control characters for it as well."""

STRING: Final = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
"""A JSON string as a pattern (with `re.DOTALL`); one that the end cuts off has no last quote."""

_BRACKETS = re.compile(rf"{STRING}|[\[{{]++|[\]}}]++", re.DOTALL)
_NEST = re.compile(r"\[(?:[ \t\n\r]*+\[)*+")
_ELEMENT = re.compile(r'[ \t\n\r]*+(?:[]"{]|-?[0-9]|(?:true|false|null)(?=[ \t\n\r,\]]|\Z)|\Z)')
_PART = re.compile(
    r'(?P<string>"[^"\\]*+(?:\\.[^"\\]*+)*+(?P<closed>")?)'
    r'|[\[{]++|[\]}]++|[:,]++|[^ \t\n\r"\[\]{}:,]++',
    re.DOTALL,
)
_NUMBER = re.compile(r"-?(?:[0-9][0-9.eE+-]*)?")
_LITERALS: Final = ("true", "false", "null")


class Region(NamedTuple):
    """A region of the text, in characters, that may be JSON. `closed`: its end was found."""

    start: int
    end: int
    closed: bool


def balanced(text: str, start: int, limit: int) -> Region:
    """Find the bracket that closes the one at `start`, strings aside, before `limit`.

    Brackets of both kinds count alike: `[1}` is one region, which does not parse.
    """
    depth = 0
    for mark in _BRACKETS.finditer(text, start, limit):
        first = text[mark.start()]
        count = mark.end() - mark.start()
        if first in "[{":
            depth += count
        elif first != '"':
            if count >= depth:
                return Region(start, mark.start() + depth, closed=True)
            depth -= count
    return Region(start, limit, closed=False)


def begins_array(text: str, start: int, end: int) -> bool:
    """Return whether a JSON array begins here: a bracket before anything else is prose."""
    nest = _NEST.match(text, start, end)
    return nest is not None and _ELEMENT.match(text, nest.end(), end) is not None


def nest_end(text: str, start: int) -> int:
    """Return the position after the `[` at `start` and those directly following it."""
    nest = _NEST.match(text, start)
    assert nest is not None, "a bracket stands here"
    return nest.end()


def skip_blank(text: str, start: int, end: int) -> int:
    """Return the first place of a stretch that is not white space, or its end."""
    source = text[start:end]
    return start + len(source) - len(source.lstrip(BLANK))


def json_start(text: str, start: int, end: int) -> int | None:
    """Return where an object or array begins in a region, after white space."""
    start = skip_blank(text, start, end)
    begins = text.startswith("{", start, end) or begins_array(text, start, end)
    return start if begins else None


def begins_like_json(text: str, region: Region) -> bool:
    """Return whether a region begins like an object or array."""
    return json_start(text, region.start, region.end) is not None


def is_cut_off(text: str, region: Region) -> bool:
    """Return whether an object or array is cut off by the end of the text.

    An unclosed fence may contain a value that ends and is merely broken.
    """
    if region.closed or region.end < len(text):
        return False
    start = json_start(text, region.start, region.end)
    if start is None or balanced(text, start, len(text)).closed:
        return False
    return ends_within(text, start, len(text))


def ends_within(text: str, start: int, end: int) -> bool:
    """Return whether an unclosed object or array ends where more than brackets is missing.

    That is within a string or a literal, after the name of a member or its colon, or after a comma.
    A number at the end of the text may lack digits.
    """
    opened: list[tuple[str, int]] = []  # runs of brackets, and how many of each are still open
    before = last = ""
    last_end = start
    for part in _PART.finditer(text, start, end):
        if part["string"] is not None and part["closed"] is None:
            return True
        before, last, last_end = last, part[0], part.end()
        if last[0] in "[{":
            opened.append((last, len(last)))
        elif last[0] in "]}":
            _close(opened, len(last))
    if last[-1:] in {":", ","}:
        return True
    if last[:1] == '"':
        innermost = opened[-1][0][opened[-1][1] - 1] if opened else ""
        return before[-1:] == "{" or (before[-1:] == "," and innermost == "{")
    if last_end < len(text) or before[-1:] not in {":", ",", "["}:
        return False
    literal = any(word.startswith(last) and word != last for word in _LITERALS)
    return literal or _NUMBER.fullmatch(last) is not None


def _close(opened: list[tuple[str, int]], count: int) -> None:
    while opened and count:
        run, still = opened.pop()
        if still > count:
            opened.append((run, still - count))
        count -= min(still, count)
