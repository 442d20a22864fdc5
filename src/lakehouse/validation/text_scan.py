"""Splits a model's text into fenced blocks, reasoning, and what looks like JSON in the prose.

One pass from left to right. Each mark either begins something whose end is searched once and then
skipped, or is ignored; at most `UNCLOSED_REGIONS_MAX` regions without an end are read twice, and
nested blocks are searched `BLOCKS_DEEP_MAX` times.

Sources: thinking and regions as in the contract and in `spec/v1/README.md`.
"""

import re
from typing import Final, NamedTuple

from lakehouse.core.json_text import parses
from lakehouse.core.limits import BLOCKS_DEEP_MAX, UNCLOSED_REGIONS_MAX
from lakehouse.validation.fences import block_of, fence_at, next_fence
from lakehouse.validation.reasoning_marks import Mark, Marks
from lakehouse.validation.regions import (
    BLANK,
    STRING,
    Region,
    balanced,
    begins_array,
    ends_within,
    nest_end,
)

_BRACKET = re.compile(r"[\[{]")
_STRING = re.compile(STRING, re.DOTALL)
_NOWHERE: Final = -1


class Scan(NamedTuple):
    """The parts of a text. `fenced` and `prose` are in the order of the text.

    `thinking` are the texts of thinking blocks; `rest` is the text around the removed parts, empty
    if nothing was removed. `unfinished`: the text ends within thinking, or within a value that has
    thinking in it.
    """

    fenced: list[Region]
    prose: list[Region]
    thinking: list[str]
    rest: list[Region]
    unfinished: bool


def scan(text: str, own_marks: tuple[tuple[str, str], ...] = ()) -> Scan:
    """Split a text into its parts. Cost: linear in the text, whatever it contains.

    `own_marks` are a model's additional pairs of reasoning marks.
    """
    return _Scanner(text, Marks(text, own_marks)).run()


