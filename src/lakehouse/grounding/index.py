"""A column indexed in memory: exact lookups in microseconds, near values by a full pass.

Pure. Distinct values are sorted and numbered; `codes` gives each row's number (-1: null), `rows`
the rows in order of their numbers, `starts` where each number's rows begin. So the rows of one
value, and of a range of numbers, are one slice, and "is this row among them" is one comparison.

How numbers compare: by exact value, and a number that came as JSON is the one that was written:
1.1 is within 0.1 of 1.0, 0.1 equals DECIMAL 0.1, 10.000000000000000000001 is not 10. A double of a
Parquet or Delta column is both, its shortest decimal form and its own binary value.
"""

import asyncio
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from decimal import MAX_EMAX, MIN_EMIN, ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from functools import cmp_to_key
from heapq import nsmallest
from itertools import chain
from operator import ge, gt
from typing import Any

import msgspec
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import extract

from lakehouse.core.json_text import JsonValue, exact, parse_bytes
from lakehouse.core.limits import NEAREST_MAX
from lakehouse.core.matches import HELD_AS, MATCHES, Holds, MatchName
from lakehouse.grounding.spellings import Spellings
from lakehouse.tabular.text_forms import Form, canonical

Number = int | float | Decimal

# More digits than any number of ours has: what is rounded down or up to so many digits is the last
# or first such number on its side.
_DOWN = Context(prec=5_000, Emax=MAX_EMAX, Emin=MIN_EMIN, rounding=ROUND_FLOOR)
_UP = Context(prec=5_000, Emax=MAX_EMAX, Emin=MIN_EMIN, rounding=ROUND_CEILING)
_DOUBLE_INTEGER_MAX = 2**53  # up to here a double is the same integer in both readings
_BOOLEANS = ("false", "true")
_VALUES_PER_STEP = 8_192  # of a pass; other threads may run between steps: about 1 ms
_VALUES_INLINE_MAX = 4_096  # up to this size a pass costs less than using a thread


class Postings(msgspec.Struct, frozen=True):
    """Rows by value number: the part of an index that is the same for texts and numbers.

    `codes` has one entry per row, `starts` one per distinct value and the end.
    """

    codes: Sequence[int]
    rows: Sequence[int]
    starts: Sequence[int]


