"""What a schema allows at a place of an answer, asked before there is any answer.

A view is the list of ways in which a value can hold the schema: one choice of branches each, with
the subschemas that then apply together. `$ref`, `allOf`, `anyOf`, `oneOf`, `if` and
`dependentSchemas` are resolved; `const` and `enum` count as the values that they list.

A view errs to one side only. Where a schema is too large to tell every choice apart, or says
something in a form that is not looked into (`not`, `contains`, bounds), more is held possible
than is: what a view calls impossible no value of the schema has.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from lakehouse.core.json_text import JsonValue
from lakehouse.validation.raw_tree import ROOT, Place
from lakehouse.validation.schema_document import REFERENCES, SchemaDocument
from lakehouse.validation.schema_engine import SchemaEngine

ALTERNATIVES_MAX: Final = 256  # choices of branches told apart at one place
VALUES_MAX: Final = 256  # listed values looked into at one place
VIEW_STEPS_MAX: Final = 300_000

TYPES: Final = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
"""`number` stands for numbers that are no integers; a schema's `number` is both."""

_Choice = tuple[frozenset[Place], bool]  # subschemas that apply together; False: more may apply


class Alternative(msgspec.Struct, frozen=True):
    """One way to hold the schema at one place.

    `nodes` apply together. `values` are all that `const` and `enum` leave, None where they say
    nothing. `exact` is False where more subschemas may apply than are listed. `declared` is
    whether the schema names every member on the way here.
    """

    nodes: frozenset[Place]
    values: tuple[JsonValue, ...] | None
    types: frozenset[str]
    exact: bool
    declared: bool


class ViewTooLarge(Exception):
    """The schema has so many branches that what it allows cannot be told in good time."""


class _Meter:
    """Counts what a view and all views taken from it have cost; one step is about 1 µs."""

    def __init__(self, steps_max: int) -> None:
        self._left = steps_max

    def take(self, steps: int = 1) -> None:
        self._left -= steps
        if self._left < 0:
            raise ViewTooLarge


