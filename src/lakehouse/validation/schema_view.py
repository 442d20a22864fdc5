"""What a schema allows at a place of an answer, asked before there is any answer.

A view is the list of ways in which a value can hold the schema: one choice of branches each, with
the subschemas that then apply together. `$ref`, `allOf`, `anyOf`, `oneOf`, `if` and
`dependentSchemas` are resolved; `const` and `enum` count as the values that they list.

A view errs to one side only. Where a schema is too large to tell every choice apart, or says
something in a form that is not looked into (`not`, `contains`, bounds), more is held possible
than is: what a view calls impossible no value of the schema has.
"""

from collections.abc import Iterator, Sequence

import msgspec

from lakehouse.core.json_text import JsonValue
from lakehouse.validation.raw_tree import ROOT, Place
from lakehouse.validation.schema_choices import (
    ALTERNATIVES_MAX,
    VALUES_MAX,
    Alternative,
    SchemaChoices,
    strings,
)
from lakehouse.validation.schema_document import SchemaDocument
from lakehouse.validation.schema_engine import SchemaEngine


class SchemaView:
    """What can stand at one place. Cost: about 0.1 ms a step for a schema of 1 KB."""

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
        """View the members that the schema gives no name; None where a branch leaves them open."""
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
        node = self._document.at(place)
        if isinstance(node, bool):
            return
        patterns = node.get("patternProperties")
        for pattern in patterns if isinstance(patterns, dict) else ():
            yield (*place, "patternProperties", pattern)
        for keyword in ("additionalProperties", "unevaluatedProperties"):
            if keyword in node and node[keyword] not in (True, {}):
                yield (*place, keyword)

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

    def named(self) -> "SchemaView":
        """View only what the schema names, where it names this place in some branch."""
        declared = [one for one in self.alternatives if one.declared]
        return self._made(declared) if declared else self

    def branches(self) -> "list[SchemaView]":
        """Give a view of each alternative by itself."""
        return [self._made([one]) for one in self.alternatives]

    def nodes(self) -> Iterator[tuple[Alternative, dict[str, JsonValue]]]:
        """Give each subschema that applies here, with the alternative that it belongs to."""
        for alternative in self.alternatives:
            for place in sorted(alternative.nodes, key=_order):
                node = self._document.at(place)
                if isinstance(node, dict):
                    yield alternative, node

    def holds(self, value: JsonValue) -> bool:
        """Tell whether a value holds everything of one alternative."""
        return any(self._choices.fits(one.nodes, value) for one in self.alternatives)

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

    def _member(self, alternative: Alternative, name: str) -> list[Alternative]:
        self._choices.take(2 * len(alternative.nodes))
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
        return self._choices.held(
            children,
            values,
            exact=alternative.exact,
            declared=declared and alternative.declared,
        )

    def _item(self, alternative: Alternative, index: int) -> list[Alternative]:
        self._choices.take(2 * len(alternative.nodes))
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
        return self._choices.held(
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
        names += strings(node.get("required"))
        dependents = node.get("dependentRequired")
        for trigger, needed in (dependents if isinstance(dependents, dict) else {}).items():
            names += [trigger, *strings(needed)]
        allowed = node.get("propertyNames")
        if isinstance(allowed, dict):
            names += strings(allowed.get("enum")) + strings([allowed.get("const")])
        return names

    def _evaluates(
        self, place: Place, at: str | int, nodes: frozenset[Place], *, own: bool = True
    ) -> bool:
        """Tell whether a subschema, or one applied in place by it, looks at a member or item."""
        self._choices.take()
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
            self._evaluates(one, at, nodes)
            for one in self._choices.applied(place, node)
            if one in nodes
        )


def _order(place: Place) -> tuple[tuple[bool, str, int], ...]:
    """Sort places as they stand in the document, as far as names go."""
    return tuple(
        (isinstance(part, int), str(part), part if isinstance(part, int) else 0) for part in place
    )
