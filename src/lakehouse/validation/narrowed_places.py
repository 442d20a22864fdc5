"""Rewrites a schema so that given values alone can stand at given places.

Only the subschemas on the way to a place are written anew; what a reference led to is written in
its place, so that others who refer to it keep the whole. The form is one that decoders obey: an
`enum` or `const` stands alone, and an `anyOf` has no assertions beside it.

Two laws hold: what the result accepts the schema accepts; and what the schema accepts, with given
values or null at the places, the result accepts.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import combinations
from typing import Final

import msgspec

from lakehouse.core.json_text import JsonScalar, JsonValue, equal_values
from lakehouse.core.kind import EACH
from lakehouse.core.matches import SCALARS
from lakehouse.validation.exclusive_branches import apart, types_of
from lakehouse.validation.raw_tree import ROOT, Place
from lakehouse.validation.schema_document import SchemaDocument, listed, named
from lakehouse.validation.schema_engine import SchemaEngine

Row = tuple[JsonScalar, ...]

_KEPT: Final = ("title", "description")
NOTES: Final = frozenset(
    {"$comment", "default", "deprecated", "description", "examples", "readOnly", "title"}
    | {"writeOnly", "$schema", "$defs"}
)
_APART: Final = frozenset({"$ref", "anyOf", "oneOf", "allOf"})
_CONDITIONS: Final = frozenset({"not", "if", "then", "else", "dependentSchemas"})
_TYPES: Final[Mapping[type, str]] = {
    str: "string",
    type(None): "null",
    bool: "boolean",
    int: "integer",
}
_FRACTIONAL: Final = frozenset({float, Decimal})
_WHOLE_MAX: Final = 1 << 53


class PlaceTally:
    """What became of one place's values: how often one could stand, and how often none could."""

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0


class Cursor(msgspec.Struct, frozen=True):
    """Values on the way to their place; `parts` of the pointer are left.

    `null` lets null stay where the schema allows it. `listed`: the place may be an array, whose
    elements are meant; `scalar`: it may be something else, too.
    """

    parts: tuple[str, ...]
    values: Row
    tally: PlaceTally
    null: bool = True
    listed: bool = False
    scalar: bool = True
    open_end: bool = False

    def step(self) -> "Cursor":
        return msgspec.structs.replace(self, parts=self.parts[1:])


class Group(msgspec.Struct, frozen=True):
    """Rows on the way to the nearest common parent of their places; `parts` to it are left.

    Each of the `choices` are cursors from the parent on.
    """

    parts: tuple[str, ...]
    choices: tuple[tuple[Cursor, ...], ...]
    open_end: bool = False

    def step(self) -> "Group":
        return msgspec.structs.replace(self, parts=self.parts[1:])


Mark = Cursor | Group