class ColumnIndex:
    """Implements `Column` for texts, numbers or booleans. Immutable once prepared; safe to share.

    `values` are distinct, sorted, and without null, NaN or infinities; booleans come as `false`
    and `true`. `form` says how texts are written (`tabular.text_forms`). `texts` gives a number's
    own JSON text where it is not the usual one. Cost: about 150 bytes per distinct text and 20 per
    distinct number, 8 per row; as much again per text for each match it is prepared for.
    """

    def __init__(
        self,
        values: Sequence[str] | Sequence[Number],
        postings: Postings,
        *,
        form: Form,
        texts: Mapping[Decimal, bytes] | None = None,
    ) -> None:
        self._values = values
        self._postings = postings
        self.form = form
        self.spellings: Spellings | None = None
        self.holds: Holds = "number" if form == "number" else "text"
        if form == "boolean":
            self.holds = "boolean"
        self._texts = texts or {}
        self._codes_by_text: dict[str, int] = {}
        self._codes_by_key: dict[MatchName, dict[str, tuple[int, ...]]] = {}
        self._decimal = form == "number" and isinstance(values[0] if values else None, Decimal)
        self._double = isinstance(values, memoryview) and values.format == "d"
        if form != "number":
            for start in range(0, len(values), _VALUES_PER_STEP):
                step = values[start : start + _VALUES_PER_STEP]
                codes = range(start, start + len(step))
                self._codes_by_text.update(zip(step, codes, strict=True))  # type: ignore[arg-type]  # texts here

    @property
    def empty(self) -> bool:
        return len(self._values) == 0

    def ready(self, match: MatchName) -> bool:
        """Whether the match can be used: on texts a match with a key needs `prepare` first."""
        keyed = self.holds == "text" and MATCHES[match].key is not None
        return not keyed or match in self._codes_by_key

    def prepare(self, match: MatchName) -> None:
        """Prepare for a match. Not on the event loop: about 1 s per 1,000,000 texts."""
        key = MATCHES[match].key
        if self.ready(match) or key is None:
            return
        codes: dict[str, tuple[int, ...]] = {}
        for text, code in self._codes_by_text.items():
            folded = key(text)
            codes[folded] = (*codes.get(folded, ()), code)
        self._codes_by_key[match] = codes

    @property
    def spelled(self) -> bool:
        """Whether it can be looked for in texts; of plain texts `prepare_spellings` comes first."""
        return self.form != "text" or self.spellings is not None

    def prepare_spellings(self) -> None:
        """Make ready to be looked for in texts, if of plain texts. Not on the event loop."""
        if not self.spelled:
            self.spellings = Spellings(self._values)  # type: ignore[arg-type]  # texts here

    def code_of(self, value: str | Number) -> int | None:
        """Return the number of the value that is exactly this one."""
        if isinstance(value, str):
            return self._codes_by_text.get(canonical(value, self.form))
        return self._code_of(value)

    def code_of_json(self, raw: msgspec.Raw) -> int | None:
        """Return the number of a value of this column by its JSON; None for any other value."""
        value = parse_bytes(bytes(raw))
        if HELD_AS.get(type(value)) != self.holds or self.holds == "boolean":
            return None
        assert isinstance(value, str | int | float | Decimal)
        return self.code_of(value)

    def code_at(self, row: int) -> int:
        """Return the number of a row's value, -1 for null."""
        return self._postings.codes[row]

    def rows_of(self, codes: Collection[int]) -> "Rows":
        """Return the rows of some values, without a copy."""
        return Rows(self._postings, codes)

    def json_of(self, code: int) -> msgspec.Raw:
        """Return a value as JSON: a number as the table wrote it."""
        value = self._values[code]
        if isinstance(value, str):
            boolean = self.form == "boolean"
            return msgspec.Raw(value.encode("ascii") if boolean else msgspec.json.encode(value))
        return msgspec.Raw(self._text_of(value))

    def rows(self, value: JsonValue, match: MatchName, tolerance: float | None) -> Collection[int]:
        """Return the rows whose cell matches; empty for a value of another kind."""
        if HELD_AS.get(type(value)) != self.holds or not self._values:
            return ()
        if isinstance(value, str):
            if self.form != "text":
                value = canonical(value, self.form)
            key = MATCHES[match].key
            if key is not None:
                codes = self._codes_by_key[match].get(key(value))
                return Rows(self._postings, codes) if codes else ()
            code = self._codes_by_text.get(value)
        elif isinstance(value, bool):
            code = self._codes_by_text.get(_BOOLEANS[value])
        else:
            assert isinstance(value, int | float | Decimal)
            if tolerance is not None:
                return self._rows_within(exact(value), exact(tolerance))
            code = self._code_of(value)
        return () if code is None else Rows(self._postings, range(code, code + 1))

    async def nearest(
        self, value: JsonValue, match: MatchName, rows: Collection[int] | None = None
    ) -> list[msgspec.Raw]:
        """Return the nearest distinct values as JSON; a long pass runs in a thread."""
        if HELD_AS.get(type(value)) != self.holds:
            return []
        assert isinstance(value, str | int | float | Decimal)
        if isinstance(value, bool):
            held: Sequence[str] = self._values if rows is None else self._values_in(rows)  # type: ignore[assignment]  # texts here
            return [msgspec.Raw(text.encode("ascii")) for text in held]
        if len(self._values if rows is None else rows) <= _VALUES_INLINE_MAX:
            return self._nearest(value, match, rows)
        return await asyncio.to_thread(self._nearest, value, match, rows)

    def _code_of(self, value: Number) -> int | None:
        values: Sequence[Number] = self._values  # type: ignore[assignment]  # numbers here
        if not (self._decimal or isinstance(value, Decimal)) and (
            self._double or -_DOUBLE_INTEGER_MAX < value < _DOUBLE_INTEGER_MAX
        ):
            code = bisect_left(values, value)
            if code < len(values) and values[code] == value:
                return code
            if not self._double:
                return None
        wanted = exact(value)
        code = self._first(wanted)
        return code if code < len(values) and exact(values[code]) == wanted else None

    def _rows_within(self, value: Decimal, tolerance: Decimal) -> Collection[int]:
        first = self._first(_UP.subtract(value, tolerance))
        end = self._first(_DOWN.add(value, tolerance), above=True)
        return Rows(self._postings, range(first, end)) if first < end else ()

    def _first(self, bound: Decimal, *, above: bool = False) -> int:
        """Return the first value that is not below a bound, or that is above it."""
        values: Sequence[Number] = self._values  # type: ignore[assignment]  # numbers here
        beyond, bisect = (gt, bisect_right) if above else (ge, bisect_left)
        # A double may lie on the other side of a bound than its shortest decimal form does.
        code = bisect(values, float(bound) if self._double else bound)
        while code > 0 and beyond(exact(values[code - 1]), bound):
            code -= 1
        while code < len(values) and not beyond(exact(values[code]), bound):
            code += 1
        return code

    def _nearest(
        self, value: Number | str, match: MatchName, rows: Collection[int] | None
    ) -> list[msgspec.Raw]:
        values = self._values if rows is None else self._values_in(rows)
        if isinstance(value, str):
            value = canonical(value, self.form)
            texts: Sequence[str] = values  # type: ignore[assignment]  # a column of texts
            near = _nearest_texts(texts, value, key=MATCHES[match].key)
            return [msgspec.Raw(msgspec.json.encode(text)) for text in near]
        numbers: Sequence[Number] = values  # type: ignore[assignment]  # a column of numbers
        return self._nearest_numbers(numbers, exact(value))

    def _values_in(self, rows: Iterable[int]) -> Sequence[str] | Sequence[Number]:
        codes = {self._postings.codes[row] for row in rows}
        codes.discard(-1)
        return [self._values[code] for code in sorted(codes)]  # type: ignore[return-value]  # one type

    def _nearest_numbers(self, values: Sequence[Number], value: Decimal) -> list[msgspec.Raw]:
        at = bisect_left(values, float(value) if self._double else value)
        # At most two distinct values share a distance, so these hold every candidate.
        near = values[max(0, at - NEAREST_MAX - 1) : at + NEAREST_MAX + 1]
        twice = _DOWN.multiply(value, 2)

        def compare(one: tuple[Decimal, bytes], other: tuple[Decimal, bytes]) -> int:
            low, high = min(one[0], other[0]), max(one[0], other[0])
            # The one below is nearer if the value lies below the middle.
            if twice < _UP.add(low, high):
                return -1 if one[0] == low else 1
            if twice > _DOWN.add(low, high):
                return 1 if one[0] == low else -1
            return -1 if one[1] < other[1] else 1

        ranked = sorted(
            ((exact(number), self._text_of(number)) for number in near), key=cmp_to_key(compare)
        )
        return [msgspec.Raw(text) for _, text in ranked[:NEAREST_MAX]]

    def _text_of(self, number: Number) -> bytes:
        text = self._texts.get(exact(number)) if self._texts else None
        if text is not None:
            return text
        if isinstance(number, Decimal):
            return str(number).encode("ascii")
        return msgspec.json.encode(number)


