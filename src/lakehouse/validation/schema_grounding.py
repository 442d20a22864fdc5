"""Grounding that a schema carries: the keyword `x-lakehouse` beside the value that it grounds.

    "airport": {"type": "string", "x-lakehouse": {"column": "airports.iata",
                                                  "with": {"city": "airports.city"}}}

It means the same as a declared rule with the pointer of its place, `*` for each element of an
array. A pointer knows no branches: so every branch that allows a value there must carry the same.
A keyword that no pointer reaches is an error, since it would check nothing.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from lakehouse.core.json_text import ENCODER, JsonValue, pointer, pointer_parts
from lakehouse.core.kind import EACH, GroundingRule
from lakehouse.core.limits import CARRIED_RULES_MAX, JSON_DEPTH_MAX
from lakehouse.core.suggestion import did_you_mean
from lakehouse.core.type_words import names_of, type_at, type_words
from lakehouse.core.wording import shown
from lakehouse.validation.raw_tree import ROOT, Place
from lakehouse.validation.schema_choices import ViewTooLarge
from lakehouse.validation.schema_document import (
    HOLD_NAMED,
    HOLD_ONE,
    LISTED,
    SchemaDocument,
    SchemaError,
    children,
    named,
)
from lakehouse.validation.schema_engine import SchemaEngine
from lakehouse.validation.schema_view import SchemaView

KEYWORD: Final = "x-lakehouse"
_MARK: Final = b"lakehouse"
_DEFINED: Final = frozenset({"$defs", "definitions"})  # they apply only where a reference leads
_IN_PLACE: Final = frozenset({"allOf", "anyOf", "oneOf"})
_STEPS_MAX: Final = 2_000  # through the schema: references can multiply its places
_FIELDS: Final = {one.encode_name: one.type for one in msgspec.structs.fields(GroundingRule)}
_MEMBERS: Final = sorted(_FIELDS.keys() - {"path"})


class CarriedFault(SchemaError):
    """A keyword that is malformed or cannot apply."""

    hint = (
        f"`{KEYWORD}` stands beside the value that it grounds: "
        '{"type": "string", "x-lakehouse": {"column": "airports.iata"}}.'
    )


def may_carry(raw: bytes) -> bool:
    """Return whether a schema's bytes can have the keyword; it costs nothing where they have not.

    A name may also be written with escapes, which are rare enough to be looked into.
    """
    return _MARK in raw.lower() or b"\\u" in raw


def carried_rules(document: SchemaDocument, engine: SchemaEngine) -> tuple[GroundingRule, ...]:
    """Return the rules that a schema carries, in its order.

    Raises:
        CarriedFault: A keyword is malformed, or it cannot apply; names its place and the value.
    """
    reading = _Reading(document)
    if ROOT not in reading.leading:
        return ()
    reading.walk(ROOT, "", "", ())
    if len(reading.rules) > CARRIED_RULES_MAX:
        why = f"the schema carries {len(reading.rules)} rules; at most {CARRIED_RULES_MAX}"
        raise CarriedFault(ROOT, why)
    try:
        view = SchemaView.of(document, engine)
        for at, (rule, place) in reading.rules.items():
            _check_branches(document, view, at, place)
            for name, beside in reading.beside[at].items():
                _check_beside(view, rule.path, name, beside, place)
    except ViewTooLarge:
        raise CarriedFault(ROOT, f"it has too many branches to carry {KEYWORD!r}") from None
    return tuple([rule for rule, _ in reading.rules.values()])


def without_keyword(raw: bytes) -> bytes:
    """Return compact JSON of a schema without the keyword; the bytes of all other values stay."""
    if not raw.startswith(b"{") or not may_carry(raw):
        return raw
    members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    kept = []
    for name, value in members.items():
        if name == KEYWORD:
            continue
        inner = bytes(value)
        if name in HOLD_ONE:
            inner = without_keyword(inner)
        elif name in LISTED:
            items = msgspec.json.decode(inner, type=list[msgspec.Raw])
            inner = b"[%b]" % b",".join(without_keyword(bytes(one)) for one in items)
        elif name in HOLD_NAMED:
            inside = msgspec.json.decode(inner, type=dict[str, msgspec.Raw]).items()
            inner = _object((each, without_keyword(bytes(one))) for each, one in inside)
        kept.append((name, inner))
    return _object(kept)


def _object(members: Iterable[tuple[str, bytes]]) -> bytes:
    return b"{%b}" % b",".join(b"%b:%b" % (ENCODER.encode(name), one) for name, one in members)


class _Reading:
    """Follows a schema to its keywords. Enters only what leads to one."""

    def __init__(self, document: SchemaDocument) -> None:
        self.rules: dict[str, tuple[GroundingRule, Place]] = {}
        self.beside: dict[str, dict[str, str]] = {}  # names in `with`, and their pointers
        self._document = document
        self._steps = 0
        self.leading = _leading(document)

    def walk(self, place: Place, at: str, base: str, above: tuple[Place, ...]) -> None:
        """Follow a subschema that applies at the pointer `at`; `base` leads to its object."""
        self._steps += 1
        if place in above:
            raise CarriedFault(
                place, f"it contains itself, so no pointer reaches every {KEYWORD!r} in it"
            )
        if self._steps > _STEPS_MAX or len(above) > JSON_DEPTH_MAX:
            raise CarriedFault(place, f"too many places lead to {KEYWORD!r}")
        node = self._document.node(place)
        if KEYWORD in node:
            self._add(place, node[KEYWORD], at, base)
        inside = (*above, place)
        for target in self._document.references(place):
            if target in self.leading:
                self.walk(target, at, base, inside)
        for child in _applied(node, place):
            if child in self.leading:
                self.walk(child, *self._behind(child, node, len(place), at, base), inside)

    def _behind(
        self, child: Place, node: dict[str, JsonValue], depth: int, at: str, base: str
    ) -> tuple[str, str]:
        """Return the pointer of a subschema inside one, and that of its object."""
        keyword, last = child[depth], child[-1]
        if keyword in _IN_PLACE:
            return at, base
        if keyword == "properties":
            return f"{at}{pointer(str(last))}", at
        if keyword == "prefixItems":
            return f"{at}/{last}", base
        if keyword == "items" and "prefixItems" not in node:
            return f"{at}/{EACH}", base
        beside = " beside `prefixItems`" if keyword == "items" else ""
        why = f"{KEYWORD!r} cannot stand under `{keyword}`{beside}: no pointer leads there"
        raise CarriedFault(child, f"{why}; write it into `properties`, `items` or a branch")

    def _add(self, place: Place, value: JsonValue, at: str, base: str) -> None:
        here = (*place, KEYWORD)
        rule, beside = _rule(here, value, at, base)
        known, _ = self.rules.setdefault(at, (rule, here))
        self.beside[at] = beside
        if known != rule:
            raise CarriedFault(here, f"another {KEYWORD!r} says something else about {at!r}")


def _applied(node: dict[str, JsonValue], place: Place) -> list[Place]:
    """Return the subschemas inside one that apply without a reference."""
    return [child for child, _ in children(node, place) if child[len(place)] not in _DEFINED]


def _leading(document: SchemaDocument) -> set[Place]:
    """Return the places that lead to a keyword.

    Raises:
        CarriedFault: One is written in another case, or with `_`, and would check nothing.
    """
    sources: dict[Place, list[Place]] = {ROOT: []}
    pending = [ROOT]
    while pending:
        place = pending.pop()
        inside = _applied(document.node(place), place)
        for there in (*inside, *document.references(place)):
            if there not in sources:
                sources[there] = []
                pending.append(there)
            sources[there].append(place)
    for place in sources:
        for name in document.node(place):
            if name != KEYWORD and name.casefold().replace("_", "-") == KEYWORD:
                raise CarriedFault((*place, name), f"no such keyword; write {KEYWORD!r}")
    leading: set[Place] = set()
    pending = [place for place in sources if KEYWORD in document.node(place)]
    while pending:
        place = pending.pop()
        if place not in leading:
            leading.add(place)
            pending += sources[place]
    return leading


def _rule(
    here: Place, value: JsonValue, at: str, base: str
) -> tuple[GroundingRule, dict[str, str]]:
    """Read one keyword; returns also the pointers of the names in its `with`."""
    allowed = ", ".join(_MEMBERS)
    if not isinstance(value, dict):
        raise CarriedFault(here, f"is {shown(value)}; it must be an object of {allowed}")
    for name, one in value.items():
        if name not in _MEMBERS:
            near = did_you_mean(name, _MEMBERS)
            raise CarriedFault((*here, name), f"unknown member{near}; allowed are {allowed}")
        _check_value((*here, name), one, name)
    places: dict[str, str] = {}
    beside: dict[str, str] = {}
    for name, column in named(value.get("with")).items():
        place = name if name.startswith("/") else f"{base}{pointer(name)}"
        if place in places:
            raise CarriedFault((*here, "with", name), f"{place!r} stands there twice")
        places[place] = str(column)
        if place != name:
            beside[name] = place
    return msgspec.convert({**value, "path": at, "with": places}, GroundingRule), beside


def _check_value(here: Place, value: JsonValue, name: str) -> None:
    try:
        msgspec.convert(value, _FIELDS[name])
    except msgspec.ValidationError:
        found = type_at(GroundingRule, f".{name}")
        near = did_you_mean(value, names_of(found)) if isinstance(value, str) else ""
        raise CarriedFault(here, f"is {shown(value)}{near}; allowed: {type_words(found)}") from None


def _check_branches(document: SchemaDocument, view: SchemaView, at: str, place: Place) -> None:
    """Check that whatever may stand at a pointer, other than null, carries its keyword."""
    for part in pointer_parts(at):
        view = view.step(part)
    for one in view.alternatives:
        if not one.declared or one.types <= {"null"}:
            continue
        if not any(KEYWORD in document.node(node) for node in one.nodes):
            raise CarriedFault(
                place,
                f"another branch allows a value at {at!r} without {KEYWORD!r}; write the same "
                "into each branch, or beside them",
            )


def _check_beside(view: SchemaView, at: str, name: str, beside: str, place: Place) -> None:
    """Check that a name in `with` is that of a member that the schema names."""
    parent = view
    for part in pointer_parts(beside)[:-1]:
        parent = parent.step(part)
    if not parent.member(name).declared:
        names = parent.names()
        there = ", ".join(map(repr, names)) or "none"
        raise CarriedFault(
            (*place, "with", name),
            f"{name!r} is no member beside {at!r}{did_you_mean(name, names)}; there are {there}",
        )
