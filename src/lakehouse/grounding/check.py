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
- A `with` pointer that points at an array pairs with a main array element by element; any other
  value goes with every element. A pair whose value is absent or null does not apply.
"""

import asyncio
from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final

import msgspec
import rfc8785

from lakehouse.core.finding import Finding, raw_evidence
from lakehouse.core.json_text import JsonValue, compact, pointer, pointer_parts
from lakehouse.core.kind import GroundingRule, SqlRule
from lakehouse.core.limits import POINTER_KEPT_CHARS_MAX
from lakehouse.core.matches import HELD_AS, Holds
from lakehouse.core.ports import TableSnapshot

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

    Cost: an accepted value takes one look-up per column and never leaves the event loop.
    """
    findings: list[Finding] = []
    applied = False
    for rule in rules:
        for path, value, index in values_at(artifact, rule.path):
            applied = True
            if rule.column is None:
                if not _is_quote(value, sources):
                    findings.append(_quote_finding(rule, path, raw))
                continue
            rows = snapshot.columns[rule.column].rows(value, rule.match, rule.tolerance)
            if not rows:
                place = _Place(rule, artifact, raw, snapshot)
                findings.append(await _table_finding(place, path, value, rule.column))
            elif rule.with_:
                place = _Place(rule, artifact, raw, snapshot)
                findings += await _pair_findings(place, rows, index)
    return GroundingResult(tuple(findings), applied)


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
                got=_got(raw, path) if there else msgspec.UNSET,
                expected=msgspec.Raw(msgspec.json.encode({"sql": rule.sql})),
            )
        )
    return findings


class _Place(msgspec.Struct, frozen=True):
    """One rule applied to one artifact."""

    rule: GroundingRule
    artifact: JsonValue
    raw: bytes
    snapshot: TableSnapshot


class _Pair(msgspec.Struct, frozen=True):
    """One `with` value that applies, and the rows that match it."""

    path: str
    reference: str
    value: JsonValue
    rows: Collection[int]


async def _pair_findings(place: _Place, rows: Collection[int], index: int | None) -> list[Finding]:
    """Report `with` values that no row has together with the others; `rows` match the main one."""
    pairs = _pairs(place, index)
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


def _pairs(place: _Place, index: int | None) -> list[_Pair]:
    pairs = []
    rule = place.rule
    for at in sorted(rule.with_, key=str.encode):
        value, path = _resolve(place.artifact, at), at
        if isinstance(value, list) and index is not None:
            value, path = (value[index] if index < len(value) else None), f"{at}/{index}"
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
        if count == _ROWS_PER_TURN:
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


def values_at(artifact: JsonValue, at: str) -> list[tuple[str, JsonValue, int | None]]:
    """Return each value a rule applies to, with its path and, in an array, its index."""
    value = _resolve(artifact, at)
    if isinstance(value, list):
        return [(f"{at}/{n}", one, n) for n, one in enumerate(value) if one is not None]
    return [] if value is None else [(at, value, None)]


def _resolve(artifact: JsonValue, at: str) -> JsonValue:
    """Resolve a JSON Pointer; None if there is nothing at it."""
    value = artifact
    for part in _parts(at):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list):
            index = _array_index(part)
            value = value[index] if index is not None and index < len(value) else None
        else:
            return None
    return value


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


def _got(raw: bytes, path: str) -> msgspec.Raw | msgspec.UnsetType:
    """Return the bytes of the value at `path` in the artifact; left out if too long."""
    piece = raw
    for part in _parts(path):
        if piece.lstrip().startswith(b"["):
            piece = bytes(msgspec.json.decode(piece, type=list[msgspec.Raw])[int(part)])
        else:
            piece = bytes(msgspec.json.decode(piece, type=dict[str, msgspec.Raw])[part])
    return raw_evidence(compact(piece.decode("utf-8")))


def _expected(rule: GroundingRule, reference: str | None) -> msgspec.Raw:
    parts = {} if reference is None else {"column": reference}
    body = msgspec.json.encode({**parts, "match": rule.match})
    if rule.tolerance is not None:
        body = b'%b,"tolerance":%b}' % (body[:-1], rfc8785.dumps(rule.tolerance))
    return msgspec.Raw(body)


def _is_quote(value: JsonValue, sources: Sequence[str]) -> bool:
    return isinstance(value, str) and value != "" and any(value in source for source in sources)


def _quote_finding(rule: GroundingRule, path: str, raw: bytes) -> Finding:
    got = _got(raw, path)
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
    column = place.snapshot.columns[reference]
    got = _got(place.raw, path)
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
