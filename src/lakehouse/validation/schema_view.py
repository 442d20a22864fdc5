"""What a schema allows at a place of an answer, before there is an answer.

A view lists the ways in which a value can satisfy the schema: one choice of branches each, with the
subschemas that then apply together. `$ref`, `allOf`, `anyOf`, `oneOf`, `if` and `dependentSchemas`
are resolved; `const` and `enum` count as the values that they list.

A view errs on one side only. If a schema is too large to separate every choice, or uses a form that
is not analysed (`not`, `contains`, bounds), the view allows too much: what it calls impossible is
impossible.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from lakehouse.core.json_text import JsonValue
from lakehouse.core.kind import EACH
from lakehouse.validation.raw_tree import ROOT, Place
from lakehouse.validation.schema_choices import (
    ALTERNATIVES_MAX,
    VALUES_MAX,
    Alternative,
    SchemaChoices,
)
from lakehouse.validation.schema_document import SchemaDocument, listed, named, strings
from lakehouse.validation.schema_engine import SchemaEngine


class SchemaView:
    """What is allowed at one place. Cost: about 0.1 ms a step for a schema of 1 KB."""

    def __init__(
        self,
        document: SchemaDocument,
        engine: SchemaEngine,
        alternatives: Sequence[Alternative],
        choices: SchemaChoices,
    ) -> None:
        self._document = document
        self._engine = engine
        self._choices = choices
        self.alternatives = tuple(alternatives)

    @classmethod
    def of(cls, document: SchemaDocument, engine: SchemaEngine) -> "SchemaView":
        """View a whole schema.

        Raises:
            ViewTooLarge: Here or at any later step.
        """
        choices = SchemaChoices(document, engine)
        held = choices.held((ROOT,), None, exact=True, declared=True)
        return cls(document, engine, held, choices)

    @property
    def possible(self) -> bool:
        return bool(self.alternatives)

    @property
    def declared(self) -> bool:
        """Whether the schema names this place, instead of only allowing it."""
        return any(one.declared for one in self.alternatives)

    @property
    def exact(self) -> bool:
        """Whether every choice of branches is separate."""
        return all(one.exact for one in self.alternatives)

    @property
    def types(self) -> frozenset[str]:
        """The JSON types that a value here can have."""
        return frozenset().union(*(one.types for one in self.alternatives))

    def names(self) -> list[str]:
        """List the possible members that the schema names here, in its order."""
        found: dict[str, None] = {}
        for alternative in self.alternatives:
            if "object" in alternative.types:
                for place in sorted(alternative.nodes, key=_order):
                    found.update(dict.fromkeys(_names(self._document.node(place))))
                for value in alternative.values or ():
                    found.update(dict.fromkeys(value if isinstance(value, dict) else ()))
        return [name for name in found if self.member(name).possible]

    def step(self, part: str) -> "SchemaView":
        """Follow one part of a pointer: a member's name, an index of an array, or each element."""
        alternatives = list(self.member(part).alternatives)
        if part == EACH:
            alternatives += self.items().alternatives
        if part == "0" or (part.isascii() and part.isdigit() and not part.startswith("0")):
            alternatives += self.item(int(part[:9])).alternatives
        return self._made(alternatives)

    def member(self, name: str) -> "SchemaView":
        return self._stepped("object", name)

    def rest(self) -> "SchemaView | None":
        """View the members that the schema does not name; None if a branch leaves them open."""
        found: dict[Place, None] = {}
        for alternative in self.alternatives:
            covers = [cover for place in alternative.nodes for cover in self._unnamed(place)]
            if "object" in alternative.types and not covers:
                return None
            found.update(dict.fromkeys(covers))
        held: list[Alternative] = []
        for place in found:
            held += self._choices.held((place,), None, exact=True, declared=False)
        return self._made(held)

    def _unnamed(self, place: Place) -> Iterator[Place]:
        """Name the subschemas that a subschema has for members without a name of their own."""
        node = self._document.node(place)
        for pattern in named(node.get("patternProperties")):
            yield (*place, "patternProperties", pattern)
        for keyword in ("additionalProperties", "unevaluatedProperties"):
            if keyword in node and node[keyword] not in (True, {}):
                yield (*place, keyword)

    def item(self, index: int) -> "SchemaView":
        """View the item at a position of an array here."""
        return self._stepped("array", index)

    def items(self) -> "SchemaView":
        lengths = [
            len(listed(self._document.node(place).get("prefixItems")))
            for alternative in self.alternatives
            for place in alternative.nodes
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

    def named(self) -> "SchemaView":
        """View only what the schema names, if some branch names this place."""
        declared = [one for one in self.alternatives if one.declared]
        return self._made(declared) if declared else self

    def branches(self) -> "list[SchemaView]":
        return [self._made([one]) for one in self.alternatives]

    def nodes(self) -> Iterator[tuple[Alternative, dict[str, JsonValue]]]:
        """Return each subschema that applies here, with the alternative that it belongs to."""
        for alternative in self.alternatives:
            for place in sorted(alternative.nodes, key=_order):
                yield alternative, self._document.node(place)

    def holds(self, value: JsonValue) -> bool:
        """Return whether a value satisfies everything of one alternative.

        It takes nothing of what the view may cost: a view that is kept is asked without end.
        """
        holds = self._engine.holds
        return any(all(holds(place, value) for place in one.nodes) for one in self.alternatives)

    def check(self) -> Callable[[JsonValue], bool]:
        """Return what tells the same as `holds`, in less time."""
        if len(self.alternatives) == 1 and len(self.alternatives[0].nodes) == 1:
            return self._engine.check(*self.alternatives[0].nodes)
        return self.holds

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
        return SchemaView(self._document, self._engine, kept, self._choices)

    # --- One step ---

    def _stepped(self, kind: Literal["object", "array"], at: str | int) -> "SchemaView":
        found: list[Alternative] = []
        for alternative in self.alternatives:
            if kind in alternative.types:
                found += self._ways(alternative, at)
        return self._made(found)

    def _ways(self, alternative: Alternative, at: str | int) -> list[Alternative]:
        """Return the ways in which the member or item of one alternative can be."""
        self._choices.take(2 * len(alternative.nodes))
        rest, unevaluated = _REST[type(at)]
        children: list[Place] = []
        declared = alternative.values is not None
        for place in alternative.nodes:
            node = self._document.node(place)
            if not self._allows(place, node, at):
                return []
            own = list(self._own(place, node, at))
            declared = declared or bool(own)
            declared = declared or (rest in node if isinstance(at, int) else at in _names(node))
            if own:
                children += own
            elif rest in node:
                children.append((*place, rest))
            if (
                unevaluated in node
                and alternative.exact
                and not self._evaluates(place, at, alternative.nodes, own=False)
            ):
                children.append((*place, unevaluated))
        values = None
        if alternative.values is not None:
            values = [one for value in alternative.values for one in _at(value, at)]
        return self._choices.held(
            children,
            values,
            exact=alternative.exact,
            declared=declared and alternative.declared,
        )

    def _allows(self, place: Place, node: dict[str, JsonValue], at: str | int) -> bool:
        """Return whether a subschema lets a member or item be there at all."""
        if isinstance(at, int):
            most = node.get("maxItems")
            return not isinstance(most, int | float) or most > at
        if "propertyNames" in node and not self._engine.holds((*place, "propertyNames"), at):
            return False
        unwanted = node.get("not")
        return not (isinstance(unwanted, dict) and unwanted == {"required": [at]})

    def _own(self, place: Place, node: dict[str, JsonValue], at: str | int) -> Iterator[Place]:
        """Name the subschemas that a subschema has for this very member or item."""
        if isinstance(at, int):
            if at < len(listed(node.get("prefixItems"))):
                yield (*place, "prefixItems", at)
            return
        if at in named(node.get("properties")):
            yield (*place, "properties", at)
        for pattern in named(node.get("patternProperties")):
            if self._engine.matches(pattern, at):
                yield (*place, "patternProperties", pattern)

    def _evaluates(
        self, place: Place, at: str | int, nodes: frozenset[Place], *, own: bool = True
    ) -> bool:
        """Return whether a subschema, or one it applies in place, looks at a member or item."""
        self._choices.take()
        node = self._document.node(place)
        rest, unevaluated = _REST[type(at)]
        if rest in node or (own and unevaluated in node) or any(self._own(place, node, at)):
            return True
        if isinstance(at, int) and "contains" in node:
            return True
        return any(
            self._evaluates(one, at, nodes)
            for one in self._document.in_place(place)
            if one in nodes
        )


# The keywords for members, or items, that have no subschema of their own.
_REST: Final[Mapping[type, tuple[str, str]]] = {
    str: ("additionalProperties", "unevaluatedProperties"),
    int: ("items", "unevaluatedItems"),
}


def _at(value: JsonValue, at: str | int) -> list[JsonValue]:
    """Return the member or item of a value, where it has one."""
    if isinstance(at, str):
        return [value[at]] if isinstance(value, dict) and at in value else []
    return listed(value)[at : at + 1]


def _names(node: dict[str, JsonValue]) -> list[str]:
    """List the names that a subschema says, as far as it says them in full."""
    names = [*named(node.get("properties")), *strings(node.get("required"))]
    for trigger, needed in named(node.get("dependentRequired")).items():
        names += [trigger, *strings(needed)]
    allowed = named(node.get("propertyNames"))
    return names + strings(allowed.get("enum")) + strings([allowed.get("const")])


def _order(place: Place) -> tuple[tuple[bool, str, int], ...]:
    """Sort places as they stand in the document, as far as names go."""
    return tuple(
        (isinstance(part, int), str(part), part if isinstance(part, int) else 0) for part in place
    )
