"""The spellings of a column's texts: which of them a text names, without a pass over the column.

Pure. Beside the column's own index it keeps no text, only numbers of values:

- `_lengths`: by the first token of a value, how many tokens such values have; almost every word of
  a text is dismissed by one look at it;
- `_slots`: value numbers by a hash of their key (`tokens.key_of`), for spellings;
- `_parts`: value numbers by the parts of their key, for near spellings (`near_keys`).
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import extract

from lakehouse.core.candidate import Spelling
from lakehouse.core.limits import NEAREST_MAX
from lakehouse.grounding.near_keys import NEAR_CHARS_MIN, SharedParts, edits_max, part_numbers
from lakehouse.grounding.tokens import (
    Border,
    border_at,
    is_plain,
    is_unspaced,
    key_of,
    spans_of,
    spelled,
)

NEAR_WINDOWS_MAX: Final = 16  # spans of one text that near spellings are sought for
NEAR_COMPARED_MAX: Final = 128  # values compared for one text
_TOKENS_MAX: Final = 64  # of a value; a longer one is no name
_CODE_CHARS_SURE: Final = 3  # upper-case values up to here are codes
_CODE_CHARS_MAX: Final = 5  # and up to here in a column that holds mostly such
_VOCABULARY_MAX: Final = 256  # values; in a larger column some are common words by chance: "May"
_MANY: Final = 32  # tokens; of values with so many or more, `_lengths` tells no number
_TAG_SHIFT: Final = 40


class Naming(msgspec.Struct, frozen=True):
    """A value, by its number, that a text names from `start` to `end`.

    A near one stands there in another spelling, `distance` edits away. Where its `distance` is 0
    the text may mean something else: a compound word that it is part of, or a common word in lower
    case ("may" beside the town May).
    """

    start: int
    end: int
    code: int
    spelling: Spelling
    distance: int = 0


class Spellings:
    """Finds the values of one column in texts. Immutable; safe to share.

    Cost: to build, about 7 s per 1,000,000 texts, in any thread but the event loop's; about 60
    bytes a text.
    """

    def __init__(self, values: Sequence[str]) -> None:
        self._values = values
        size = 1 << max(6, (2 * len(values)).bit_length())
        self._mask = size - 1
        self._slots = array("i", [-1]) * size
        self._tags = bytearray(size)
        self._lengths = array("I", [0]) * (2 * size)
        self._tokens_max = 0
        self._symbols: dict[str, int] = {}
        codes = sum(1 for value in values if _is_code(value, _CODE_CHARS_MAX))
        self._code_chars = _CODE_CHARS_MAX if 2 * codes > len(values) else _CODE_CHARS_SURE
        numbers = array("I")
        owners = array("i")
        for code, value in enumerate(values):
            spans = spans_of(value)
            if not spans:
                self._symbols[value.strip()] = code
                continue
            key = key_of(value[spans[0][0] : spans[-1][1]])
            self._add(key, code, spans[0][1] - spans[0][0], len(spans))
            parts = part_numbers(key)
            numbers.extend(parts)
            owners.extend([code] * len(parts))
        self._parts = SharedParts(numbers, owners, size)

    def find(self, text: str) -> list[Naming]:
        """Return what the text names, by place and then by bytes of the value; near ones too.

        Of values at one place the longest is named; where a value stands in its own spelling no
        other one of that key is. Cost: about 200 µs per 1,000 characters at any number of
        values, and up to 300 µs for near spellings.
        """
        spans = spans_of(text)
        reading = _Reading(text, spans)
        found = [*self._spelled(reading), *self._symbols_in(text)]
        sure = _outermost([one for one in found if one.spelling != "near"])
        taken = [(one.start, one.end) for one in sure]
        parts = [one for one in found if one.spelling == "near" and _is_free(one, taken)]
        taken += [(one.start, one.end) for one in parts]
        near = self._near(reading, sorted(taken))
        every = {(one.start, one.end, one.code): one for one in (*sure, *_outermost(parts), *near)}
        return [every[place] for place in sorted(every)]

    # --- Building -------------------------------------------------------------------------------

    def _add(self, key: str, code: int, first_chars: int, tokens: int) -> None:
        if tokens > _TOKENS_MAX:
            return
        number = hash(key)
        at = number & self._mask
        while self._slots[at] >= 0:
            at = (at + 1) & self._mask
        self._slots[at] = code
        self._tags[at] = (number >> _TAG_SHIFT) & 0xFF
        first = hash(_first_token(key, first_chars)) & (2 * self._mask + 1)
        self._lengths[first] |= 1 << (min(tokens, _MANY) - 1)
        self._tokens_max = max(self._tokens_max, tokens)

    # --- Values in their own spelling, or folded ------------------------------------------------

    def _spelled(self, reading: "_Reading") -> Iterator[Naming]:
        lengths, mask, key, spans = (
            self._lengths,
            len(self._lengths) - 1,
            reading.key,
            reading.spans,
        )
        folded = reading.folded
        for at, (start, end) in enumerate(spans):
            first = folded[start:end] if folded is not None else key(start, end)
            bits = lengths[hash(first) & mask]
            if not bits:
                continue
            for count in self._counts(bits):
                if at + count > len(spans):
                    break
                last = spans[at + count - 1][1]
                codes = self._codes(key(start, last))
                if codes:
                    yield from self._named(reading.text, start, last, codes)

    def _counts(self, bits: int) -> Iterator[int]:
        while bits:
            count = (bits & -bits).bit_length()
            bits &= bits - 1
            yield count
            if count == _MANY:
                yield from range(_MANY + 1, self._tokens_max + 1)

    def _codes(self, key: str) -> list[int]:
        """Return the values with this key."""
        number = hash(key)
        at, tag = number & self._mask, (number >> _TAG_SHIFT) & 0xFF
        codes = []
        while (code := self._slots[at]) >= 0:
            if self._tags[at] == tag and self._key(code) == key:
                codes.append(code)
            at = (at + 1) & self._mask
        return codes

    def _key(self, code: int) -> str:
        """Return a value's key: from its first to its last token."""
        value = self._values[code]
        if value[0].isalnum() and value[-1].isalnum():
            return key_of(value)
        spans = spans_of(value)
        return key_of(value[spans[0][0] : spans[-1][1]])

    def _named(self, text: str, start: int, end: int, codes: list[int]) -> Iterator[Naming]:
        found: list[tuple[Border, Naming]] = []
        for code in codes:
            place = self._extent(text, start, end, self._values[code])
            if place is None:
                continue
            first, last = place
            exact = text[first:last] == self._values[code].strip()
            if not exact and _is_code(self._values[code], self._code_chars):
                continue
            border = border_at(text, first, last)
            if border == "whole" and not exact and self._is_by_chance(text, first, last, code):
                border = "part"
            spelling: Spelling = "exact" if exact else "folded"
            if border != "none":
                found.append((border, Naming(first, last, code, spelling)))
        exact_places = {(n.start, n.end) for _, n in found if n.spelling == "exact"}
        for border, one in found:
            if one.spelling == "exact" or (one.start, one.end) not in exact_places:
                yield one if border == "whole" else msgspec.structs.replace(one, spelling="near")

    def _is_by_chance(self, text: str, start: int, end: int, code: int) -> bool:
        """Whether a text that has capitals writes a capitalised word of a large column without."""
        word = text[start:end]
        return (
            len(self._values) > _VOCABULARY_MAX
            and word.isalpha()
            and word.islower()
            and not self._values[code].islower()
            and not text.islower()
        )

    def _extent(self, text: str, start: int, end: int, value: str) -> tuple[int, int] | None:
        """Return where the value stands, with the signs before and after its tokens: `C++`."""
        if value[:1].isalnum() and value[-1:].isalnum():
            return start, end
        value = value.strip()
        spans = spans_of(value)
        lead, trail = value[: spans[0][0]], value[spans[-1][1] :]
        first, last = start - len(lead), end + len(trail)
        if first < 0 or spelled(text[first:start]) != spelled(lead):
            return None
        return (first, last) if spelled(text[end:last]) == spelled(trail) else None

    def _symbols_in(self, text: str) -> Iterator[Naming]:
        """Return values without a letter or digit that stand between white space: `£££`."""
        if not self._symbols:
            return
        start = 0
        for word in text.split():
            start = text.index(word, start)
            bare = word.rstrip(".,;:!?)")
            for one in {word, bare}:
                if one in self._symbols:
                    yield Naming(start, start + len(one), self._symbols[one], "exact")
            start += len(word)

    # --- Near spellings -------------------------------------------------------------------------

    def _near(self, reading: "_Reading", taken: list[tuple[int, int]]) -> list[Naming]:
        budget = NEAR_COMPARED_MAX
        found: list[Naming] = []
        for start, end in _near_windows(reading, taken, self._tokens_max):
            key = reading.key(start, end)
            ranked: list[tuple[int, int]] = []
            for edits in range(1, edits_max(len(key)) + 1):
                codes, compared = self._parts.sharing(key, edits, budget)
                budget -= compared
                ranked = self._ranked(reading.text[start:end], key, codes)
                if ranked:
                    break
            found += [Naming(start, end, code, "near", n) for n, code in ranked[:NEAREST_MAX]]
        return _outermost(found)

    def _ranked(self, text: str, key: str, codes: Iterable[int]) -> list[tuple[int, int]]:
        """Return the distances and numbers of the values near enough, nearest first."""
        keys = {code: self._key(code) for code in codes}
        if not keys:
            return []
        hits = extract(
            key, keys, scorer=Levenshtein.distance, score_cutoff=edits_max(len(key)), limit=None
        )
        return sorted(
            (int(distance), code)
            for other, distance, code in hits
            if distance <= edits_max(len(other))
            and (text.isupper() or not _is_code(self._values[code], self._code_chars))
        )


