"""The alternatives of a schema: its branches resolved into the subschemas that apply together.

`$ref`, `allOf`, `anyOf`, `oneOf`, `if` and `dependentSchemas` are followed; `not` is ignored, so
the result may allow too much, never too little.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from lakehouse.core.json_text import JsonValue
from lakehouse.validation.raw_tree import Place
from lakehouse.validation.schema_document import SchemaDocument, named, strings
from lakehouse.validation.schema_engine import SchemaEngine

ALTERNATIVES_MAX: Final = 256  # choices of branches told apart at one place
VALUES_MAX: Final = 256  # listed values looked into at one place
STEPS_MAX: Final = 300_000  # of about 1 µs, for everything asked of one schema

TYPES: Final = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
"""`number` stands for numbers that are no integers; a schema's `number` is both."""

_Choice = tuple[frozenset[Place], bool]  # subschemas that apply together; False: more may apply


class Alternative(msgspec.Struct, frozen=True):
    """One way to satisfy the schema at one place.

    `nodes` apply together. `values` are those that `const` and `enum` allow, None if unrestricted.
    `exact` is False if more subschemas may apply than are listed. `declared` is whether the schema
    names every member on the way here.
    """

    nodes: frozenset[Place]
    values: tuple[JsonValue, ...] | None
    types: frozenset[str]
    exact: bool
    declared: bool


class ViewTooLarge(Exception):
    """The schema has too many branches to compute what it allows."""


class SchemaChoices:
    """The choices of one schema, and a count of the steps so far."""

    def __init__(self, document: SchemaDocument, engine: SchemaEngine) -> None:
        self._document = document
        self._engine = engine
        self._left = STEPS_MAX

    def take(self, steps: int = 1) -> None:
        """Count steps.

        Raises:
            ViewTooLarge: It was more than `STEPS_MAX`.
        """
        self._left -= steps
        if self._left < 0:
            raise ViewTooLarge

    def held(
        self,
        places: Sequence[Place],
        values: Sequence[JsonValue] | None,
        *,
        exact: bool,
        declared: bool,
    ) -> list[Alternative]:
        """Return the ways to satisfy all of these subschemas, out of `values` if given."""
        choices: list[_Choice] = [(frozenset(), exact)]
        for place in dict.fromkeys(places):
            choices = self._together(choices, self._choices(place))
        found = []
        for nodes, known in choices:
            left = self._values(nodes, values)
            types = self._types(nodes, left)
            if types and left != ():
                found.append(Alternative(nodes, left, types, known, declared))
        return found

    def _choices(self, place: Place) -> list[_Choice]:
        self.take(4)
        node = self._document.at(place)
        if isinstance(node, bool):
            return [(frozenset({place}), True)] if node else []
        choices: list[_Choice] = [(frozenset({place}), True)]
        both = (*self._document.references(place), *self._document.branches(place, "allOf"))
        for one in both:
            choices = self._together(choices, self._choices(one))
        for keyword in ("anyOf", "oneOf"):
            if keyword in node:
                branches = self._document.branches(place, keyword)
                ways = [way for branch in branches for way in self._choices(branch)]
                choices = self._together(choices, ways)
        if "if" in node:
            holding = self._choices((*place, "if"))
            if "then" in node:
                holding = self._together(holding, self._choices((*place, "then")))
            failing = self._choices((*place, "else")) if "else" in node else [(frozenset(), True)]
            choices = self._together(choices, [*holding, *failing])
        for name in named(node.get("dependentSchemas")):
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
                self.take(1 + len(nodes) // 8)
                found[nodes] = known and too
        return list(found.items())

    def _values(
        self, nodes: frozenset[Place], given: Sequence[JsonValue] | None
    ) -> tuple[JsonValue, ...] | None:
        values = given
        for place in nodes if given is None else ():
            node = self._document.node(place)
            if "const" in node:
                values = [node["const"]]
            elif isinstance(allowed := node.get("enum"), list):
                values = allowed
        if values is None or len(values) > VALUES_MAX:
            return None
        return tuple(value for value in values if self.fits(nodes, value))

    def fits(self, nodes: frozenset[Place], value: JsonValue) -> bool:
        """Return whether a value satisfies all of these subschemas."""
        self.take(1 + len(nodes))
        return all(self._engine.holds(place, value) for place in nodes)

    def _types(
        self, nodes: frozenset[Place], values: tuple[JsonValue, ...] | None
    ) -> frozenset[str]:
        types = TYPES if values is None else frozenset(type_of(value) for value in values)
        for place in nodes:
            node = self._document.node(place)
            if "type" in node:
                said = node["type"]
                names = strings(said if isinstance(said, list) else [said])
                types &= frozenset(names) | ({"integer"} if "number" in names else set())
        return types


def type_of(value: JsonValue) -> str:
    """Return the JSON type of a value; `integer` for every number without a fraction."""
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