class Rows(Collection[int]):
    """The rows of some value numbers, without a copy. Membership costs one comparison."""

    __slots__ = ("_codes", "_postings")

    def __init__(self, postings: Postings, codes: Collection[int]) -> None:
        self._postings = postings
        self._codes = codes

    def __contains__(self, row: object) -> bool:
        return isinstance(row, int) and self._postings.codes[row] in self._codes

    def __iter__(self) -> Iterator[int]:
        rows, starts = self._postings.rows, self._postings.starts
        if isinstance(self._codes, range):
            return iter(rows[starts[self._codes.start] : starts[self._codes.stop]])
        return chain.from_iterable(rows[starts[one] : starts[one + 1]] for one in self._codes)

    def __len__(self) -> int:
        starts = self._postings.starts
        if isinstance(self._codes, range):
            return starts[self._codes.stop] - starts[self._codes.start]
        return sum(starts[code + 1] - starts[code] for code in self._codes)


def index_texts(cells: Sequence[str | None], *, form: Form = "text") -> ColumnIndex:
    """Index texts in plain Python, for tables of objects."""
    return ColumnIndex(*_numbered(cells), form=form)


def index_booleans(cells: Sequence[bool | None]) -> ColumnIndex:
    """Index booleans in plain Python."""
    texts = [None if cell is None else _BOOLEANS[cell] for cell in cells]
    return index_texts(texts, form="boolean")


