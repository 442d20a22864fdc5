"""The sentences and clauses of a text, in any language's punctuation.

Pure. A quote must stand in the text as it is: what is returned is cut out, never changed.
"""

import re
from collections.abc import Iterator
from typing import Final

# A full stop ends a sentence before white space, but not after an initial ("J. Smith") and not
# before a word in lower case ("approx. five"). Scripts without spaces need nothing behind theirs.
# Each run of signs is looked at from its first on only, so that a text of nothing else takes no
# longer; white space at the ends is cut off later.
_CLOSING: Final = "\"'”’»)\\]』」"
_SENTENCE_END: Final = re.compile(
    rf"(?<!\.)(?:(?<!\b[^\W\d_])\.|\.{{2,}}+)[{_CLOSING}]*(?=\s+[^a-zß-öø-ÿ\s]|\s*\Z)"
    rf"|(?<![!?؟።‽…])[!?؟።‽…]++[{_CLOSING}]*(?=\s|\Z)"
    rf"|[。！？｡।॥။]+[{_CLOSING}]*"
    r"|[\r\n]+"
)
_CLAUSE_END: Final = re.compile(r"[,;:](?=\s)|[،؛、，；：·]|\s[–—-]+\s|—|[()（）]")

_OPENING: Final = frozenset(":;–—-；：")
_REST_CHARS_MAX: Final = 500  # keeps what is cut out of a long sentence linear in it


def quotes_in(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each sentence stands, trimmed, and after it its clauses if it has several.

    Behind a colon, a semicolon or a dash, the rest of the sentence can be a sentence by itself.
    """
    start = 0
    for found in _SENTENCE_END.finditer(text):
        yield from _sentence(text, start, found.end())
        start = found.end()
    yield from _sentence(text, start, len(text))


def _sentence(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    place = _trimmed(text, start, end)
    if place is None:
        return
    yield place
    start, end = place
    opened = False
    for found in _CLAUSE_END.finditer(text, start, end):
        if opened and end - start <= _REST_CHARS_MAX:
            yield from _clause(text, start, end, place)
        yield from _clause(text, start, found.start(), place)
        start = found.end()
        opened = found[0].strip() in _OPENING
    yield from _clause(text, start, end, place)


def _clause(
    text: str, start: int, end: int, sentence: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    place = _trimmed(text, start, end)
    if place is not None and place != sentence:
        yield place


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Cut white space off; None where no letter or digit is left."""
    part = text[start:end]
    if not any(map(str.isalnum, part)):
        return None
    start += len(part) - len(part.lstrip())
    return start, start + len(part.strip())
