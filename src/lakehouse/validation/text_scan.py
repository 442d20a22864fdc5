"""A model's text taken apart: fenced blocks, thinking, and what looks like JSON in the prose.

One pass from left to right. Each mark either begins something whose end is searched once and then
skipped, or is passed over; only `UNCLOSED_REGIONS_MAX` regions without an end are read twice.

Sources: fences as in CommonMark 0.31, section 4.5 (at most three spaces before them, the closing
one at least as long, an unclosed one reaches the end); thinking and regions as in the contract and
in `spec/v1/README.md`.
"""

import re
from typing import Final, NamedTuple

from lakehouse.core.json_text import JsonError, parse
from lakehouse.core.limits import UNCLOSED_REGIONS_MAX

BLANK: Final = (
    " \t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
)
"""Unicode's white space. Not `str.isspace`, which takes four control characters for it as well."""

_FENCE: Final = r" {0,3}(?:`{3,}+(?=[^`\n]*$)|~{3,}+)"
_NAMES: Final = r"(?:think|thinking|reasoning)>"
_STRING: Final = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'

_MARK = re.compile(rf"(?P<fence>^{_FENCE})|(?P<tag></?{_NAMES})|[\[{{]", re.MULTILINE)
_FENCE_LINE = re.compile(rf"^{_FENCE}", re.MULTILINE)
_FENCE_HERE = re.compile(_FENCE, re.MULTILINE)
_TAG = re.compile(rf"</?{_NAMES}")
_STRING_OR_TAG = re.compile(rf"{_STRING}|<{_NAMES}", re.DOTALL)
_BRACKETS = re.compile(rf"{_STRING}|[\[{{]++|[\]}}]++", re.DOTALL)
_NEST = re.compile(r"\[(?:[ \t\n\r]*+\[)*+")
_ELEMENT = re.compile(r'[ \t\n\r]*+(?:[]"{]|-?[0-9]|(?:true|false|null)(?=[ \t\n\r,\]]|\Z)|\Z)')


class Region(NamedTuple):
    """A stretch of the text, in characters, that may be JSON. `closed`: its end was there."""

    start: int
    end: int
    closed: bool


class Scan(NamedTuple):
    """What a text holds. `fenced` and `prose` come in the order of the text.

    `thinking` are the texts of thinking blocks; `rest` is what stands between and around them,
    empty where nothing was set aside. `unfinished`: the text ends within thinking, or within a
    region that has thinking in it.
    """

    fenced: list[Region]
    prose: list[Region]
    thinking: list[str]
    rest: list[Region]
    unfinished: bool

    def last_regions(self) -> list[Region]:
        """Give the regions that may meet the end of the text."""
        return [*self.fenced[-1:], *self.prose[-1:]]


def scan(text: str) -> Scan:
    """Take a text apart. Cost: linear, about 0.3 s for 1 MiB of nothing but brackets."""
    return _Scanner(text).run()


def begins_like_json(text: str, region: Region) -> bool:
    """Tell whether a region begins as an object or an array does."""
    return _json_start(text, region) is not None


