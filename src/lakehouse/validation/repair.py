"""Opt-in repair of broken JSON: every change is recorded, and no data of the model is lost.

`json_repair` proposes a repaired text. The proposal is accepted only if it has exactly the names
and values of the text, in order: then only quotes, commas, colons and brackets changed, each
reported with its place. The bytes of numbers and of valid strings are kept.

Repairs that would drop, add or alter content are rejected: duplicate members, comments, values cut
off by the end of the text. A repaired value is checked like any other candidate.
"""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final, NamedTuple

import json_repair

from lakehouse.core.finding import Repair
from lakehouse.core.json_text import JsonError, JsonValue, dumps, parse
from lakehouse.core.limits import JSON_DEPTH_MAX, REPAIR_BYTES_MAX, REPAIR_REGIONS_MAX
from lakehouse.validation.regions import Region

_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*+"'
    r"|'(?:[^'\\]|\\.)*+'"
    r"|\u201c[^\u201d]*+\u201d"
    r"|[^\s{}\[\],:\"'\u201c\u201d]++"
    r"|\S",
    re.DOTALL,
)
_STRUCTURE: Final = frozenset("{}[],:")
_DEPTH: Final = {"{": 1, "[": 1, "}": -1, "]": -1}
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_ESCAPED: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS: Final = {"true": True, "True": True, "false": False, "False": False}
_NOTHING: Final = frozenset({"null", "None"})
_NO_STRINGS: Final = frozenset({"NaN", "Infinity", "-Infinity", "undefined"})  # nor anything else


class Repaired(NamedTuple):
    """Repaired JSON: the text, its value, and every change."""

    source: str
    value: JsonValue
    repairs: tuple[Repair, ...]


class _Leaf(NamedTuple):
    """One name or scalar of the text, with the structure that stands before it.

    Places count characters of the region. The last one is the end: no token, and what is left.
    """

    structure: str
    structure_at: int
    token: str
    at: int


class _Wanted(NamedTuple):
    """One name or scalar of the proposal, with the structure before it; `end` as in `_Leaf`."""

    structure: str
    value: JsonValue
    end: bool


def fix(text: str, regions: list[Region], accepts: Callable[[JsonValue], bool]) -> Repaired | None:
    """Repair the first region whose repaired value is accepted, else the last repairable one.

    Args:
        text: The whole answer; the offsets of repairs count its UTF-8 bytes.
        regions: Regions that begin like JSON but do not parse, in the order of candidates. At most
            `REPAIR_REGIONS_MAX` are tried, none over `REPAIR_BYTES_MAX`.
        accepts: Whether the schema accepts a value.
    """
    last = None
    for region in regions[:REPAIR_REGIONS_MAX]:
        fixed = _fix_region(text, region)
        if fixed is not None:
            last = fixed
            if accepts(fixed.value):
                break
    return last


def _fix_region(text: str, region: Region) -> Repaired | None:
    source = text[region.start : region.end]
    if len(source.encode("utf-8", "surrogatepass")) > REPAIR_BYTES_MAX:
        return None
    leaves = _leaves(source)
    if leaves is None:
        return None
    try:
        # Asked not to try the strict way first: its parser takes duplicates and NaN.
        proposal = json_repair.loads(source, skip_json_loads=True)
        aligned = _aligned(leaves, list(_wanted(proposal)))
        if aligned is None:
            return None
        fixed, changes = aligned
        value = parse(fixed)
    except (ValueError, RecursionError):  # of the library, of a lone surrogate, or of `parse`
        return None
    start = len(text[: region.start].encode("utf-8", "surrogatepass"))
    repairs = [
        Repair(code, start + len(source[:at].encode("utf-8", "surrogatepass")), message)
        for at, code, message in changes
    ]
    return Repaired(fixed, value, tuple(repairs))


def _aligned(
    leaves: list[_Leaf], wanted: list[_Wanted]
) -> tuple[str, list[tuple[int, str, str]]] | None:
    """Lay the proposal over the text: the JSON, and each change as (place, code, message).

    None: they do not hold the same names and values in the same order.
    """
    if len(wanted) != len(leaves):
        return None
    written: list[str] = []
    changes: list[tuple[int, str, str]] = []
    for leaf, want in zip(leaves, wanted, strict=True):
        if leaf.structure != want.structure:
            change = _change(leaf.structure, want.structure)
            changes.append((leaf.structure_at, "structure", change))
        written.append(want.structure)
        if want.end:
            break
        scalar = _scalar(leaf.token, want.value)
        if scalar is None:
            return None
        if scalar != leaf.token:
            changes.append((leaf.at, "scalar", _change(leaf.token, scalar)))
        written.append(scalar)
    return "".join(written), changes


def _leaves(source: str) -> list[_Leaf] | None:
    """Read the text leniently; None where it nests deeper than JSON of ours may."""
    leaves: list[_Leaf] = []
    structure, structure_at, depth = "", -1, 0
    for match in _TOKEN.finditer(source):
        token = match[0]
        if token in _STRUCTURE:
            depth += _DEPTH.get(token, 0)
            if depth > JSON_DEPTH_MAX:
                return None
            structure_at = match.start() if structure == "" else structure_at
            structure += token
            continue
        at = match.start()
        leaves.append(_Leaf(structure, structure_at if structure else at, token, at))
        structure = ""
    end = len(source)
    leaves.append(_Leaf(structure, structure_at if structure else end, "", end))
    return leaves


def _wanted(proposal: object) -> Iterator[_Wanted]:
    structure = ""
    for part in _parts(proposal):
        if isinstance(part, str):
            structure += part
        else:
            yield _Wanted(structure, part[0], end=False)
            structure = ""
    yield _Wanted(structure, None, end=True)


def _parts(value: object) -> Iterator[str | tuple[JsonValue]]:
    """Write a value as structure (strings) and scalars (in tuples of one)."""
    if isinstance(value, dict):
        yield "{"
        for index, (name, member) in enumerate(value.items()):
            if index:
                yield ","
            yield (str(name),)
            yield ":"
            yield from _parts(member)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for index, item in enumerate(value):
            if index:
                yield ","
            yield from _parts(item)
        yield "]"
    elif value is None or isinstance(value, bool | int | float | str):
        yield (value,)


def _scalar(token: str, value: JsonValue) -> str | None:
    """Write a scalar of the proposal, with the text's own bytes where they are sound JSON.

    None: the proposal says something else than the text.
    """
    try:
        sound = parse(token)
    except JsonError:
        return _unsound_scalar(token, value)
    if isinstance(sound, Decimal) and isinstance(value, float):
        return token if float(sound) == value else None
    if type(sound) is type(value) and sound == value:
        return token
    # A bare word in the place of a name, such as {1: "one"}.
    return dumps(value) if isinstance(value, str) and token == value else None


def _unsound_scalar(token: str, value: JsonValue) -> str | None:
    if value is None:
        return "null" if token in _NOTHING else None
    if isinstance(value, bool):
        return dumps(value) if _WORDS.get(token) is value else None
    if not isinstance(value, str):
        return None
    content: str | None = None if token in _NO_STRINGS else token
    if len(token) > 1 and token[0] in "\"'\u201c":
        content = _ESCAPE.sub(_unescaped, token[1:-1])
    return dumps(value) if content == value else None


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else _ESCAPED.get(match[2], match[2])


def _change(before: str, after: str) -> str:
    shown = [part if len(part) <= 40 else part[:40] + "…" for part in (before, after)]
    return f"{shown[0] or 'nothing'} read as {shown[1] or 'nothing'}"
