"""Words of any language: where they stand in a text, how their spelling is compared.

Pure. A token is a run of letters, digits and the marks on them. Scripts that put no spaces between
words give one token for each character, so that every substring of them is a window of tokens.
"""

import re
import unicodedata
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
_ASCII_TOKEN: Final = re.compile(r"[A-Za-z0-9]+")
_TOKEN: Final = re.compile("w+(?:m+w*)*|um*")  # over classes, one for each code point
_WORD_JOINERS: Final = (0x200C, 0x200D)
_ODD_SPACE: Final = re.compile(r"[^\S ]|  ")
_UNSPACED_CHAR: Final = re.compile(f"[{_UNSPACED}]")
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


def spans_of(text: str) -> list[tuple[int, int]]:
    """Return where each token begins and ends. Cost: about 0.2 µs a token."""
    if text.isascii():
        return [found.span() for found in _ASCII_TOKEN.finditer(text)]
    return [found.span() for found in _TOKEN.finditer(text.translate(_CLASSES))]


def spelled(text: str) -> str:
    """Return what two spellings of one name share; of the same length as `text`."""
    return text.lower() if text.isascii() else text.translate(_SPELLINGS)


def is_plain(text: str) -> bool:
    """Whether `key_of` of each part of the text is that part of `spelled(text)`."""
    if _ODD_SPACE.search(text) is not None:
        return False
    return text.isascii() or ("\xa0" not in text and unicodedata.is_normalized("NFC", text))


def key_of(text: str) -> str:
    """Return the key under which spellings are one: case, composition, dashes and white space."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    key = spelled(text)
    return key if _ODD_SPACE.search(key) is None else " ".join(key.split())


def is_unspaced(char: str) -> bool:
    """Whether the character belongs to a script that is windowed character by character."""
    return not char.isascii() and _UNSPACED_CHAR.match(char) is not None


def border_at(text: str, start: int, end: int) -> Border:
    """Tell whether what stands from `start` to `end` is a word of its own.

    "York" is one in "York-based", "York's" and "d'York"; it is part of a compound in "O'York",
    "York-Smith" and "york.com"; and "200" is nothing of its own in "1,200".
    """
    left, right = _left(text, start, end), _right(text, start, end)
    if "none" in {left, right}:
        return "none"
    return "part" if "part" in {left, right} else "whole"


def _left(text: str, start: int, end: int) -> Border:
    if start == 0 or text[start - 1].isspace():
        return "whole"
    mark, first = text[start - 1], text[start]
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
        return _compound(text[start:end], _run_before(text, start - 1))
    return "part" if mark in _JOINERS else "whole"


def _right(text: str, start: int, end: int) -> Border:
    if end == len(text) or text[end].isspace():
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
        return "whole"
    if mark in ".,:/" and last.isdigit() and after.isdigit():
        return "none"
    if mark in APOSTROPHES:
        run = _run_after(text, end + 1)
        return "whole" if run in {"s", "S"} else "part"
    if mark in HYPHENS:
        return _compound(text[start:end], _run_after(text, end + 1))
    return "part" if mark in _JOINERS else "whole"


def _unspaced(start: int, end: int) -> Border:
    """One character amid a run of such a script is a word only by chance."""
    return "whole" if end - start > 1 else "none"


def _compound(word: str, other: str) -> Border:
    """Judge a hyphen: `York-based`, `LHR-JFK` hold words; `Jean-Pierre`, `non-smoking` do not."""
    if word[0].isupper() and other[:1].islower():
        return "whole"
    codes = word.isupper() and other.isupper() and len(word) == len(other)
    return "whole" if codes else "part"


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