def is_cut_off(text: str, region: Region) -> bool:
    """Tell whether a region is an object or array that the end of the text cut off.

    An unclosed fence may hold a value that ends, and is merely broken.
    """
    if region.closed or region.end < len(text):
        return False
    start = _json_start(text, region)
    return start is not None and not _balanced(text, start, len(text)).closed


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._fenced: list[Region] = []
        self._prose: list[Region] = []
        self._thinking: list[str] = []
        self._rest: list[Region] = []
        self._rest_start = 0
        self._next_fence = -1
        self._has_tags = _TAG.search(text) is not None
        self._unclosed = 0
        self._unfinished = False

    def run(self) -> Scan:
        text = self._text
        at = 0
        while (mark := _MARK.search(text, at)) is not None:
            if mark["fence"] is not None:
                at = self._fence(mark)
            elif mark["tag"] is not None:
                at = self._tag(mark)
            else:
                at = self._bracket(mark.start())
        if self._thinking:
            self._set_aside(len(text), len(text))
        return Scan(self._fenced, self._prose, self._thinking, self._rest, self._unfinished)

    # --- Fenced blocks ---

    def _fence(self, mark: re.Match[str]) -> int:
        text = self._text
        fence = mark[0].lstrip(" ")
        line_end = text.find("\n", mark.end())
        start = len(text) if line_end < 0 else line_end + 1
        closing = re.compile(
            rf"^ {{0,3}}{re.escape(fence[0])}{{{len(fence)},}}+[ \t]*+\r?$", re.MULTILINE
        ).search(text, start)
        if closing is None:
            region, after = Region(start, len(text), closed=False), len(text)
        else:
            region, after = Region(start, closing.start(), closed=True), closing.end()
        if not self._tag_outside_json(region):
            self._fenced.append(region)
            return after
        ended = self._think_in_block(region)
        return after if ended is None else ended

    def _think_in_block(self, region: Region) -> int | None:
        """Set thinking in a block aside, and take what is left if that is one piece.

        An opening tag whose end does not come in a closed block is content, as in an example.

        Returns:
            Where the block was left early, because thinking from the start ended in it.
        """
        text = self._text
        pieces: list[Region] = []
        piece = at = region.start
        while (tag := _TAG.search(text, at, region.end)) is not None:
            at = tag.end()
            if tag[0].startswith("</"):
                if not self._thinking:
                    return self._end_thinking(tag)
                continue
            end = text.find(_end_tag(tag), at, region.end)
            if end < 0 and region.closed:
                continue
            pieces.append(Region(piece, tag.start(), closed=True))
            piece = at = self._think(tag, end)
        pieces.append(region._replace(start=piece))
        left = [one for one in pieces if text[one.start : one.end].strip(BLANK)]
        self._fenced += left if len(left) <= 1 else [region]
        return None

    # --- Thinking ---

    def _tag(self, mark: re.Match[str]) -> int:
        if mark["tag"].startswith("</"):
            return self._end_thinking(mark)
        end = self._text.find(_end_tag(mark), mark.end())
        return self._behind_thinking(self._think(mark, end))

    def _think(self, tag: re.Match[str], end: int) -> int:
        """Set aside what stands from an opening tag to its closing one; below 0: to the end."""
        content_end = len(self._text) if end < 0 else end
        after = content_end if end < 0 else end + len(_end_tag(tag))
        self._unfinished |= end < 0
        self._thinking.append(self._text[tag.end() : content_end])
        self._set_aside(tag.start(), after)
        return after

    def _end_thinking(self, tag: re.Match[str]) -> int:
        """Take a closing tag without an opening one; a second one ends nothing."""
        if self._thinking:
            return tag.end()
        self._thinking.append(self._text[: tag.start()])
        self._fenced.clear()
        self._prose.clear()
        self._set_aside(0, tag.end())
        return self._behind_thinking(tag.end())

    def _behind_thinking(self, at: int) -> int:
        """Go on where thinking ended: a line begins there, and so may a fence."""
        fence = _FENCE_HERE.match(self._text, at)
        return at if fence is None else self._fence(fence)

    def _set_aside(self, start: int, end: int) -> None:
        if start > self._rest_start:
            self._rest.append(Region(self._rest_start, start, closed=True))
        self._rest_start = end

    def _tag_outside_json(self, region: Region) -> re.Match[str] | None:
        """Give the first tag in a region that is no JSON."""
        if not self._has_tags:
            return None
        tag = _TAG.search(self._text, region.start, region.end)
        return None if tag is None or _parses(self._text[region.start : region.end]) else tag

    # --- Regions ---

    def _bracket(self, start: int) -> int:
        text = self._text
        if text[start] == "[" and not _begins_array(text, start, len(text)):
            return _nest_end(text, start)
        if self._next_fence < start:
            fence = _FENCE_LINE.search(text, start)
            self._next_fence = len(text) if fence is None else fence.start()
        region = _balanced(text, start, self._next_fence)
        tag = self._tag_outside_json(region)
        if tag is not None:
            # Brackets and quotes mean nothing in thinking that began at the start.
            if not self._thinking and tag[0].startswith("</"):
                return self._end_thinking(tag)
            if not region.closed:
                region = self._up_to_thinking(region)
        self._prose.append(region)
        return region.end

    def _up_to_thinking(self, region: Region) -> Region:
        """Cut a region that has no end, and so is no JSON, at the first thinking in it."""
        if self._unclosed == UNCLOSED_REGIONS_MAX:
            return region
        self._unclosed += 1
        for match in _STRING_OR_TAG.finditer(self._text, region.start, region.end):
            if match[0].startswith("<"):
                self._unfinished |= region.end == len(self._text)
                return region._replace(end=match.start())
        return region


def _end_tag(opening: re.Match[str]) -> str:
    return opening[0].replace("<", "</")


def _json_start(text: str, region: Region) -> int | None:
    source = text[region.start : region.end]
    start = region.start + len(source) - len(source.lstrip(BLANK))
    begins = text.startswith("{", start, region.end) or _begins_array(text, start, region.end)
    return start if begins else None


def _begins_array(text: str, start: int, end: int) -> bool:
    """Tell whether a JSON array begins here: a bracket before anything else is prose."""
    nest = _NEST.match(text, start, end)
    return nest is not None and _ELEMENT.match(text, nest.end(), end) is not None


def _nest_end(text: str, start: int) -> int:
    nest = _NEST.match(text, start)
    assert nest is not None, "a bracket stands here"
    return nest.end()


def _balanced(text: str, start: int, limit: int) -> Region:
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


def _parses(text: str) -> bool:
    try:
        parse(text)
    except JsonError:
        return False
    return True
