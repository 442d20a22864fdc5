"""Checks grounding: finds the values of an artifact that have no matching row.

Pure: it asks a `TableSnapshot` and knows nothing of files, Arrow or DuckDB. What a finding holds,
so that another runtime can write the same bytes:

- `path` is the bad value's own place, element index included; for a failing `with`, the `with`
  pointer's. `got` is the value's bytes from the artifact, left out if over 256 bytes.
- `expected` is `{"column":"airports.iata","match":"exact"}`, for `within` with the tolerance in
  RFC 8785 form after it, for `quote` `{"match":"quote"}`; of a rule `{"sql":"..."}`.
- `nearest` holds up to three distinct values: texts by edit distance on code points (`casefold`:
  of the folded texts), numbers by absolute difference, ties by bytes of the text or of the number
  as written. Numbers stand as the table wrote them (its first cell of that value) where it came
  with the request, else integers in digits and doubles in their shortest form, `4.0`. It is left
  out where there is none, where `got` is left out, and for a value of the wrong type.
  For a failing `with` it is drawn from the rows that the other values left.
- `with` pairs are taken in the byte order of their pointers. Each narrows the rows that the main
  value matched; a pair that would leave no row is a finding and narrows nothing.
- In a pointer, `*` is each element of an array, and of an object the member of that name. Where a
  pointer ends at an array, each of its elements counts.
- A `*` in what a `with` pointer begins with as `path` does is the same element there as in `path`.
  Then two arrays pair element by element: where the value of `path` is an element of the array that
  its pointer ends at, or of its last `*`, a `with` pointer that ends at an array, or in a `*`, is
  the element with the same index. Any other value goes with every element; any other `*` chooses
  no element, so that the array itself is the value, which is in no column.
- A pair whose value is absent or null does not apply.
- At most `GROUNDING_FINDINGS_MAX`, in the order of the rules, then of the artifact.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice, takewhile
from typing import Final

import msgspec
import rfc8785

from lakehouse.core.finding import Finding
from lakehouse.core.json_text import JsonValue, pointer, pointer_parts
from lakehouse.core.kind import EACH, GroundingRule, SqlRule
from lakehouse.core.limits import GROUNDING_FINDINGS_MAX, POINTER_KEPT_CHARS_MAX
from lakehouse.core.matches import HELD_AS, Holds
from lakehouse.core.ports import TableSnapshot
from lakehouse.grounding.evidence import Evidence

_PLACES_PER_TURN: Final = 256  # looked up before other sessions may run: under 1 ms
_CHARS_PER_TURN: Final = 1 << 20  # of sources searched for quotes: a few ms
_ROWS_PER_TURN = 4_096  # checked before other sessions may run: about 1 ms
_ROWS_FIRST = 64  # if rows match often, the first few are enough
_NEEDED: Final[dict[Holds, str]] = {
    "text": "a string",
    "number": "a number",
    "boolean": "true or false",
}


class GroundingResult(msgspec.Struct, frozen=True):
    """The result of the grounding rules. `applied`: whether any rule had a value to judge."""

    findings: tuple[Finding, ...]
    applied: bool


async def check_grounding(
    rules: Sequence[GroundingRule],
    artifact: JsonValue,
    raw: bytes,
    sources: Sequence[str],
    snapshot: TableSnapshot,
) -> GroundingResult:
    """Report every grounded value of `artifact` that is in no row, or in no source.

    Args:
        rules: As declared by the kind, free of faults (`rules.fault_of`).
        artifact: The parsed artifact.
        raw: The artifact's own bytes, from which evidence is cut.
        sources: The texts that quotes may come from.
        snapshot: Has every column that the rules name.

    Raises:
        TableUnavailable: A rule names a table or column that is not there.

    Cost: an accepted value takes one look-up per column and never leaves the event loop; after
    256 values, and after each finding, other sessions may run.
    """
    if not rules:
        return GroundingResult((), applied=False)
    findings: list[Finding] = []
    count = 0
    evidence = Evidence(raw)
    for rule in rules:
        turn = _PLACES_PER_TURN
        if rule.column is None:
            turn = min(turn, 1 + _CHARS_PER_TURN // (1 + sum(map(len, sources))))
        for found in values_at(artifact, rule.path):
            count += 1
            if count % turn == 0:
                await asyncio.sleep(0)
            if rule.column is None:
                if not _is_quote(found.value, sources):
                    findings.append(_quote_finding(rule, found.path, evidence))
            else:
                rows = snapshot.columns[rule.column].rows(found.value, rule.match, rule.tolerance)
                place = _Place(rule, artifact, evidence, snapshot)
                if not rows:
                    one = await _table_finding(place, found.path, found.value, rule.column)
                    findings.append(one)
                elif rule.with_:
                    findings += await _pair_findings(place, rows, found)
            if len(findings) >= GROUNDING_FINDINGS_MAX:
                return GroundingResult(tuple(findings[:GROUNDING_FINDINGS_MAX]), applied=True)
    return GroundingResult(tuple(findings), count > 0)


async def check_rules(
    rules: Sequence[SqlRule], artifact: JsonValue, raw: bytes, snapshot: TableSnapshot
) -> list[Finding]:
    """Report every SQL rule that does not return TRUE, one finding each.

    If the rule binds just one member, that member is the path and `got`. If the answer's values
    made the rule fail, the message ends with the text of that error.

    Raises:
        TableUnavailable: A rule names a table or column that is not there.
        InfraError: `timeout`, if a rule took longer than its limit; `rule_broken`, if it fails
            for every answer.
    """
    if not rules:
        return []
    findings = []
    members = artifact if isinstance(artifact, dict) else {}
    outcomes = await snapshot.outcomes(rules, members)
    for rule, outcome in zip(rules, outcomes, strict=True):
        if outcome.holds:
            continue
        path = pointer(*outcome.members) if len(outcome.members) == 1 else ""
        there = path != "" and outcome.members[0] in members
        findings.append(
            Finding(
                code="rule",
                path=path,
                message=rule.message
                if outcome.error is None
                else f"{rule.message} (the rule fails on these values: {outcome.error})",
                got=Evidence(raw).at(path) if there else msgspec.UNSET,
                expected=msgspec.Raw(msgspec.json.encode({"sql": rule.sql})),
            )
        )
    return findings


class _Place(msgspec.Struct, frozen=True):
    """One rule applied to one artifact."""

    rule: GroundingRule
    artifact: JsonValue
    evidence: Evidence
    snapshot: TableSnapshot


class _Pair(msgspec.Struct, frozen=True):
    """One `with` value that applies, and the rows that match it."""

    path: str
    reference: str
    value: JsonValue
    rows: Collection[int]


async def _pair_findings(place: _Place, rows: Collection[int], found: "RuleValue") -> list[Finding]:
    """Report `with` values that no row has together with the others; `rows` match the main one."""
    pairs = _pairs(place, found)
    if not pairs or await _together([rows, *(pair.rows for pair in pairs)]):
        return []
    findings = []
    for pair in pairs:
        narrowed = await _shared(rows, pair.rows)
        if narrowed:
            rows = narrowed
            continue
        findings.append(await _table_finding(place, pair.path, pair.value, pair.reference, rows))
    return findings


def _pairs(place: _Place, found: "RuleValue") -> list[_Pair]:
    pairs = []
    rule = place.rule
    for at in sorted(rule.with_, key=str.encode):
        value, path = _beside(place.artifact, at, rule.path, found)
        if value is None:
            continue
        reference = rule.with_[at]
        rows = place.snapshot.columns[reference].rows(value, rule.match, rule.tolerance)
        pairs.append(_Pair(path, reference, value, rows))
    return pairs


async def _together(parts: Sequence[Collection[int]]) -> bool:
    """Return whether one row is in all parts; walks the smallest, and yields to other tasks."""
    smallest, *others = sorted(parts, key=len)
    rows = iter(smallest)
    count = _ROWS_FIRST
    while turn := list(islice(rows, count)):
        if any(all(row in other for other in others) for row in turn):
            return True
        await asyncio.sleep(0)
        count = _ROWS_PER_TURN
    return False


async def _shared(left: Collection[int], right: Collection[int]) -> Collection[int]:
    smaller, larger = sorted((left, right), key=len)
    shared: set[int] = set()
    rows = iter(smaller)
    while turn := list(islice(rows, _ROWS_PER_TURN)):
        shared.update(row for row in turn if row in larger)
        if len(turn) == _ROWS_PER_TURN:
            await asyncio.sleep(0)
    return shared


# --- Places of values ----------------------------------------------------------------------------


class RuleValue(msgspec.Struct, frozen=True):
    """A value that a rule applies to.

    `path` is its own place, `indexes` are those at which each `*` went into an array, and `index`
    is its own in the array that the pointer ends at, if any.
    """

    path: str
    value: JsonValue
    indexes: tuple[int, ...] = ()
    index: int | None = None


def values_at(artifact: JsonValue, at: str) -> Iterable[RuleValue]:
    """Return each value a rule applies to, in the order of the artifact."""
    parts = _parts(at)
    if EACH in parts:
        return chain.from_iterable(map(_elements, _led(RuleValue("", artifact), parts)))
    value = _at(artifact, parts)
    if isinstance(value, list):
        return _elements(RuleValue(at, value))
    return [] if value is None else [RuleValue(at, value)]


def _elements(one: RuleValue) -> Iterable[RuleValue]:
    if not isinstance(one.value, list):
        return [] if one.value is None else [one]
    values = enumerate(one.value)
    return (RuleValue(f"{one.path}/{n}", x, one.indexes, n) for n, x in values if x is not None)


def _led(start: RuleValue, parts: Sequence[str]) -> Iterator[RuleValue]:
    """Follow a pointer to all that it leads to; arrays at its end stay whole."""
    value, path = start.value, start.path
    for at, part in enumerate(parts):
        if part == EACH and isinstance(value, list):
            below = parts[at + 1 :]
            for n, one in enumerate(value):
                indexes = (*start.indexes, n)
                yield from _led(RuleValue(f"{path}/{n}", one, indexes, None if below else n), below)
            return
        value, path = _step(value, part), f"{path}{pointer(part)}"
    yield RuleValue(path, value, start.indexes, start.index)


def _beside(artifact: JsonValue, at: str, main: str, found: RuleValue) -> tuple[JsonValue, str]:
    """Return the value of a `with` pointer that goes with one of `main`, and its own path."""
    parts = _parts(at)
    value, path = artifact, ""
    if EACH not in parts:
        value, path = _at(artifact, parts), at
    else:
        alike, indexes = _alike(parts, _parts(main)), iter(found.indexes)
        for n, part in enumerate(parts):
            step = part
            if part == EACH and isinstance(value, list):
                if n >= alike and n < len(parts) - 1:
                    return value, path
                if n >= alike:
                    break
                step = str(next(indexes))
            value, path = _step(value, step), f"{path}{pointer(step)}"
    if isinstance(value, list) and found.index is not None:
        return _step(value, str(found.index)), f"{path}/{found.index}"
    return value, path


def _alike(parts: Sequence[str], others: Sequence[str]) -> int:
    """Count the parts that two pointers begin with alike."""
    pairs = zip(parts, others, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _at(artifact: JsonValue, parts: Sequence[str]) -> JsonValue:
    """Follow a pointer to one value; None if there is nothing at it."""
    for part in parts:
        artifact = artifact.get(part) if isinstance(artifact, dict) else _step(artifact, part)
    return artifact


def _step(value: JsonValue, part: str) -> JsonValue:
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list):
        index = _array_index(part)
        return value[index] if index is not None and index < len(value) else None
    return None


def _parts(at: str) -> tuple[str, ...]:
    # Callers of /v1/validate send pointers too: a long one is not cached.
    return _kept_parts(at) if len(at) <= POINTER_KEPT_CHARS_MAX else tuple(pointer_parts(at))


@lru_cache(maxsize=1024)
def _kept_parts(at: str) -> tuple[str, ...]:
    return tuple(pointer_parts(at))


def _array_index(part: str) -> int | None:
    """Read an array index as RFC 6901 writes it: ASCII digits, no leading zero."""
    if not (part.isascii() and part.isdigit()) or (part[0] == "0" and part != "0"):
        return None
    return int(part) if len(part) < 10 else None


# --- Evidence -----------------------------------------------------------------------------------


def _expected(rule: GroundingRule, reference: str | None) -> msgspec.Raw:
    parts = {} if reference is None else {"column": reference}
    body = msgspec.json.encode({**parts, "match": rule.match})
    if rule.tolerance is not None:
        body = b'%b,"tolerance":%b}' % (body[:-1], rfc8785.dumps(rule.tolerance))
    return msgspec.Raw(body)


def _is_quote(value: JsonValue, sources: Sequence[str]) -> bool:
    return isinstance(value, str) and value != "" and any(value in source for source in sources)


def _quote_finding(rule: GroundingRule, path: str, evidence: Evidence) -> Finding:
    got = evidence.at(path)
    return Finding(
        code="ungrounded",
        path=path,
        message=f"{_shown(got)} is not a quote: it must be copied word for word from the text",
        got=got,
        expected=_expected(rule, None),
    )


async def _table_finding(
    place: _Place,
    path: str,
    value: JsonValue,
    reference: str,
    rows: Collection[int] | None = None,
) -> Finding:
    await asyncio.sleep(0)
    column = place.snapshot.columns[reference]
    got = place.evidence.at(path)
    nearest: list[msgspec.Raw] = []
    if isinstance(got, msgspec.Raw):
        nearest = await column.nearest(value, place.rule.match, rows)
    reason = "" if rows is None else " in the same row as the other values"
    if HELD_AS.get(type(value)) != column.holds:
        reason = f": it must be {_NEEDED[column.holds]}"
    elif nearest:
        reason += "; nearest: " + ", ".join(bytes(item).decode("utf-8") for item in nearest)
    return Finding(
        code="ungrounded",
        path=path,
        message=f"{_shown(got)} is not in {reference}{reason}",
        got=got,
        expected=_expected(place.rule, reference),
        nearest=msgspec.Raw(b"[%b]" % b",".join(map(bytes, nearest))) if nearest else msgspec.UNSET,
    )


def _shown(got: msgspec.Raw | msgspec.UnsetType) -> str:
    return bytes(got).decode("utf-8") if isinstance(got, msgspec.Raw) else "The value"
