"""The difference between two texts, word by word, in bounded time and memory.

Where two texts are too long to be compared word by word, their lines are compared, and then the
words of the lines that changed, as far as the bound allows.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

import msgspec

Change = Literal["same", "added", "removed"]
Grain = Literal["words", "lines", "whole"]

_STEPS_MAX: Final = 200_000_000  # pairs of words, or of lines, of one difference: 25 MB, 0.1 s
_WORDS_CHARS_MAX: Final = 256 << 10  # of both texts, to split them into words: 15 ms
_SAME_CHARS_KEPT: Final = 400  # before and after a change, of a long text that is the same
_CHANGED_CHARS_KEPT: Final = 16_384
_WORDS: Final = re.compile(r"\d[\d.,]*\d|\w+|\s+|[^\w\s]")
_GAP: Final = re.compile(r"[^\S\n]+")


class Piece(msgspec.Struct, frozen=True):
    """A part of one text, or of both where it is the same.

    `left_out_chars` are the characters that a folded piece stands for: its `text` is empty.
    """

    change: Change
    text: str
    left_out_chars: int = 0


class TextDifference(msgspec.Struct, frozen=True):
    """How a text became another one.

    Without the `added` pieces, `pieces` are the text before; without the `removed` ones, the text
    after. `grain` is the coarsest unit that was compared: `whole` says that some part was too long
    even for its lines, and stands as removed and added.
    """

    pieces: tuple[Piece, ...]
    grain: Grain

    @property
    def equal(self) -> bool:
        return all(piece.change == "same" for piece in self.pieces)


def difference(before: str, after: str) -> TextDifference:
    """Compare two texts. Cost: 10 ms for 2,000 words, at most 0.3 s for 1 MiB each."""
    comparison = _Comparison()
    same: _Pieces = iter([("same", before)])
    pieces = same if before == after else comparison.compare(before, after, ("words", "lines"))
    joined = _joined(pieces)
    return TextDifference(tuple(Piece(change, text) for change, text in joined), comparison.grain)


def folded(whole: TextDifference) -> tuple[Piece, ...]:
    """Return the pieces with the middle of long ones left out."""
    pieces: list[Piece] = []
    for piece in whole.pieces:
        kept = _SAME_CHARS_KEPT if piece.change == "same" else _CHANGED_CHARS_KEPT
        left_out = len(piece.text) - 2 * kept
        if left_out <= kept:
            pieces.append(piece)
            continue
        pieces.append(Piece(piece.change, piece.text[:kept]))
        pieces.append(Piece(piece.change, "", left_out))
        pieces.append(Piece(piece.change, piece.text[-kept:]))
    return tuple(pieces)


_Pieces = Iterator[tuple[Change, str]]


class _Comparison:
    """One difference, and how much of its bound is left."""

    def __init__(self) -> None:
        self.grain: Grain = "words"
        self._steps_left = _STEPS_MAX

    def compare(self, before: str, after: str, grains: Sequence[Grain]) -> _Pieces:
        if not grains or not before or not after:
            if before and after:
                self.grain = "whole"
            yield from _replaced(before, after)
            return
        if grains[0] == "words" and len(before) + len(after) > _WORDS_CHARS_MAX:
            yield from self.compare(before, after, grains[1:])
            return
        old, new = _SPLITTERS[grains[0]](before), _SPLITTERS[grains[0]](after)
        head = _common(old, new)
        tail = _common(old[head:][::-1], new[head:][::-1])
        old_end, new_end = len(old) - tail, len(new) - tail
        yield "same", "".join(old[:head])
        middle = old[head:old_end], new[head:new_end]
        steps = len(middle[0]) * len(middle[1])
        if steps <= self._steps_left:
            self._steps_left -= steps
            yield from self._aligned(*middle, grains[0])
        else:
            yield from self.compare("".join(middle[0]), "".join(middle[1]), grains[1:])
        yield "same", "".join(old[old_end:])

    def _aligned(self, old: Sequence[str], new: Sequence[str], grain: Grain) -> _Pieces:
        if grain == "lines":
            self.grain = "lines" if self.grain == "words" else self.grain
        for before, after, same in _runs(old, new):
            if same:
                yield "same", before
            elif grain == "lines":
                yield from self.compare(before, after, ("words",))
            else:
                yield from _replaced(before, after)


def _runs(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    """Yield runs of what both have and of what only one has, in order, in turn."""
    from rapidfuzz.distance import Indel  # noqa: PLC0415 - only where texts are compared

    numbers: dict[str, int] = {}
    ids = [[numbers.setdefault(unit, len(numbers)) for unit in text] for text in (old, new)]
    removed: list[str] = []
    added: list[str] = []
    for step in Indel.opcodes(*ids):
        if step.tag != "equal":
            removed += old[step.src_start : step.src_end]
            added += new[step.dest_start : step.dest_end]
            continue
        text = "".join(old[step.src_start : step.src_end])
        if (removed or added) and _GAP.fullmatch(text):
            # A space between two changed words is no place where the texts agree.
            removed.append(text)
            added.append(text)
            continue
        if removed or added:
            yield "".join(removed), "".join(added), False
            removed, added = [], []
        yield text, text, True
    if removed or added:
        yield "".join(removed), "".join(added), False


def _replaced(before: str, after: str) -> _Pieces:
    yield "removed", before
    yield "added", after


def _joined(pieces: _Pieces) -> list[tuple[Change, str]]:
    """Join neighbours of the same change, and drop empty pieces."""
    joined: list[tuple[Change, str]] = []
    for change, text in pieces:
        if text and joined and joined[-1][0] == change:
            joined[-1] = change, joined[-1][1] + text
        elif text:
            joined.append((change, text))
    return joined


def _common(old: Sequence[str], new: Sequence[str]) -> int:
    return next(
        (n for n, (left, right) in enumerate(zip(old, new, strict=False)) if left != right),
        min(len(old), len(new)),
    )


def _lines(text: str) -> list[str]:
    # `str.splitlines` also splits at characters that are no line breaks to a reader.
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + lines[-1:]


_SPLITTERS: Final[dict[Grain, Callable[[str], list[str]]]] = {
    "words": _WORDS.findall,
    "lines": _lines,
}