class _Reading:
    """A text with its tokens; `folded` gives the keys of its parts at once, where it can."""

    def __init__(self, text: str, spans: list[tuple[int, int]]) -> None:
        self.text = text
        self.spans = spans
        self.folded = spelled(text) if is_plain(text) else None

    def key(self, start: int, end: int) -> str:
        return key_of(self.text[start:end]) if self.folded is None else self.folded[start:end]


def _is_code(value: str, chars_max: int) -> bool:
    """Whether a value is one upper-case word so short that in lower case it may be another."""
    return len(value) <= chars_max and value.isalpha() and value.isupper()


def _first_token(key: str, chars: int) -> str:
    # Composition may have changed the length: what is composed is read again.
    return key[:chars] if key.isascii() else key[slice(*spans_of(key)[0])]


def _outermost(found: list[Naming]) -> list[Naming]:
    """Leave out what stands inside a longer one."""
    kept: list[Naming] = []
    outer = (-1, -1)
    for one in sorted(found, key=lambda one: (one.start, -one.end, one.code)):
        if one.end > outer[1] or (one.start, one.end) == outer:
            kept.append(one)
            outer = (one.start, one.end)
    return kept


def _is_free(one: Naming, taken: list[tuple[int, int]]) -> bool:
    return all(one.end <= start or end <= one.start for start, end in taken)