class NarrowedPlaces:
    """Rewrites one closed document (`closed_schema`). A part that stays is the very same object."""

    def __init__(self, document: SchemaDocument, engine: SchemaEngine) -> None:
        self._document = document
        self._engine = engine
        self._unions = 0
        """How many unions were entered: what fails in one branch may hold in another."""

    def rewrite(self, marks: Sequence[Mark]) -> JsonValue:
        """Return the root, without its definitions where it changed."""
        return self._build(ROOT, tuple(marks))

    def _build(self, place: Place, marks: tuple[Mark, ...]) -> JsonValue:
        node = self._document.at(place)
        if not marks or node is False:
            return node
        ends = [one for one in marks if isinstance(one, Cursor) and not one.parts]
        if ends and not any(one.listed for one in ends):
            return self._ended(place, node, ends)
        if (group := _due(marks)) is not None and not self._is_union(place):
            return self._expanded(place, group, tuple(one for one in marks if one is not group))
        keywords: dict[str, JsonValue] = {} if node is True else dict(self._document.node(place))
        types = types_of(keywords)
        if ends and types is not None and "array" not in types:
            return self._ended(place, node, ends)
        form = self._in_place(place, keywords, marks)
        form |= self._members(place, keywords, marks)
        form |= self._items(place, keywords, marks)
        if not form:
            return node
        keywords = {name: value for name, value in keywords.items() if name != "$defs"}
        return self._beside(place, _joined(keywords, form), ends)

    # --- Places ---

    def _ended(self, place: Place, node: JsonValue, ends: list[Cursor]) -> JsonValue:
        """Write the values that can stand here; the whole where none can."""
        values = self._valid(place, ends)
        if values is None:
            return node
        if all(one.null for one in ends) and None not in values and self._holds(place, None):
            values.append(None)
        form = only(values, single=not all(one.null for one in ends) and len(values) == 1)
        kept = kept_notes(self._document.node(place))
        if any(one.open_end for one in ends):
            return {**kept, "anyOf": [form, without_notes(node)]}
        return {**kept, **form}

    def _valid(self, place: Place, ends: list[Cursor]) -> list[JsonValue] | None:
        first, *others = ends
        values: list[JsonValue] = [value for value in first.values if self._holds(place, value)]
        for one in others:
            values = [value for value in values if any(equal_values(value, x) for x in one.values)]
        for one in ends:
            one.tally.hits += bool(values)
            one.tally.misses += not values
        return values or None

    def _holds(self, place: Place, value: JsonValue) -> bool:
        return self._engine.holds(place, value)

    def _beside(self, place: Place, form: dict[str, JsonValue], ends: list[Cursor]) -> JsonValue:
        """Separate the arrays of a node from what else may stand there."""
        types = types_of(form)
        others = SCALARS if types is None else types & SCALARS
        if not ends or form.keys() & _APART or not others or not any(one.scalar for one in ends):
            return form
        values = self._valid(place, ends)
        if values is None:
            return form  # its type stays, as it does wherever no value can stand
        if self._holds(place, None):
            values.append(None)
        arrays = {**{k: v for k, v in form.items() if k not in NOTES}, "type": "array"}
        return {**kept_notes(form), "anyOf": [only(values, single=False), arrays]}

    # --- Rows ---

    def _expanded(self, place: Place, group: Group, rest: tuple[Mark, ...]) -> JsonValue:
        """Write the node once for each choice of the group; the whole where that says nothing."""
        tallies = {id(one.tally): one.tally for choice in group.choices for one in choice}
        start = [(tally, tally.hits) for tally in tallies.values()]
        branches: list[JsonValue] = []
        for choice in group.choices:
            before = [(one.tally.hits, one.tally.misses) for one in choice]
            unions = self._unions
            built = self._build(place, (*rest, *choice))
            met = [
                (one.tally.hits - hits, one.tally.misses - misses)
                for one, (hits, misses) in zip(choice, before, strict=True)
            ]
            if self._unions == unions and any(misses and not hits for hits, misses in met):
                continue  # a value of this row cannot stand here
            if not any(hits for hits, _ in met):
                branches = []
                break
            branches += _alternatives(built)
        if not branches:
            for tally, hits in start:
                tally.hits = hits  # of what is not kept
            return self._build(place, rest)
        if group.open_end:
            branches.append(without_notes(self._build(place, rest)))
        if len(branches) == 1:
            return branches[0]
        return {**kept_notes(self._document.node(place)), "anyOf": branches}

    def _is_union(self, place: Place) -> bool:
        """Return whether a node is nothing but a union, into whose branches rows may go."""
        asserted = self._document.node(place).keys() - NOTES
        if asserted == {"$ref"}:
            return self._is_union(self._document.target(place, "$ref"))
        return asserted == {"anyOf"} or (asserted == {"oneOf"} and self._exclusive(place))

    # --- Steps ---

    def _in_place(
        self, place: Place, node: dict[str, JsonValue], marks: tuple[Mark, ...]
    ) -> dict[str, JsonValue]:
        """Write anew what applies to the same value."""
        form: dict[str, JsonValue] = {}
        for target in self._document.references(place):
            built = self._build(target, marks)
            if built is not self._document.at(target):
                form["$ref"] = built
        for keyword in ("allOf", "anyOf", "oneOf"):
            if keyword not in node or (keyword == "oneOf" and not self._exclusive(place)):
                continue
            self._unions += keyword != "allOf"
            places = self._document.branches(place, keyword)
            whole = [self._document.at(one) for one in places]
            branches = [self._build(one, marks) for one in places]
            if any(new is not old for new, old in zip(branches, whole, strict=True)):
                form[keyword] = branches
        return form

    def _members(
        self, place: Place, node: dict[str, JsonValue], marks: tuple[Mark, ...]
    ) -> dict[str, JsonValue]:
        found: dict[str, JsonValue] = {}
        by_name: dict[str, list[Mark]] = {}
        for one in marks:
            if one.parts:
                by_name.setdefault(one.parts[0], []).append(one.step())
        if not by_name or not _may_be(node, "object"):
            return {}
        conditions = [node[one] for one in node.keys() & _CONDITIONS]
        for name, inner in by_name.items():
            child = self._member(place, node, name)
            if child is None or any(_mentions(one, name) for one in conditions):
                continue
            built = self._build(child, tuple(inner))
            if built is not self._document.at(child):
                found[name] = built
        return {"properties": {**named(node.get("properties")), **found}} if found else {}

    def _member(self, place: Place, node: dict[str, JsonValue], name: str) -> Place | None:
        """Return the subschema for a member; one for many is written for this member alone."""
        if name in named(node.get("properties")):
            return (*place, "properties", name)
        for pattern in named(node.get("patternProperties")):
            if self._engine.matches(pattern, name):
                return (*place, "patternProperties", pattern)
        rest = "additionalProperties"
        return (*place, rest) if node.get(rest, False) is not False else None

    def _items(
        self, place: Place, node: dict[str, JsonValue], marks: tuple[Mark, ...]
    ) -> dict[str, JsonValue]:
        if not _may_be(node, "array") or node.keys() & {"contains", "unevaluatedItems"}:
            return {}
        elements = tuple(_of_elements(marks, node))
        steps = [(_index(one.parts[0]), one.step()) for one in marks if one.parts]
        prefix = listed(node.get("prefixItems"))
        own = [(*elements, *(one for n, one in steps if n == at)) for at in range(len(prefix))]
        built = [self._build((*place, "prefixItems", at), one) for at, one in enumerate(own)]
        form: dict[str, JsonValue] = {}
        if any(new is not old for new, old in zip(built, prefix, strict=True)):
            form["prefixItems"] = built
        last = [one for n, one in steps if n == len(prefix) and node.get("maxItems") == n + 1]
        if "items" in node:
            items = self._build((*place, "items"), (*elements, *last))
            if items is not node["items"]:
                form["items"] = items
        elif not node.keys() & _APART:
            form |= _any_of(elements)
        return form

    def _exclusive(self, place: Place) -> bool:
        """Return whether at most one branch of a `oneOf` can accept a value, by type or by tag.

        Else a narrowed branch could make room for a value that two branches accept.
        """
        ways = [self._way(one) for one in self._document.branches(place, "oneOf")]
        return all(apart(left, right) for left, right in combinations(ways, 2))

    def _way(self, place: Place) -> dict[str, JsonValue]:
        node = self._document.node(place)
        if node.keys() - NOTES == {"$ref"}:
            return self._way(self._document.target(place, "$ref"))
        return node


