"""What the sources name of the tables: the values, and rows, that an answer may be made of.

Pure. A candidate is `exact` where the source writes the value as the table has it; `folded` where
letter case, composition, dashes or white space differ, or where a number has an earlier reading
than this; `near` where it is a few edits away, part of a compound word, or in lower case where it
may be a common word. A near one is a guess: it must never narrow an answer alone.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from types import MappingProxyType
from typing import Final

import msgspec

from lakehouse.core.candidate import CandidateRow, NamedValue, RuleCandidates, Spelling
from lakehouse.core.kind import GroundingRule
from lakehouse.core.limits import CANDIDATE_ROWS_MAX, CANDIDATES_CHARS_MAX, CANDIDATES_MAX
from lakehouse.grounding.index import ColumnIndex
from lakehouse.grounding.numerals import numerals_in
from lakehouse.grounding.sentences import quotes_in
from lakehouse.grounding.spellings import Naming
from lakehouse.grounding.tokens import Reading
from lakehouse.tabular.text_forms import Form

_RANKS: Final[Mapping[Spelling, int]] = {"exact": 0, "folded": 1, "near": 2}
_TIME: Final = r"\d{2}:\d{2}(?::\d{2})?(?:[.,]\d{1,12})?"
# How the values of a column that is neither plain texts nor numbers are written.
_WRITTEN: Final[Mapping[Form, re.Pattern[str]]] = {
    "date": re.compile(r"(?<![\w-])\d{4}-\d{2}-\d{2}(?![\d-])", re.ASCII),
    "time": re.compile(rf"(?<![\w:]){_TIME}(?![\d:])", re.ASCII),
    "timestamp": re.compile(
        rf"(?<![\w-])\d{{4}}-\d{{2}}-\d{{2}}[Tt ]{_TIME}(?![\d:Zz+-])", re.ASCII
    ),
    "instant": re.compile(
        rf"(?<![\w-])\d{{4}}-\d{{2}}-\d{{2}}[Tt ]{_TIME}(?:[Zz]|[+-]\d{{2}}:?\d{{2}})", re.ASCII
    ),
    "uuid": re.compile(
        r"(?<![\w-])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![\w-])", re.ASCII
    ),
}


def find_candidates(
    rules: Sequence[GroundingRule],
    sources: Sequence[str],
    columns: Mapping[str, ColumnIndex],
    nearest: Mapping[str, Sequence[msgspec.Raw]] = MappingProxyType({}),
) -> tuple[RuleCandidates, ...]:
    """Return for each rule what the sources name; the same for the same input, in any process.

    Args:
        rules: As declared by the kind, free of faults (`rules.fault_of`).
        sources: The texts, in the order of the session.
        columns: By `table.column`; `prepare_spellings` was called for each.
        nearest: Values by `table.column` that count as near spellings wherever they come from.

    Raises:
        TableUnavailable: A rule names a table or column that is not there.

    Cost: about 100 µs per 1,000 characters and column at any number of values, up to 200 µs for
    near spellings of each source, and up to 2 ms for rows. Only the first `CANDIDATES_CHARS_MAX`
    characters are searched.
    """
    search = _Search(sources, columns, nearest)
    return tuple(search.of(rule) for rule in rules)


_Main = tuple[NamedValue, Collection[int]]
"""A value of the main column, and its rows."""


class _Search:
    """One search; a column that several rules name is looked for once."""

    def __init__(
        self,
        sources: Sequence[str],
        columns: Mapping[str, ColumnIndex],
        nearest: Mapping[str, Sequence[msgspec.Raw]],
    ) -> None:
        self._columns = columns
        self._nearest = nearest
        self._texts: list[str] = []
        self._read: list[Reading] = []
        left = CANDIDATES_CHARS_MAX
        for source in sources:
            self._texts.append(source[:left])
            left -= min(left, len(source))
        self._complete = sum(map(len, sources)) <= CANDIDATES_CHARS_MAX
        self._named: dict[str, dict[int, NamedValue]] = {}
        self._sure: dict[str, set[int]] = {}

    def of(self, rule: GroundingRule) -> RuleCandidates:
        if rule.column is None:
            return self._result(rule, _distinct(self._quotes()))
        column = self._columns[rule.column]
        if rule.match == "within":
            found = _distinct(self._numbers())
            main = [(one, self._rows_within(rule, column, one)) for one in found if rule.with_]
        else:
            by_code = self._by_code(rule.column)
            found = list(by_code.values())
            main = [
                (one, column.rows_of(range(code, code + 1)))
                for code, one in by_code.items()
                if rule.with_
            ]
        result = self._result(rule, found, main)
        if column.form != "boolean":
            return result
        # No text names a boolean: that it names none says nothing.
        return msgspec.structs.replace(result, complete=False)

    def _result(
        self,
        rule: GroundingRule,
        found: Iterable[NamedValue],
        main: Sequence[_Main] = (),
    ) -> RuleCandidates:
        every = kept = sorted(found, key=_place)
        if len(every) > CANDIDATES_MAX:
            kept = sorted(sorted(every, key=_sureness)[:CANDIDATES_MAX], key=_place)
        rows: list[CandidateRow] = []
        complete = self._complete
        if main:
            kept_main = sorted(main, key=lambda pair: _place(pair[0]))
            if len(kept) < len(every):
                values = {bytes(one.value) for one in kept}
                kept_main = [pair for pair in kept_main if bytes(pair[0].value) in values]
            rows, all_seen = self._rows(rule, kept_main)
            complete = complete and all_seen and len(kept) == len(every)
        return RuleCandidates(
            rule, tuple(kept), len(every), tuple(rows[:CANDIDATES_MAX]), len(rows), complete
        )

    def _rows(
        self,
        rule: GroundingRule,
        main: Sequence[_Main],
    ) -> tuple[list[CandidateRow], bool]:
        """Return the distinct combinations of each value, and whether every row was looked at."""
        references = [rule.with_[at] for at in sorted(rule.with_, key=str.encode)]
        columns = [self._columns[reference] for reference in references]
        sure = map(self._sure_codes, references)
        named = [
            column.rows_of(codes) for column, codes in zip(columns, sure, strict=True) if codes
        ]
        rows: list[CandidateRow] = []
        left = CANDIDATE_ROWS_MAX
        for one, own in main:
            smallest, *others = sorted((own, *named), key=len)
            looked = combined = list(islice(smallest, left))
            for other in others:
                combined = [row for row in combined if row in other]
            whole = len(looked) == len(smallest)
            left -= len(looked)
            joined = bool(combined)
            if not joined:
                combined = list(islice(own, left))
                whole = whole and len(combined) == len(own)
                left -= len(combined)
            codes = {tuple([column.code_at(row) for column in columns]) for row in combined}
            values = sorted(
                [_json_of(column, code) for column, code in zip(columns, combination, strict=True)]
                for combination in codes
            )
            rows += [
                CandidateRow(one, tuple(map(msgspec.Raw, combination)), joined)
                for combination in values
            ]
            if not whole:
                return rows, False
        return rows, True

    # --- What the sources name ------------------------------------------------------------------

    def _readings(self) -> list[Reading]:
        if not self._read:
            self._read = list(map(Reading, self._texts))
        return self._read

    def _by_code(self, reference: str) -> dict[int, NamedValue]:
        """Return the best place of each value of a column that is named, by the value's number."""
        known = self._named.get(reference)
        if known is None:
            column = self._columns[reference]
            known = {}
            for number, reading in enumerate(self._readings()):
                for one in named_in(column, reading):
                    candidate = NamedValue(
                        column.json_of(one.code),
                        one.spelling,
                        number,
                        one.start,
                        one.end,
                        one.distance,
                    )
                    other = known.get(one.code)
                    if other is None or _sureness(candidate) < _sureness(other):
                        known[one.code] = candidate
            for raw in self._nearest.get(reference, ()):
                code = column.code_of_json(raw)
                if code is not None:
                    known.setdefault(code, NamedValue(raw, "near", len(self._texts), 0, 0))
            self._named[reference] = known
        return known

    def _sure_codes(self, reference: str) -> set[int]:
        """Return the values of a column that are named, not only nearly."""
        known = self._sure.get(reference)
        if known is None:
            column = self._columns[reference]
            known = self._sure[reference] = {
                one.code
                for reading in self._readings()
                for one in named_in(column, reading, near=False)
            }
        return known

    def _rows_within(
        self, rule: GroundingRule, column: ColumnIndex, one: NamedValue
    ) -> Collection[int]:
        number = Decimal(bytes(one.value).decode("ascii"))
        return column.rows(number, "within", rule.tolerance)

    def _numbers(self) -> Iterator[NamedValue]:
        for number, text in enumerate(self._texts):
            start = -1
            for one in numerals_in(text):
                spelling: Spelling = "folded" if one.start == start else "exact"
                start = one.start
                raw = msgspec.Raw(one.text.encode("ascii"))
                yield NamedValue(raw, spelling, number, one.start, one.end)

    def _quotes(self) -> Iterator[NamedValue]:
        for number, text in enumerate(self._texts):
            for start, end in quotes_in(text):
                raw = msgspec.Raw(msgspec.json.encode(text[start:end]))
                yield NamedValue(raw, "exact", number, start, end)


