"""Which members or items of a value its schema has evaluated, as `unevaluated…` needs to know it.

Whether a subschema holds is asked of the engine.
"""

from collections.abc import Collection, Iterator

from lakehouse.core.json_text import JsonValue
from lakehouse.validation.raw_tree import Place
from lakehouse.validation.schema_document import SchemaDocument, listed, named
from lakehouse.validation.schema_engine import SchemaEngine
from lakehouse.validation.schema_tags import SchemaTags


class EvaluatedParts:
    """What the subschemas of one schema evaluate."""

    def __init__(self, document: SchemaDocument, engine: SchemaEngine, tags: SchemaTags) -> None:
        self._document = document
        self._engine = engine
        self._tags = tags

    def of(
        self, schema: Place, value: dict[str, JsonValue] | list[JsonValue], *, own: bool = True
    ) -> Collection[str | int]:
        """Name the members or positions of a value that the subschema at a place has evaluated.

        What `allOf`, references and the branch of a tagged union evaluate counts even where they
        fail, so that one wrong value does not make every name of its schema "unevaluated" as well.
        `own` is whether the subschema's own `unevaluatedProperties` or `unevaluatedItems` counts.

        Source: JSON Schema 2020-12, core sections 10.3, 11.2 and 11.3, that choice aside.
        """
        node = self._document.node(schema)
        found: set[str | int] = set()
        if isinstance(value, dict):
            if "additionalProperties" in node or (own and "unevaluatedProperties" in node):
                return value.keys()
            found.update(value.keys() & named(node.get("properties")).keys())
            for pattern in named(node.get("patternProperties")):
                found.update(name for name in value if self._engine.matches(pattern, name))
        else:
            if "items" in node or (own and "unevaluatedItems" in node):
                return range(len(value))
            found.update(range(min(len(listed(node.get("prefixItems"))), len(value))))
            if "contains" in node:
                here = (*schema, "contains")
                found.update(
                    index for index, item in enumerate(value) if self._engine.holds(here, item)
                )
        for branch in self._evaluating(schema, value):
            found.update(self.of(branch, value))
        return found

    def _evaluating(self, schema: Place, value: JsonValue) -> Iterator[Place]:
        """Name the subschemas in place whose evaluations count for this value."""
        node = self._document.node(schema)
        yield from self._document.references(schema)
        for keyword in ("allOf", "anyOf", "oneOf"):
            places = self._document.branches(schema, keyword)
            held = [one for one in places if keyword == "allOf" or self._engine.holds(one, value)]
            yield from held
            if places and not held:
                decided = self._tags.decide(schema, keyword, value).branch
                if decided is not None:
                    yield decided
        if "if" in node:
            here = (*schema, "if")
            holds = self._engine.holds(here, value)
            if holds:
                yield here
            chosen = (*schema, "then" if holds else "else")
            entered = isinstance(value, dict) and self._tags.tests_constants(here)
            if chosen[-1] in node and (entered or self._engine.holds(chosen, value)):
                yield chosen
        for trigger in named(value).keys() & named(node.get("dependentSchemas")).keys():
            branch = (*schema, "dependentSchemas", trigger)
            if self._engine.holds(branch, value):
                yield branch