def _due(marks: tuple[Mark, ...]) -> Group | None:
    return next((one for one in marks if isinstance(one, Group) and not one.parts), None)


def only(values: list[JsonValue], *, single: bool) -> dict[str, JsonValue]:
    """Write a subschema for these values alone, its types named as OpenAI wants it.

    Whole numbers are written without a fraction, so that an integer is written as one.
    """
    if not _FRACTIONAL.isdisjoint(map(type, values)):
        values = [_whole(value) if value.__class__ in _FRACTIONAL else value for value in values]
    types = list(dict.fromkeys([_TYPES.get(value.__class__, "number") for value in values]))
    if "number" in types and "integer" in types:
        types.remove("integer")
    kind: JsonValue = types[0] if len(types) == 1 else list[JsonValue](types)
    if types == ["null"]:
        return {"type": kind}
    return {"type": kind, "const": values[0]} if single else {"type": kind, "enum": values}


def _whole(value: JsonValue) -> JsonValue:
    assert isinstance(value, float | Decimal)
    return int(value) if -_WHOLE_MAX < value < _WHOLE_MAX and value == int(value) else value


def _joined(node: dict[str, JsonValue], form: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Put the rewritten keywords into a node; what a reference led to stands in its place."""
    target = form.pop("$ref", None)
    if not isinstance(target, dict):
        return {**node, **form}
    rest = {name: value for name, value in {**node, **form}.items() if name != "$ref"}
    asserted = {name: value for name, value in rest.items() if name not in NOTES}
    if not asserted:
        return {**rest, **{k: v for k, v in target.items() if k not in rest}}
    if any(name.startswith("unevaluated") for name in asserted):
        return {**rest, "allOf": [*listed(rest.get("allOf")), target]}
    notes = {name: value for name, value in rest.items() if name in NOTES}
    return {**notes, "allOf": [target, asserted]}


def _alternatives(built: JsonValue) -> list[JsonValue]:
    """List the branches of a node that is nothing but a union."""
    built = without_notes(built)
    assert isinstance(built, dict)
    return listed(built["anyOf"]) if built.keys() == {"anyOf"} else [built]


def without_notes(node: JsonValue) -> JsonValue:
    """Return what a subschema asserts."""
    if isinstance(node, dict):
        return {name: value for name, value in node.items() if name not in NOTES}
    return {} if node is True else {"not": {}}


def kept_notes(node: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return what a model reads of a subschema whose assertions are written anew."""
    return {name: node[name] for name in _KEPT if name in node}


def _may_be(node: dict[str, JsonValue], kind: str) -> bool:
    """Return whether values of a type are described by subschemas here, not listed whole."""
    types = types_of(node)
    return (types is None or kind in types) and not node.keys() & {"enum", "const"}


def _of_elements(marks: Sequence[Mark], node: dict[str, JsonValue]) -> Iterator[Mark]:
    """Return what is said of every element of an array."""
    for one in marks:
        enough = _enough(node, len(one.values if isinstance(one, Cursor) else one.choices))
        if enough and one.parts[:1] == (EACH,):
            yield one.step()
        elif enough and isinstance(one, Cursor) and not one.parts:
            yield msgspec.structs.replace(one, listed=False)


def _any_of(elements: Sequence[Mark]) -> dict[str, JsonValue]:
    """Write values of elements where the schema says nothing of them: any can stand there."""
    ends = [one for one in elements if isinstance(one, Cursor) and not (one.parts or one.listed)]
    values: list[JsonValue] = list(ends[0].values) if ends else []
    for one in ends:
        one.tally.hits += 1
        values = [value for value in values if any(equal_values(value, x) for x in one.values)]
    form: JsonValue = only([*values, None], single=False) if values else True
    return {"items": form} if ends else {}


def _enough(node: dict[str, JsonValue], count: int) -> bool:
    """Return whether an array of so many different elements can be long enough."""
    least = node.get("minItems", 0)
    unique = node.get("uniqueItems") is True
    return not unique or (isinstance(least, int | float | Decimal) and least <= count)


def _index(part: str) -> int | None:
    plain = part == "0" or (part.isascii() and part.isdigit() and part[0] != "0")
    return int(part) if plain and len(part) < 10 else None


def _mentions(value: JsonValue, name: str) -> bool:
    """Return whether a condition looks at a member, or may do so behind a reference."""
    if isinstance(value, list):
        return any(_mentions(one, name) for one in value)
    if not isinstance(value, dict):
        return False
    named_here = name in named(value.get("properties")) or "$ref" in value
    return named_here or any(_mentions(one, name) for one in value.values())
