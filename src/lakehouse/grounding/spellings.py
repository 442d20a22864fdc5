"""The spellings of a column's texts: which of them a text names, without a pass over the column.

Pure. Beside the column's own index it keeps no text, only numbers of values:

- `_firsts`: by the first token of a value, how many tokens such values have (eight bits), and
  which such tokens there are (16 bits); almost every word of a text is dismissed by one look at it;
- `_slots`: value numbers by a hash of their key (`tokens.key_of`), for spellings;
- `_parts`: value numbers by the parts of their key, for near spellings (`near_keys`).
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import pyarrow as pa
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import extract

from lakehouse.core.candidate import Spelling
from lakehouse.core.limits import NEAREST_MAX
from lakehouse.grounding.near_keys import SharedParts, edits_max, in_order, part_numbers, reached
from lakehouse.grounding.tokens import (
    Reading,
    ascii_words,
    border_at,
    is_plain,
    key_of,
    spans_of,
    spelled,
)

NEAR_WINDOWS_MAX: Final = 16  # spans of one text that near spellings are sought for
NEAR_COMPARED_MAX: Final = 128  # values compared for one text
_TOKENS_MAX: Final = 64  # of a value; a longer one is no name
_CODE_CHARS_SURE: Final = 3  # upper-case values up to here are codes
_CODE_CHARS_MAX: Final = 5  # and up to here in a column that holds mostly such
_BEFORE_SENTENCE: Final = ".!?:…\"'“„«(*-"
_VOCABULARY_MAX: Final = 256  # values; in a larger column some are common words by chance: "May"
_MANY: Final = 8  # tokens; of values with so many or more, `_firsts` tells no number
_COUNTS: Final = tuple(
    tuple(count for count in range(1, _MANY + 1) if bits & 1 << (count - 1))
    for bits in range(1 << _MANY)
)
"""Numbers of tokens by the bits that tell them."""
_WIDER: Final = ((2, 0), (1, 1), (0, 2), (1, 0), (0, 1))
"""Numbers of words before and after a value that may belong to a longer one."""
_KIND_SHIFT: Final = 36  # of the bits of a hash that tell first tokens apart
_KINDS: Final = tuple(1 << (_MANY + kind) for kind in range(16))
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

    Cost: to build, about 5 s per 1,000,000 texts, in any thread but the event loop's; about 45
    bytes a text.
    """

    def __init__(self, values: Sequence[str]) -> None:
        self._values = values
        size = 1 << max(6, (2 * len(values)).bit_length())
        self._mask = size - 1
        self._slots = array("i", [-1]) * size
        self._tags = bytearray(size)
        self._firsts = array("I", [0]) * size
        self._tokens_max = 0
        self._symbols: dict[str, int] = {}
        codes = sum(1 for value in values if _is_code(value, _CODE_CHARS_MAX))
        self._code_chars = _CODE_CHARS_MAX if 2 * codes > len(values) else _CODE_CHARS_SURE
        self._plain = bytearray(len(values))  # whether the key is the value in lower case
        chars: tuple[set[int], set[int]] = (set(), set())
        numbers = array("I")
        owners = array("i")
        for code, value in enumerate(values):
            key, first, tokens = _keyed(value)
            if not tokens:
                if sign := value.strip():
                    self._symbols[sign] = code
                continue
            if tokens <= _TOKENS_MAX:
                self._add(key, code, first, tokens)
            self._plain[code] = value.isascii() and value.lower() == key
            parts = part_numbers(key)
            chars[_is_code(value, self._code_chars)].add(len(key))
            numbers.extend(parts)
            owners.extend((code,) * len(parts))
        parts_in_order = in_order(numbers, owners)
        del numbers, owners  # so that what stays takes their room
        self._parts = SharedParts(*parts_in_order)
        del parts_in_order
        pa.default_memory_pool().release_unused()  # what sorting took, several times what stays
        # Of what is not in upper case codes are no near spelling.
        self._reached = (reached(chars[False]), reached(chars[False] | chars[True]))

    def find(self, reading: Reading, *, near: bool = True) -> list[Naming]:
        """Return what the text names, by place and then by bytes of the value; near ones too.

        Of values at one place the longest is named; where a value stands in its own spelling no
        other one of that key is. Cost: about 100 µs per 1,000 characters at any number of
        values, and up to 200 µs for near spellings.
        """
        found = self._spelled(reading)
        if self._symbols:
            found += self._symbols_in(reading.text)
        parts = [one for one in found if one.spelling == "near"]
        sure = _outermost([one for one in found if one.spelling != "near"] if parts else found)
        reaches = bool(self._reached[True])  # of nothing but short codes none is near
        if not near or not (reaches or parts):
            return sure
        taken = [(one.start, one.end) for one in sure]
        # As sorted as the starts: none stands inside another.
        ends = [end for _, end in taken]
        parts = [one for one in parts if _is_free(one, taken, ends)]
        taken += [(one.start, one.end) for one in parts]
        guessed = [*_outermost(parts), *(self._near(reading, sorted(taken)) if reaches else ())]
        if not guessed:
            return sure
        every = {(one.start, one.end, one.code): one for one in (*sure, *guessed)}
        return [every[place] for place in sorted(every)]

    # --- Building -------------------------------------------------------------------------------

    def _add(self, key: str, code: int, first: str, tokens: int) -> None:
        number = hash(key)
        at = number & self._mask
        while self._slots[at] >= 0:
            at = (at + 1) & self._mask
        self._slots[at] = code
        self._tags[at] = number >> _TAG_SHIFT & 0xFF
        number = hash(first)
        self._firsts[number & self._mask] |= (
            1 << (min(tokens, _MANY) - 1) | _KINDS[number >> _KIND_SHIFT & 0xF]
        )
        self._tokens_max = max(self._tokens_max, tokens)

    # --- Values in their own spelling, or folded ------------------------------------------------

    def _spelled(self, reading: Reading) -> list[Naming]:
        firsts, mask, hashes = self._firsts, self._mask, reading.hashes
        slots, tags = self._slots, self._tags
        words, starts, ends = reading.words, reading.starts, reading.ends
        found: list[Naming] = []
        for at in [at for at, number in enumerate(hashes) if firsts[number & mask]]:
            number = hashes[at]
            bits = firsts[number & mask]
            if not bits & _KINDS[number >> _KIND_SHIFT & 0xF]:
                continue
            counts: Sequence[int] = _COUNTS[bits & 0xFF]
            if counts[-1] == _MANY:
                counts = (*counts, *range(_MANY + 1, self._tokens_max + 1))
            for count in counts:
                if at + count > len(ends):
                    break
                start, end = starts[at], ends[at + count - 1]
                key = words[at] if count == 1 else reading.key(start, end)
                number = hash(key)
                slot = number & mask
                other = tags[slot] != number >> _TAG_SHIFT & 0xFF
                if slots[slot] < 0 or (other and slots[slot + 1 & mask] < 0):
                    continue  # as for most words: nothing is here, or one other key
                codes = self._codes(key, number, reading.text[start:end])
                if codes:
                    found += self._named(reading.text, start, end, codes)
        return found

    def _codes(self, key: str, number: int, written: str) -> list[int]:
        """Return the values with this key, of hash `number`, which a text has as `written`."""
        at, tag = number & self._mask, number >> _TAG_SHIFT & 0xFF
        codes = []
        while (code := self._slots[at]) >= 0:
            if self._tags[at] == tag:
                value = self._values[code]
                if value == written or _keyed(value)[0] == key:
                    codes.append(code)
            at = (at + 1) & self._mask
        return codes

    def _named(self, text: str, start: int, end: int, codes: list[int]) -> list[Naming]:
        found = [one for code in codes if (one := self._naming(text, start, end, code))]
        if len(found) > 1:
            exact = {(one.start, one.end) for one, _ in found if one.spelling == "exact"}
            found = [
                pair
                for pair in found
                if pair[0].spelling == "exact" or (pair[0].start, pair[0].end) not in exact
            ]
        return [
            one if whole else msgspec.structs.replace(one, spelling="near") for one, whole in found
        ]

    def _naming(self, text: str, start: int, end: int, code: int) -> tuple[Naming, bool] | None:
        """Return how the text names a value of that key, and whether as a word of its own."""
        value = self._values[code]
        exact = text[start:end] == value
        if not exact:
            place = self._extent(text, start, end, value)
            if place is None:
                return None
            start, end = place
            exact = text[start:end] == value.strip()
            if not exact and _is_code(value, self._code_chars):
                return None
        border = border_at(text, start, end)
        if border == "none":
            return None
        if exact:
            by_chance = end - start == 1 and _is_first_letter(text, start)
        else:
            by_chance = self._is_by_chance(text, start, end, code)
        whole = border == "whole" and not by_chance
        return Naming(start, end, code, "exact" if exact else "folded"), whole

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
        start = 0
        for word in text.split():
            start = text.index(word, start)
            bare = word.rstrip(".,;:!?)")
            for one in {word, bare}:
                if one in self._symbols:
                    yield Naming(start, start + len(one), self._symbols[one], "exact")
            start += len(word)

    # --- Near spellings -------------------------------------------------------------------------

    def _near(self, reading: Reading, taken: list[tuple[int, int]]) -> list[Naming]:
        budget = NEAR_COMPARED_MAX
        found: list[Naming] = []
        windows = self._near_windows(reading, taken)
        for start, end, edits_most in (windows + self._wider(reading, taken))[:NEAR_WINDOWS_MAX]:
            if found and any(one.start <= start and end <= one.end for one in found):
                continue
            key = reading.key(start, end)
            for edits in range(1, edits_most + 1):
                codes = self._parts.sharing(key, edits, budget)
                if not codes:
                    continue
                budget -= len(codes)
                ranked = self._ranked(reading.text[start:end], key, list(codes), edits_most)
                if ranked:
                    found += [
                        Naming(start, end, code, "near", distance)
                        for distance, code in ranked[:NEAREST_MAX]
                    ]
                    break
        return _outermost(found)

    def _near_windows(
        self, reading: Reading, taken: list[tuple[int, int]]
    ) -> list[tuple[int, int, int]]:
        """Return places that may be a misspelled name, each with how many edits away.

        They are runs of words not in lower case, and parts of such. Nothing that touches a place in
        `taken`. The longest come first, so that a bounded number of them misses the least.
        """
        windows: list[tuple[int, int, int]] = []
        text, plain, reached = reading.text, reading.plain, self._reached
        for run in reading.name_runs(taken):
            tokens = len(run)
            for count in range(min(tokens, self._tokens_max + 1), 0, -1):
                for at in range(tokens - count + 1):
                    start, end = run[at][0], run[at + count - 1][1]
                    chars = end - start if plain else len(reading.key(start, end))
                    if chars in reached[text[start:end].isupper()]:
                        windows.append((tokens - count, start, end))
                if len(windows) > 8 * NEAR_WINDOWS_MAX:
                    break
        windows.sort()
        return [
            (start, end, edits_max(end - start if plain else len(reading.key(start, end))))
            for _, start, end in windows[:NEAR_WINDOWS_MAX]
        ]

    def _wider(self, reading: Reading, taken: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """Return places around a named value that may be a longer, misspelled one: `Neew York`.

        What is around it allows the edits: `LGW London` is not near to `New London`.
        """
        starts, ends, text = reading.starts, reading.ends, reading.text
        lower = text.islower()  # else names are not
        windows: dict[str, tuple[int, int, int]] = {}
        busy = set(taken)
        for place in taken[:NEAR_WINDOWS_MAX]:
            first, last = bisect_left(starts, place[0]), bisect_right(ends, place[1]) - 1
            for before, after in _WIDER:
                at, to = first - before, last + after
                if at < 0 or to >= len(ends):
                    continue
                start, end = starts[at], ends[to]
                if not lower and (text[start].islower() or text[starts[to]].islower()):
                    continue
                key = reading.key(start, end)
                if key in windows or len(key) not in self._reached[text[start:end].isupper()]:
                    continue
                if (start, end) not in busy and reading.is_one(at, to):
                    around = len(key) - (place[1] - place[0])
                    windows[key] = start, end, max(1, edits_max(around))
        return list(windows.values())

    def _ranked(
        self, text: str, key: str, codes: list[int], edits_most: int
    ) -> list[tuple[int, int]]:
        """Return the distances and numbers of the values near enough, nearest first."""
        values, plain = self._values, self._plain
        keys = [values[code].lower() if plain[code] else _keyed(values[code])[0] for code in codes]
        hits = extract(key, keys, scorer=Levenshtein.distance, score_cutoff=edits_most, limit=None)
        return sorted(
            (int(distance), codes[at])
            for other, distance, at in hits
            if distance <= edits_max(len(other))
            and (text.isupper() or not _is_code(self._values[codes[at]], self._code_chars))
        )


def _keyed(value: str) -> tuple[str, str, int]:
    """Return a value's key, from its first to its last token, the first of them, and how many."""
    if value.isascii() and is_plain(value):
        key = spelled(value)
        words = ascii_words(key)
        if words and not (key[0].isalnum() and key[-1].isalnum()):
            key = key[key.index(words[0]) : key.rindex(words[-1]) + len(words[-1])]
        return key, words[0] if words else "", len(words)
    spans = spans_of(value)
    if not spans:
        return "", "", 0
    key = key_of(value[spans[0][0] : spans[-1][1]])
    # Composition may have changed the length: the first token is read again.
    return key, key[slice(*spans_of(key)[0])], len(spans)


def _is_code(value: str, chars_max: int) -> bool:
    """Whether a value is one upper-case word so short that in lower case it may be another."""
    return len(value) <= chars_max and value.isalpha() and value.isupper()


def _is_first_letter(text: str, start: int) -> bool:
    """Whether a letter begins a sentence, where it may be an article: `A flight is late`."""
    after = text[start + 1 : start + 3]
    if not (text[start].isupper() and after[:1] == " " and after[1:].islower()):
        return False
    before = text[max(0, start - 4) : start].rstrip()
    return not before or before[-1] in _BEFORE_SENTENCE


def _outermost(found: list[Naming]) -> list[Naming]:
    """Leave out what stands inside a longer one."""
    if len(found) < 2:
        return found
    kept: list[Naming] = []
    outer = (-1, -1)
    for one in sorted(found, key=lambda one: (one.start, -one.end, one.code)):
        if one.end > outer[1] or (one.start, one.end) == outer:
            kept.append(one)
            outer = (one.start, one.end)
    return kept


def _is_free(one: Naming, taken: list[tuple[int, int]], ends: list[int]) -> bool:
    after = bisect_right(ends, one.start)
    return after == len(taken) or one.end <= taken[after][0]