def index_numbers(
    cells: Sequence[Number | None], texts: Mapping[Decimal, bytes] | None = None
) -> ColumnIndex:
    """Index numbers in plain Python, exact at any size.

    They become decimals where Python would compare a double by its binary value with another type.
    """
    if any(_needs_decimal(cell) for cell in cells):
        if texts is None:
            texts = {
                exact(cell): msgspec.json.encode(cell)
                for cell in cells
                if isinstance(cell, int | float)
            }
        cells = [None if cell is None else exact(cell) for cell in cells]
    return ColumnIndex(*_numbered(cells), form="number", texts=texts)


def _numbered(cells: Sequence[Any]) -> tuple[list[Any], Postings]:
    """Return the sorted distinct cells, and the rows of each."""
    values = sorted({cell for cell in cells if cell is not None})
    numbers = {value: number for number, value in enumerate(values)}
    codes = [-1 if cell is None else numbers[cell] for cell in cells]
    rows = sorted((row for row, code in enumerate(codes) if code >= 0), key=codes.__getitem__)
    starts = array("i", [0])
    for position, row in enumerate(rows, start=1):
        if codes[row] == len(starts):
            starts.append(position - 1)
    if rows:
        starts.append(len(rows))
    return values, Postings(array("i", codes), array("i", rows), starts)


def _needs_decimal(cell: Number | None) -> bool:
    return isinstance(cell, Decimal) or (
        isinstance(cell, float) and not -_DOUBLE_INTEGER_MAX < cell < _DOUBLE_INTEGER_MAX
    )


def _nearest_texts(
    values: Sequence[str], text: str, *, key: Callable[[str], str] | None
) -> list[str]:
    """Rank distinct values by edit distance, then by bytes, in steps between which others run.

    UTF-8 bytes sort as code points do, so the order of the sorted values is the order of ties.
    """
    wanted = text if key is None else key(text)
    best: list[tuple[int, str]] = []
    for start in range(0, len(values), _VALUES_PER_STEP):
        step = values[start : start + _VALUES_PER_STEP]
        # A later value must be strictly nearer than the last of the best: ties go to the earlier.
        distance_max = best[-1][0] - 1 if len(best) == NEAREST_MAX else None
        if distance_max == -1:
            break
        hits = extract(
            wanted,
            step if key is None else [key(value) for value in step],
            scorer=Levenshtein.distance,
            limit=NEAREST_MAX,
            score_cutoff=distance_max,
        )
        found = [(int(distance), step[place]) for _, distance, place in hits]
        best = nsmallest(NEAREST_MAX, best + found)
    return [value for _, value in best]