class SchemaView:
    """What can stand at one place. Cost: about 0.1 ms a step for a schema of 1 KB."""

    def __init__(
        self,
        document: SchemaDocument,
        engine: SchemaEngine,
        alternatives: Sequence[Alternative],
        meter: "_Meter",
    ) -> None:
        self._document = document
        self._engine = engine
        self._meter = meter
        self.alternatives = tuple(alternatives)

    @classmethod
    def of(cls, document: SchemaDocument, engine: SchemaEngine) -> "SchemaView":
        """View a whole schema.

        Raises:
            ViewTooLarge: Here or at any later step.
        """
        view = cls(document, engine, (), _Meter(VIEW_STEPS_MAX))
        return view._made(view._held((ROOT,), None, exact=True, declared=True))

    @property
    def possible(self) -> bool:
        """Whether any value at all can stand here."""
        return bool(self.alternatives)

    @property
    def declared(self) -> bool:
        """Whether the schema names this place, rather than leaving room for it."""
        return any(one.declared for one in self.alternatives)

    @property
    def exact(self) -> bool:
        """Whether every choice of branches is told apart."""
        return all(one.exact for one in self.alternatives)

    @property
    def types(self) -> frozenset[str]:
        """The JSON types that a value here can have."""
        return frozenset().union(*(one.types for one in self.alternatives))

    def names(self) -> list[str]:
        """List the members that the schema names here and that can be there, in its order."""
        found: dict[str, None] = {}
        for alternative in self.alternatives:
            if "object" in alternative.types:
                for place in sorted(alternative.nodes, key=_order):
                    found.update(dict.fromkeys(self._named(place)))
                for value in alternative.values or ():
                    found.update(dict.fromkeys(value if isinstance(value, dict) else ()))
        return [name for name in found if self.member(name).possible]

    def step(self, part: str) -> "SchemaView":
        """Follow one part of a JSON Pointer: a member's name, or an index of an array."""
        alternatives = list(self.member(part).alternatives)
        if part == "0" or (part.isascii() and part.isdigit() and not part.startswith("0")):
            alternatives += self.item(int(part[:9])).alternatives
        return self._made(alternatives)

    def member(self, name: str) -> "SchemaView":
        """View a member of an object here."""
        found: list[Alternative] = []
        for alternative in self.alternatives:
            if "object" in alternative.types:
                found += self._member(alternative, name)
        return self._made(found)

    def rest(self) -> "SchemaView | None":
        """View a member that the schema names nowhere; None where it says nothing of those."""
        covers = [
            (*place, keyword)
            for alternative in self.alternatives
            for place in sorted(alternative.nodes, key=_order)
            for keyword in ("additionalProperties", "unevaluatedProperties")
            if isinstance(node := self._document.at(place), dict)
            and isinstance(node.get(keyword), dict)
            and node[keyword]
        ]
        if not covers:
            return None
        found: list[Alternative] = []
        for place in dict.fromkeys(covers):
            found += self._held((place,), None, exact=True, declared=False)
        return self._made(found)

    def item(self, index: int) -> "SchemaView":
        """View the item at a position of an array here."""
        found: list[Alternative] = []
        for alternative in self.alternatives:
            if "array" in alternative.types:
                found += self._item(alternative, index)
        return self._made(found)

    def items(self) -> "SchemaView":
        """View any item of an array here."""
        lengths = [
            len(prefix)
            for alternative in self.alternatives
            for place in alternative.nodes
            if isinstance(node := self._document.at(place), dict)
            and isinstance(prefix := node.get("prefixItems"), list)
        ]
        lengths += [
            len(value) - 1
            for alternative in self.alternatives
            for value in alternative.values or ()
            if isinstance(value, list)
        ]
        found: list[Alternative] = []
        for index in range(min(max(lengths, default=0), VALUES_MAX) + 1):
            found += self.item(index).alternatives
        return self._made(found)

    def nodes(self) -> Iterator[tuple[Alternative, dict[str, JsonValue]]]:
        """Give each subschema that applies here, with the alternative that it belongs to."""
        for alternative in self.alternatives:
            for place in sorted(alternative.nodes, key=_order):
                node = self._document.at(place)
                if isinstance(node, dict):
                    yield alternative, node

    def holds(self, value: JsonValue) -> bool:
        """Tell whether a value holds everything of one alternative."""
        return any(self._fits(one.nodes, value) for one in self.alternatives)

    def _made(self, alternatives: Sequence[Alternative]) -> "SchemaView":
        unique: dict[tuple[frozenset[Place], str], Alternative] = {}
        for one in alternatives:
            key = (one.nodes, repr(one.values))
            if key not in unique or (one.declared and not unique[key].declared):
                unique[key] = one
        kept = list(unique.values())
        if len(kept) > ALTERNATIVES_MAX:
            kept = [
                msgspec.structs.replace(one, exact=False)
                for one in sorted(kept, key=lambda one: not one.declared)[:ALTERNATIVES_MAX]
            ]
        return SchemaView(self._document, self._engine, kept, self._meter)

    # --- One step ---

    def _member(self, alternative: Alternative, name: str) -> list[Alternative]:
        self._meter.take(2 * len(alternative.nodes))
        children: list[Place] = []
        declared = alternative.values is not None
        for place in alternative.nodes:
            node = self._document.at(place)
            if isinstance(node, bool):
                continue
            if not self._allows(place, node, name):
                return []
            own = list(self._of_name(place, node, name))
            declared = declared or bool(own) or name in self._named(place)
            if own:
                children += own
            elif "additionalProperties" in node:
                children.append((*place, "additionalProperties"))
            if (
                "unevaluatedProperties" in node
                and alternative.exact
                and not self._evaluates(place, name, alternative.nodes, own=False)
            ):
                children.append((*place, "unevaluatedProperties"))
        values = None
        if alternative.values is not None:
            values = [
                value[name]
                for value in alternative.values
                if isinstance(value, dict) and name in value
            ]
        return self._held(
            children,
            values,
            exact=alternative.exact,
            declared=declared and alternative.declared,
        )

    def _item(self, alternative: Alternative, index: int) -> list[Alternative]:
        self._meter.take(2 * len(alternative.nodes))
        children: list[Place] = []
        declared = alternative.values is not None
        for place in alternative.nodes:
            node = self._document.at(place)
            if isinstance(node, bool):
                continue
            most = node.get("maxItems")
            if isinstance(most, int | float) and most <= index:
                return []
            prefix = node.get("prefixItems")
            if isinstance(prefix, list) and index < len(prefix):
                children.append((*place, "prefixItems", index))
                declared = True
            elif "items" in node:
                children.append((*place, "items"))
                declared = True
            if (
                "unevaluatedItems" in node
                and alternative.exact
                and not self._evaluates(place, index, alternative.nodes, own=False)
            ):
                children.append((*place, "unevaluatedItems"))
        values = None
        if alternative.values is not None:
            values = [
                value[index]
                for value in alternative.values
                if isinstance(value, list) and index < len(value)
            ]
        return self._held(
            children,
            values,
            exact=alternative.exact,
            declared=declared and alternative.declared,
        )

    def _allows(self, place: Place, node: dict[str, JsonValue], name: str) -> bool:
        """Tell whether a subschema lets a member of this name be there at all."""
        if "propertyNames" in node and not self._engine.holds((*place, "propertyNames"), name):
            return False
        unwanted = node.get("not")
        return not (isinstance(unwanted, dict) and unwanted == {"required": [name]})

    def _of_name(self, place: Place, node: dict[str, JsonValue], name: str) -> Iterator[Place]:
        properties = node.get("properties")
        if isinstance(properties, dict) and name in properties:
            yield (*place, "properties", name)
        patterns = node.get("patternProperties")
        for pattern in patterns if isinstance(patterns, dict) else ():
            if self._engine.matches(pattern, name):
                yield (*place, "patternProperties", pattern)

    def _named(self, place: Place) -> list[str]:
        """List the names that a subschema says, as far as it says them in full."""
        node = self._document.at(place)
        if isinstance(node, bool):
            return []
        properties = node.get("properties")
        names = list(properties) if isinstance(properties, dict) else []
        names += _strings(node.get("required"))
        dependents = node.get("dependentRequired")
        for trigger, needed in (dependents if isinstance(dependents, dict) else {}).items():
            names += [trigger, *_strings(needed)]
        allowed = node.get("propertyNames")
        if isinstance(allowed, dict):
            names += _strings(allowed.get("enum")) + _strings([allowed.get("const")])
        return names

    def _evaluates(
        self, place: Place, at: str | int, nodes: frozenset[Place], *, own: bool = True
    ) -> bool:
        """Tell whether a subschema, or one applied in place by it, looks at a member or item."""
        self._meter.take()
        node = self._document.at(place)
        if isinstance(node, bool):
            return False
        if isinstance(at, str):
            if "additionalProperties" in node or (own and "unevaluatedProperties" in node):
                return True
            if any(self._of_name(place, node, at)):
                return True
        else:
            if "items" in node or "contains" in node or (own and "unevaluatedItems" in node):
                return True
            prefix = node.get("prefixItems")
            if isinstance(prefix, list) and at < len(prefix):
                return True
        return any(
            self._evaluates(one, at, nodes) for one in self._applied(place, node) if one in nodes
        )

    # --- Choices of branches ---

    def _held(
        self,
        places: Sequence[Place],
        values: Sequence[JsonValue] | None,
        *,
        exact: bool,
        declared: bool,
    ) -> list[Alternative]:
        """Give the ways in which a value holds all of these subschemas."""
        choices: list[_Choice] = [(frozenset(), exact)]
        for place in dict.fromkeys(places):
            choices = self._together(choices, self._choices(place))
        found = []
        for nodes, known in choices:
            listed = self._values(nodes, values)
            types = self._types(nodes, listed)
            if types and listed != ():
                found.append(Alternative(nodes, listed, types, known, declared))
        return found

    def _choices(self, place: Place) -> list[_Choice]:
        self._meter.take(4)
        node = self._document.at(place)
        if isinstance(node, bool):
            return [(frozenset({place}), True)] if node else []
        choices: list[_Choice] = [(frozenset({place}), True)]
        for keyword in REFERENCES:
            if keyword in node:
                choices = self._together(
                    choices, self._choices(self._document.target(place, keyword))
                )
        for branch in _branches(place, node, "allOf"):
            choices = self._together(choices, self._choices(branch))
        for keyword in ("anyOf", "oneOf"):
            if keyword in node:
                branches = [
                    one
                    for branch in _branches(place, node, keyword)
                    for one in self._choices(branch)
                ]
                choices = self._together(choices, branches)
        if "if" in node:
            holding = self._choices((*place, "if"))
            if "then" in node:
                holding = self._together(holding, self._choices((*place, "then")))
            failing = self._choices((*place, "else")) if "else" in node else [(frozenset(), True)]
            choices = self._together(choices, [*holding, *failing])
        dependents = node.get("dependentSchemas")
        for name in dependents if isinstance(dependents, dict) else ():
            applied = self._choices((*place, "dependentSchemas", name))
            choices = self._together(choices, [(frozenset(), True), *applied])
        return choices

    def _together(self, left: list[_Choice], right: list[_Choice]) -> list[_Choice]:
        """Combine two lists of choices; past the limit the second one is left open."""
        if len(left) * len(right) > ALTERNATIVES_MAX:
            return [(nodes, False) for nodes, _ in left]
        found: dict[frozenset[Place], bool] = {}
        for one, known in left:
            for other, too in right:
                nodes = one | other
                self._meter.take(1 + len(nodes) // 8)
                found[nodes] = known and too
        return list(found.items())

    def _applied(self, place: Place, node: dict[str, JsonValue]) -> Iterator[Place]:
        for keyword in REFERENCES:
            if keyword in node:
                yield self._document.target(place, keyword)
        for keyword in ("allOf", "anyOf", "oneOf"):
            yield from _branches(place, node, keyword)
        for keyword in ("if", "then", "else"):
            if keyword in node:
                yield (*place, keyword)
        dependents = node.get("dependentSchemas")
        for name in dependents if isinstance(dependents, dict) else ():
            yield (*place, "dependentSchemas", name)

    def _values(
        self, nodes: frozenset[Place], given: Sequence[JsonValue] | None
    ) -> tuple[JsonValue, ...] | None:
        listed = given
        for place in nodes if listed is None else ():
            node = self._document.at(place)
            if isinstance(node, dict) and "const" in node:
                listed = [node["const"]]
            elif isinstance(node, dict) and isinstance(allowed := node.get("enum"), list):
                listed = allowed
        if listed is None or len(listed) > VALUES_MAX:
            return None
        return tuple(value for value in listed if self._fits(nodes, value))

    def _fits(self, nodes: frozenset[Place], value: JsonValue) -> bool:
        self._meter.take(1 + len(nodes))
        return all(self._engine.holds(place, value) for place in nodes)

    def _types(
        self, nodes: frozenset[Place], values: tuple[JsonValue, ...] | None
    ) -> frozenset[str]:
        types = TYPES if values is None else frozenset(type_of(value) for value in values)
        for place in nodes:
            node = self._document.at(place)
            if isinstance(node, dict) and "type" in node:
                said = node["type"]
                names = _strings(said if isinstance(said, list) else [said])
                types &= frozenset(names) | ({"integer"} if "number" in names else set())
        return types


def type_of(value: JsonValue) -> str:
    """Name the JSON type of a value; `integer` for every number without a fraction."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "array"
    if isinstance(value, dict):
        return "object"
    return "integer" if Decimal(value) == Decimal(value).to_integral_value() else "number"


def _branches(place: Place, node: dict[str, JsonValue], keyword: str) -> list[Place]:
    branches = node.get(keyword)
    return (
        [(*place, keyword, index) for index in range(len(branches))]
        if isinstance(branches, list)
        else []
    )


def _strings(names: JsonValue) -> list[str]:
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _order(place: Place) -> tuple[tuple[bool, str, int], ...]:
    """Sort places as they stand in the document, as far as names go."""
    return tuple(
        (isinstance(part, int), str(part), part if isinstance(part, int) else 0) for part in place
    )
