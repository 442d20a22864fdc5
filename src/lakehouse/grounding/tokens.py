"""Words of any language: where they stand in a text, how their spelling is compared.

Pure. A token is a run of letters, digits and the marks on them. Scripts that put no spaces between
words give one token for each character, so that every substring of them is a window of tokens.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import accumulate, compress
from operator import ne
from typing import Final, Literal

from lakehouse.core.folding import fold

Border = Literal["whole", "part", "none"]
"""Whether a place in a text is a word, part of a compound word, or part of another thing."""

APOSTROPHES: Final = "'’ʼ‘＇"
HYPHENS: Final = "-‐‑"
_DASHES: Final = HYPHENS + "–－"  # one in spelling; but an en dash also parts two words
_JOINERS: Final = "_@.&\\"  # between two words without a space they make one: example.com, AT&T
_SUFFIXES: Final = "+#"  # of a name: C++, C#
# Scripts without spaces (Thai, Lao, Myanmar, Khmer, kana, Han), and Hangul, whose particles are
# written onto the word.
_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
_ASCII_TOKEN: Final = re.compile(r"([A-Za-z0-9]+)")
_TOKEN: Final = re.compile("(w+(?:m+w*)*|um*)")  # over classes, one for each code point
_ASCII_WORDS: Final = {point: " " for point in range(128) if not chr(point).isalnum()}
_WORD_JOINERS: Final = (0x200C, 0x200D)
_ODD_SPACE: Final = re.compile(r"[^\S ]|  ")
_UNSPACED_CHAR: Final = re.compile(f"[{_UNSPACED}]")
_JOINED_CHARS: Final = 1  # between two tokens of one name
_STOPS: Final = frozenset({",", ";", ":", "!", "?", "\n", "。", "、", "，"})
_ENTITY: Final = re.compile(r"&#?\w{1,9};\Z", re.ASCII)  # \Z: where the search ends
_BROKEN_BEFORE: Final = re.compile(
    rf"[^\W\d_][{re.escape(HYPHENS)}][ \t]*\r?\n\Z"
)  # a word at a line's end
_BROKEN_AFTER: Final = re.compile(r"[ \t]{0,4}\r?\n[^\W\d_]")
_RUN_BEFORE_CHARS: Final = 32  # looked at of the other part of a compound word


class _Spellings(dict[int, str]):
    """What each code point is compared as: folded, with one apostrophe, hyphen and space."""

    def __missing__(self, point: int) -> str:
        char = chr(point)
        if char in APOSTROPHES:
            found = "'"
        elif char in _DASHES:
            found = "-"
        else:
            found = " " if char in "\xa0\u202f\u3000" else fold(char)
        if point <= 0xFFFF:  # what is kept stays small, whatever texts come
            self[point] = found
        return found


class _Classes(dict[int, str]):
    """The class of each code point: `w` in words, `u` unspaced, `m` a mark, or a space."""

    def __missing__(self, point: int) -> str:
        char = chr(point)
        if _UNSPACED_CHAR.match(char) is not None:
            found = "u"
        elif unicodedata.category(char)[0] == "M" or point in _WORD_JOINERS:
            found = "m"
        else:
            found = "w" if char.isalnum() else " "
        if point <= 0xFFFF:  # what is kept stays small, whatever texts come
            self[point] = found
        return found


_CLASSES: Final = _Classes()
_SPELLINGS: Final = _Spellings()


class Reading:
    """A text and its tokens: where they start, where they end, and their keys."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.plain = is_plain(text)
        self._spelled = spelled(text)
        if text.isascii():
            parts = _ASCII_TOKEN.split(self._spelled)
            self.starts, self.ends = _places(parts)
            self.words = parts[1::2]
        else:
            self.starts, self.ends = places_of(text)
            self.words = list(map(self.key, self.starts, self.ends))
        self.hashes = list(map(hash, self.words))
        self._names: list[tuple[int, int]] | None = None

    def key(self, start: int, end: int) -> str:
        """Return the key (`tokens.key_of`) of a part of the text."""
        return self._spelled[start:end] if self.plain else key_of(self.text[start:end])

    def names(self) -> list[tuple[int, int]]:
        """Return where words stand that are not in lower case, in scripts that part words."""
        if self._names is None:
            starts, ends, text = self.starts, self.ends, self.text
            if text.isascii():
                capital = map(ne, ascii_words(text), self.words)
                self._names = [(starts[n], ends[n]) for n in compress(range(len(starts)), capital)]
            else:
                places = zip(starts, ends, strict=True)
                self._names = [place for place in places if _is_name(text[slice(*place)])]
        return self._names

    def name_runs(self, taken: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
        """Yield runs of such words that nothing parts; none that touches a place in `taken`."""
        run: list[tuple[int, int]] = []
        taking = iter(taken)
        busy = next(taking, None)
        for start, end in self.names():
            while busy is not None and busy[1] <= start:
                busy = next(taking, None)
            if busy is not None and end > busy[0]:
                continue
            if run and self._are_parted(run[-1][1], start):
                yield run
                run = []
            run.append((start, end))
        if run:
            yield run

    def is_one(self, first: int, last: int) -> bool:
        """Return whether nothing parts these tokens, all in scripts that part words."""
        if is_unspaced(self.text[self.starts[first]]) or is_unspaced(self.text[self.starts[last]]):
            return False
        starts = self.starts[first + 1 : last + 1]
        return not any(map(self._are_parted, self.ends[first:last], starts))

    def _are_parted(self, end: int, start: int) -> bool:
        gap = self.text[end:start]
        return len(gap) > _JOINED_CHARS or gap in _STOPS


def places_of(text: str) -> tuple[list[int], list[int]]:
    """Return where each token begins, and where each ends. Cost: about 0.2 µs a token."""
    ascii_only = text.isascii()
    return _places(
        _ASCII_TOKEN.split(text) if ascii_only else _TOKEN.split(text.translate(_CLASSES))
    )


def _places(parts: list[str]) -> tuple[list[int], list[int]]:
    # What is no token and what is one take turns.
    ends = list(accumulate(map(len, parts)))
    return ends[0:-1:2], ends[1::2]


def spans_of(text: str) -> list[tuple[int, int]]:
    """Return where each token begins and ends."""
    return list(zip(*places_of(text), strict=True))


def ascii_words(text: str) -> list[str]:
    """Return the tokens of a text that is ASCII, without their places."""
    return text.translate(_ASCII_WORDS).split()


def spelled(text: str) -> str:
    """Return what two spellings of one name share; of the same length as `text`."""
    return text.lower() if text.isascii() else text.translate(_SPELLINGS)


def is_plain(text: str) -> bool:
    """Whether `key_of` of each part of the text is that part of `spelled(text)`."""
    if text.isascii() and text.isprintable():
        return "  " not in text
    if _ODD_SPACE.search(text) is not None:
        return False
    return text.isascii() or ("\xa0" not in text and unicodedata.is_normalized("NFC", text))


def key_of(text: str) -> str:
    """Return the key under which spellings are one: case, composition, dashes and white space."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    key = spelled(text)
    return key if _ODD_SPACE.search(key) is None else " ".join(key.split())


def _is_name(word: str) -> bool:
    return not (word.islower() or word.isdigit() or is_unspaced(word[0]))


def is_unspaced(char: str) -> bool:
    """Whether the character belongs to a script that is windowed character by character."""
    return not char.isascii() and _UNSPACED_CHAR.match(char) is not None


def border_at(text: str, start: int, end: int) -> Border:
    """Tell whether what stands from `start` to `end` is a word of its own.

    "York" is one in "York-based", "York's" and "d'York"; it is part of a compound in "O'York",
    "York-Smith" and "york.com"; and "200" is nothing of its own in "1,200".
    """
    left: Border = "whole"
    right: Border = "whole"
    if start and text[start - 1] != " ":
        left = _left(text, start, end)
    if end < len(text) and text[end] != " ":
        right = _right(text, start, end)
    if "none" in {left, right}:
        return "none"
    return "part" if "part" in {left, right} else "whole"


def _left(text: str, start: int, end: int) -> Border:
    mark, first = text[start - 1], text[start]
    if mark.isspace():
        broken = mark in "\r\n" and _BROKEN_BEFORE.search(text, max(0, start - 8), start)
        return "part" if broken else "whole"
    if mark.isalnum():
        if is_unspaced(mark) and is_unspaced(first):
            return "none" if _is_hangul(mark) and _is_hangul(first) else _unspaced(start, end)
        return "whole" if is_unspaced(mark) or is_unspaced(first) else "none"
    before = text[start - 2] if start > 1 else " "
    if not before.isalnum():
        return "none" if mark in ".,-−" and first.isdigit() else "whole"
    if mark in ".,:/" and first.isdigit() and before.isdigit():
        return "none"
    if mark in APOSTROPHES:
        run = _run_before(text, start - 1)
        return "whole" if run.islower() and len(run) <= 5 else "part"
    if mark in HYPHENS:
        run = _run_before(text, start - 1)
        other = start - 2 - len(run)
        return _compound(text[start:end], run, text[other] if other >= 0 else " ")
    if mark == ";":
        return "part" if _ENTITY.search(text, max(0, start - 12), start) else "whole"
    return "part" if mark in _JOINERS or _is_unseen(mark, first) else "whole"


def _right(text: str, start: int, end: int) -> Border:
    if text[end].isspace():
        return "whole"
    mark, last = text[end], text[end - 1]
    if mark.isalnum():
        if is_unspaced(mark) and is_unspaced(last):
            return _unspaced(start, end)
        return "whole" if is_unspaced(mark) or is_unspaced(last) else "none"
    after = text[end + 1] if end + 1 < len(text) else " "
    if mark in _SUFFIXES and last.isalpha():
        return "part"
    if not after.isalnum():
        broken = mark in HYPHENS and _BROKEN_AFTER.match(text, end + 1)
        return "part" if broken else "whole"
    if mark in ".,:/" and last.isdigit() and after.isdigit():
        return "none"
    if mark in APOSTROPHES:
        run = _run_after(text, end + 1)
        return "whole" if run in {"s", "S"} else "part"
    if mark in HYPHENS:
        run = _run_after(text, end + 1)
        return _compound(text[start:end], run, text[end + 1 + len(run) :][:1])
    return "part" if mark in _JOINERS or _is_unseen(mark, last) else "whole"


def _unspaced(start: int, end: int) -> Border:
    """One character amid a run of such a script is a word only by chance."""
    return "whole" if end - start > 1 else "none"


def _compound(word: str, other: str, beyond: str) -> Border:
    """Judge a hyphen: `York-based`, `LHR-JFK` hold words; `Jean-Pierre`, `non-smoking` do not.

    `beyond` is the sign on the far side of the other part: `Stratford-upon-Avon` is one name.
    """
    if word[0].isupper() and other[:1].islower():
        return "part" if beyond and beyond in HYPHENS else "whole"
    codes = word.isupper() and other.isupper() and len(word) == len(other)
    return "whole" if codes else "part"


def _is_unseen(mark: str, char: str) -> bool:
    """Whether a sign is not seen and parts no words: a soft hyphen, a joiner."""
    return not mark.isascii() and unicodedata.category(mark) == "Cf" and not is_unspaced(char)


def _is_hangul(char: str) -> bool:
    return "\uac00" <= char <= "\ud7a3"


def _run_before(text: str, end: int) -> str:
    start = end
    while start > max(0, end - _RUN_BEFORE_CHARS) and text[start - 1].isalnum():
        start -= 1
    return text[start:end]


def _run_after(text: str, start: int) -> str:
    end = start
    while end < min(len(text), start + _RUN_BEFORE_CHARS) and text[end].isalnum():
        end += 1
    return text[start:end]