class _Scanner:
    def __init__(self, text: str, marks: Marks) -> None:
        self._text = text
        self._marks = marks
        self._fenced: list[Region] = []
        self._prose: list[Region] = []
        self._thinking: list[str] = []
        self._rest: list[Region] = []
        self._rest_start = 0
        self._set_anything_aside = False
        self._answered = False
        self._bracket = self._fence = _NOWHERE  # the next ones, once looked for
        self._unclosed = 0
        self._unfinished = False

    def run(self) -> Scan:
        text = self._text
        at = 0
        while at < len(text):
            mark = self._marks.first(at, len(text))
            fence, bracket = self._next_fence(at), self._next_bracket(at)
            first = min(fence, bracket, len(text) if mark is None else mark.start)
            if first == len(text):
                break
            if mark is not None and mark.start == first:
                at = self._mark(mark)
            elif fence == first:
                at = self._block(first)
            else:
                at = self._region(first)
        if self._set_anything_aside:
            self._set_aside(len(text), len(text))
        return Scan(self._fenced, self._prose, self._thinking, self._rest, self._unfinished)

    def _next_bracket(self, at: int) -> int:
        if self._bracket < at:
            found = _BRACKET.search(self._text, at)
            self._bracket = len(self._text) if found is None else found.start()
        return self._bracket

    def _next_fence(self, at: int) -> int:
        if self._fence < at:
            found = next_fence(self._text, at, len(self._text))
            self._fence = len(self._text) if found is None else found.start()
        return self._fence

    # --- Fenced blocks ---

    def _block(self, start: int) -> int:
        opening = fence_at(self._text, start)
        assert opening is not None, "a fence stands here"
        block = block_of(self._text, opening, len(self._text))
        mark = self._mark_outside_json(block.content)
        if mark is None:
            self._take_block(block.content)
            return block.after
        ended = self._think_in_block(block.content)
        return block.after if ended is None else ended

    def _think_in_block(self, region: Region) -> int | None:
        """Set thinking in a block aside, and take what is left if that is one piece.

        An opening mark whose end does not come in a closed block is content, as in an example.

        Returns:
            Where the block was left early, because thinking from the start ended in it.
        """
        text = self._text
        pieces: list[Region] = []
        piece = at = region.start
        while (mark := self._marks.first(at, region.end)) is not None:
            at = mark.end
            if mark.kind == "answer" or (mark.kind == "close" and not self._thinking):
                return self._mark(mark)
            if mark.kind != "open":
                continue
            end = self._marks.end_of(mark, region.end)
            if end is None and region.closed:
                continue
            pieces.append(Region(piece, mark.start, closed=True))
            piece = at = self._think(mark, end)
        pieces.append(region._replace(start=piece))
        left = [one for one in pieces if text[one.start : one.end].strip(BLANK)]
        for one in left if len(left) <= 1 else [region]:
            self._take_block(one)
        return None

    def _take_block(self, region: Region, deep: int = 1) -> None:
        """Take a block's content, and where that is no JSON the blocks within it."""
        self._fenced.append(region)
        if deep == BLOCKS_DEEP_MAX:
            return
        text = self._text
        opening = next_fence(text, region.start, region.end)
        if opening is None or parses(text[region.start : region.end]):
            return
        while opening is not None:
            block = block_of(text, opening, region.end)
            self._take_block(block.content, deep + 1)
            opening = next_fence(text, block.after, region.end)

    # --- Thinking ---

    def _mark(self, mark: Mark) -> int:
        """Do what a mark outside JSON says.

        Returns:
            Where the text goes on.
        """
        if mark.kind == "open":
            return self._behind(self._think(mark, self._marks.end_of(mark, len(self._text))))
        if mark.kind == "token" or (mark.kind == "answer" and self._answered):
            self._set_aside(mark.start, mark.end)
            return self._behind(mark.end)
        if mark.kind == "close" and self._thinking:
            return mark.end  # a second one ends nothing
        self._answered = mark.kind == "answer"
        self._forget(mark)
        return self._behind(mark.end)

    def _think(self, mark: Mark, end: tuple[int, int] | None) -> int:
        """Set aside what stands from an opening mark to its end, or to the end of the text."""
        content_end, after = end or (len(self._text), len(self._text))
        self._unfinished |= end is None
        self._thinking.append(self._text[mark.end : content_end])
        self._set_aside(mark.start, after)
        return after

    def _forget(self, mark: Mark) -> None:
        """Take all before a mark as thinking: its end came, or the answer begins."""
        if mark.start > self._rest_start:
            self._rest.append(Region(self._rest_start, mark.start, closed=True))
        self._thinking += [self._text[piece.start : piece.end] for piece in self._rest]
        self._thinking = self._thinking or [""]
        self._fenced.clear()
        self._prose.clear()
        self._rest.clear()
        self._unfinished = False
        self._rest_start = mark.end
        self._set_anything_aside = True

    def _behind(self, at: int) -> int:
        """Go on where thinking ended: a line begins there, and so may a fence."""
        return at if fence_at(self._text, at) is None else self._block(at)

    def _set_aside(self, start: int, end: int) -> None:
        if start > self._rest_start:
            self._rest.append(Region(self._rest_start, start, closed=True))
        self._rest_start = end
        self._set_anything_aside = True

    def _mark_outside_json(self, region: Region) -> Mark | None:
        """Return the first mark in a region that is no JSON; the answer's, if that begins in it."""
        first = self._marks.first(region.start, region.end) if self._marks else None
        if first is None or parses(self._text[region.start : region.end]):
            return None
        if self._answered:
            return first
        marks = self._marks.within(first.start, region.end)
        return next((mark for mark in marks if mark.kind == "answer"), first)

    # --- Regions ---

    def _region(self, start: int) -> int:
        text = self._text
        if text[start] == "[" and not begins_array(text, start, len(text)):
            end = nest_end(text, start)
            inner = self._marks.first(start, len(text))
            return end if inner is None else min(end, inner.start)
        region = balanced(text, start, self._next_fence(start))
        mark = self._mark_outside_json(region)
        if mark is not None:
            # Brackets and quotes mean nothing in thinking that began at the start.
            ends_thinking = mark.kind == "close" and not self._thinking
            if ends_thinking or (mark.kind == "answer" and not self._answered):
                return self._mark(mark)
            if not region.closed:
                region = self._up_to_thinking(region)
        self._prose.append(region)
        return region.end

    def _up_to_thinking(self, region: Region) -> Region:
        """Cut a region that has no end, and so is no JSON, at the first thinking in it."""
        if self._unclosed == UNCLOSED_REGIONS_MAX:
            return region
        self._unclosed += 1
        text = self._text
        strings = _STRING.finditer(text, region.start, region.end)
        string = next(strings, None)
        for mark in self._marks.within(region.start, region.end):
            while string is not None and string.end() <= mark.start:
                string = next(strings, None)
            outside = string is None or mark.start < string.start()
            if outside and mark.kind != "close":
                if region.end == len(text):
                    self._unfinished |= ends_within(text, region.start, mark.start)
                return region._replace(end=mark.start)
        return region
