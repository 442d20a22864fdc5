"""Grounding that a schema carries: the keyword `x-lakehouse` beside the value that it grounds.

    "airport": {"type": "string", "x-lakehouse": {"column": "airports.iata",
                                                  "with": {"city": "airports.city"}}}

It means the same as a declared rule with the pointer of its place, `*` for each element of an
array; a list of such objects means several rules. A pointer knows no branches: so every branch that
allows a value there must carry the same. A keyword that no pointer reaches is an error, since it
would check nothing.

SQL rules (`x-lakehouse-rules`) are for kinds, whose schema has lost them before it comes here (see
`schema_rules`). In any other schema they are an error, and so is a name like one of the two.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from lakehouse.core.json_text import ENCODER, JsonValue, pointer, pointer_parts
from lakehouse.core.kind import EACH, GROUNDING_KEYWORD, RULES_KEYWORD, GroundingRule
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

_MARK: Final = b"lake"  # what the names have in common that are taken for ours
_LETTERS_MAX: Final = 2  # by which a name may differ from one of ours and still mean it
_DEFINED: Final = frozenset({"$defs", "definitions"})  # they apply only where a reference leads
_IN_PLACE: Final = frozenset({"allOf", "anyOf", "oneOf"})
_STEPS_MAX: Final = 2_000  # through the schema: references can multiply its places
_FIELDS: Final = {one.encode_name: one.type for one in msgspec.structs.fields(GroundingRule)}
_MEMBERS: Final = sorted(_FIELDS.keys() - {"path"})


class CarriedFault(SchemaError):
    """A keyword that is malformed or cannot apply."""

    hint = (
        f"`{GROUNDING_KEYWORD}` stands beside the value that it grounds: "
        '{"type": "string", "x-lakehouse": {"column": "airports.iata"}}.'
    )


class MisplacedRules(SchemaError):
    """SQL rules in a schema that may carry none."""

    hint = (
        "SQL rules belong to kinds: write [[kinds.NAME.rules]] into the configuration, or "
        f"`{RULES_KEYWORD}` at the root of the schema of a kind."
    )


def may_carry(raw: bytes) -> bool:
    """Return whether a schema's bytes can have a keyword; it costs nothing where they have not.

    A name may also be written with escapes, which are rare enough to be looked into.
    """
    return _MARK in raw.lower() or b"\\u" in raw


def carried_rules(document: SchemaDocument, engine: SchemaEngine) -> tuple[GroundingRule, ...]:
    """Return the rules that a schema carries, in its order.

    Raises:
        CarriedFault: A keyword is malformed, or it cannot apply; names its place and the value.
        MisplacedRules: It has SQL rules.
    """
    _check_names(document)
    reading = _Reading(document)
    if ROOT not in reading.leading:
        return ()
    reading.walk(ROOT, "", "", ())
    count = sum(len(rules) for rules, _ in reading.rules.values())
    if count > CARRIED_RULES_MAX:
        raise CarriedFault(ROOT, f"the schema carries {count} rules; at most {CARRIED_RULES_MAX}")
    try:
        view = SchemaView.of(document, engine)
        for at, (_, place) in reading.rules.items():
            _check_branches(document, view, at, place)
            for there, beside in reading.beside[at].items():
                _check_beside(view, at, beside, there)
    except ViewTooLarge:
        raise CarriedFault(
            ROOT, f"it has too many branches to carry {GROUNDING_KEYWORD!r}"
        ) from None
    return tuple([rule for rules, _ in reading.rules.values() for rule in rules])


def without_keyword(raw: bytes) -> bytes:
    """Return compact JSON of a schema without the keyword; the bytes of all other values stay."""
    if not raw.startswith(b"{") or not may_carry(raw):
        return raw
    members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    kept = []
    for name, value in members.items():
        if name == GROUNDING_KEYWORD:
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
        self.rules: dict[str, tuple[list[GroundingRule], Place]] = {}
        self.beside: dict[str, dict[Place, str]] = {}  # places of names in `with`, their pointers
        self._document = document
        self._steps = 0
        self.leading = _leading(document)

    def walk(self, place: Place, at: str, base: str, above: tuple[Place, ...]) -> None:
        """Follow a subschema that applies at the pointer `at`; `base` leads to its object."""
        self._steps += 1
        if place in above:
            raise CarriedFault(
                place,
                f"it contains itself, so no pointer reaches every {GROUNDING_KEYWORD!r} in it",
            )
        if self._steps > _STEPS_MAX or len(above) > JSON_DEPTH_MAX:
            raise CarriedFault(place, f"too many places lead to {GROUNDING_KEYWORD!r}")
        node = self._document.node(place)
        if GROUNDING_KEYWORD in node:
            self._add(place, node[GROUNDING_KEYWORD], at, base)
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
        why = (
            f"{GROUNDING_KEYWORD!r} cannot stand under `{keyword}`{beside}: no pointer leads there"
        )
        raise CarriedFault(child, f"{why}; write it into `properties`, `items` or a branch")

    def _add(self, place: Place, value: JsonValue, at: str, base: str) -> None:
        here = (*place, GROUNDING_KEYWORD)
        said = [(here, value)]
        if isinstance(value, list):
            said = [((*here, index), one) for index, one in enumerate(value)]
        if not said:
            raise CarriedFault(here, "is []; it must say at least one rule")
        rules: list[GroundingRule] = []
        beside: dict[Place, str] = {}
        for there, one in said:
            rule, names = _rule(there, one, at, base)
            beside |= names
            if rule not in rules:
                rules.append(rule)
        known, _ = self.rules.setdefault(at, (rules, here))
        self.beside[at] = beside
        if known != rules:
            raise CarriedFault(
                here, f"another {GROUNDING_KEYWORD!r} says something else about {at!r}"
            )


def _applied(node: dict[str, JsonValue], place: Place) -> list[Place]:
    """Return the subschemas inside one that apply without a reference."""
    return [child for child, _ in children(node, place) if child[len(place)] not in _DEFINED]


def _leading(document: SchemaDocument) -> set[Place]:
    """Return the places that lead to a keyword."""
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
    leading: set[Place] = set()
    pending = [place for place in sources if GROUNDING_KEYWORD in document.node(place)]
    while pending:
        place = pending.pop()
        if place not in leading:
            leading.add(place)
            pending += sources[place]
    return leading


def _check_names(document: SchemaDocument) -> None:
    """Check that no keyword is only like one of ours, wherever it stands: it would check nothing.

    Raises:
        CarriedFault: One is.
        MisplacedRules: One is, or is, that of SQL rules.
    """
    seen = {ROOT}
    pending = [ROOT]
    while pending:
        place = pending.pop()
        node = document.node(place)
        for name in node:
            meant = _meant(name)
            if meant == RULES_KEYWORD:
                raise MisplacedRules((*place, name), "SQL rules cannot stand in this schema")
            if meant is not None and meant != name:
                raise CarriedFault((*place, name), f"no such keyword; write {meant!r}")
        inside = [child for child, _ in children(node, place)]
        new = {*inside, *document.references(place)} - seen
        seen |= new
        pending += new


def _meant(name: str) -> str | None:
    """Return which of our keywords a name is, or is like."""
    letters = "".join(filter(str.isalpha, name.casefold()))
    if not letters.startswith("x") or "lake" not in letters:
        return None
    from rapidfuzz.distance import OSA  # noqa: PLC0415  only where a name may be one of ours

    ours = {"xlakehouse": GROUNDING_KEYWORD, "xlakehouserules": RULES_KEYWORD}
    distance, meant = min((OSA.distance(letters, one), one) for one in ours)
    near = letters.startswith("xlakehouse") or distance <= _LETTERS_MAX
    return ours[meant] if near else None


def _rule(
    here: Place, value: JsonValue, at: str, base: str
) -> tuple[GroundingRule, dict[Place, str]]:
    """Read one keyword; returns also the places of the names in its `with`, and their pointers."""
    allowed = ", ".join(_MEMBERS)
    if not isinstance(value, dict):
        why = f"is {shown(value)}; it must be an object of {allowed}, or a list of such"
        raise CarriedFault(here, why)
    for name, one in value.items():
        if name not in _MEMBERS:
            near = did_you_mean(name, _MEMBERS)
            raise CarriedFault((*here, name), f"unknown member{near}; allowed are {allowed}")
        _check_value((*here, name), one, name)
    places: dict[str, str] = {}
    beside: dict[Place, str] = {}
    for name, column in named(value.get("with")).items():
        place = name if name.startswith("/") else f"{base}{pointer(name)}"
        if place in places:
            raise CarriedFault((*here, "with", name), f"{place!r} stands there twice")
        places[place] = str(column)
        if place != name:
            beside[(*here, "with", name)] = place
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
        if not any(GROUNDING_KEYWORD in document.node(node) for node in one.nodes):
            raise CarriedFault(
                place,
                f"another branch allows a value at {at!r} without {GROUNDING_KEYWORD!r}; write the "
                "same into each branch, or beside them",
            )


def _check_beside(view: SchemaView, at: str, beside: str, place: Place) -> None:
    """Check that a name in `with` is that of a member that the schema names."""
    *above, name = pointer_parts(beside)
    for part in above:
        view = view.step(part)
    if not view.member(name).declared:
        names = view.names()
        there = ", ".join(map(repr, names)) or "none"
        raise CarriedFault(
            place,
            f"{name!r} is no member beside {at!r}{did_you_mean(name, names)}; there are {there}",
        )