def named_in(column: ColumnIndex, reading: Reading, *, near: bool = True) -> list[Naming]:
    """Return which values of a column a text names, `near` ones too; of booleans none.

    Dates, times and UUIDs are told by their form. A number is looked up as English writes it, and
    with a decimal comma where the column does not hold that one.
    """
    if column.form == "text":
        assert column.spellings is not None, "prepare_spellings comes first"
        return column.spellings.find(reading, near=near)
    text = reading.text
    found: list[Naming] = []
    if column.form == "number":
        start = -1
        for one in numerals_in(text):
            spelling: Spelling = "folded" if one.start == start else "exact"
            start = one.start
            code = column.code_of(one.value)
            if code is not None and not (found and one.end <= found[-1].end):
                found.append(Naming(one.start, one.end, code, spelling))
    elif column.form in _WRITTEN:
        for place in _WRITTEN[column.form].finditer(text):
            code = column.code_of(place[0])
            if code is not None:
                same = column.json_of(code) == msgspec.json.encode(place[0])
                found.append(Naming(*place.span(), code, "exact" if same else "folded"))
    return found


def _distinct(found: Iterable[NamedValue]) -> list[NamedValue]:
    best: dict[bytes, NamedValue] = {}
    for one in found:
        other = best.get(bytes(one.value))
        if other is None or _sureness(one) < _sureness(other):
            best[bytes(one.value)] = one
    return list(best.values())


def _place(one: NamedValue) -> tuple[int, int, int, bytes]:
    return one.source, one.start, -one.end, bytes(one.value)


def _sureness(one: NamedValue) -> tuple[int, int, int, int, int, bytes]:
    return _RANKS[one.spelling], one.distance, *_place(one)


def _json_of(column: ColumnIndex, code: int) -> bytes:
    return b"null" if code < 0 else bytes(column.json_of(code))