# --- Which spans of a text may be misspelled names ---------------------------------------------


def _near_windows(
    reading: _Reading, taken: list[tuple[int, int]], tokens_max: int
) -> Iterator[tuple[int, int]]:
    """Yield spans that may be a misspelled name: runs of words not in lower case, then their parts.

    Nothing that touches a place in `taken`. The longest come first, so that a bounded number of
    them misses the least.
    """
    windows: list[tuple[int, int, int]] = []
    for run in _name_runs(reading, taken):
        for count in range(min(len(run), tokens_max + 1), 0, -1):
            for at in range(len(run) - count + 1):
                start, end = run[at][0], run[at + count - 1][1]
                if end - start >= NEAR_CHARS_MIN:
                    windows.append((len(run) - count, start, end))
            if len(windows) > 8 * NEAR_WINDOWS_MAX:
                break
    for _, start, end in sorted(windows)[:NEAR_WINDOWS_MAX]:
        yield start, end


def _name_runs(reading: _Reading, taken: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    text = reading.text
    runs: list[list[tuple[int, int]]] = []
    taking = iter(taken)
    busy = next(taking, None)
    last = -1
    for start, end in reading.spans:
        word = text[start:end]
        if word.islower() or word.isdigit() or is_unspaced(word[0]):
            continue
        while busy is not None and busy[1] <= start:
            busy = next(taking, None)
        if busy is not None and end > busy[0]:
            continue
        if runs and _is_joined(text, last, start):
            runs[-1].append((start, end))
        else:
            runs.append([(start, end)])
        last = end
    return runs


def _is_joined(text: str, end: int, start: int) -> bool:
    """Whether two tokens can belong to one name: by white space or one sign without a stop."""
    gap = text[end:start]
    return len(gap) <= 1 and gap not in {",", ";", ":", "!", "?", "\n", "。", "、", "，"}
