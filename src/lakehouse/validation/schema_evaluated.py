"""Which members and items a schema has evaluated, for `unevaluatedProperties` and `…Items`.

Source: JSON Schema 2020-12, core sections 10.3, 11.2 and 11.3. One choice of ours, made for
readers of findings: what `allOf` and references evaluate counts even where they fail, so that one
wrong value does not make every name of its schema "unevaluated" as well. Whether the answer holds
is the engine's to say and not touched by that.
"""

from collections.abc import Collection, Iterator

from lakehouse.core.json_text import JsonValue
from lakehouse.validation.raw_tree import Place
from lakehouse.validation.schema_document import REFERENCES, SchemaDocument
from lakehouse.validation.schema_engine import SchemaEngine


def evaluated_names(
    document: SchemaDocument,
    engine: SchemaEngine,
    schema: Place,
    value: dict[str, JsonValue],
    *,
    own: bool = True,
) -> Collection[str]:
    """Name the members of an object that the subschema at a place has evaluated.

    Args:
        document: The schema.
        engine: Its compiled parts.
        schema: The place of the subschema.
        value: The object.
        own: Whether the subschema's own `unevaluatedProperties` counts.
    """
    node = document.at(schema)
    if isinstance(node, bool):
        return ()
    if "additionalProperties" in node or (own and "unevaluatedProperties" in node):
        return value.keys()
    names: set[str] = set()
    properties = node.get("properties")
    if isinstance(properties, dict):
        names.update(value.keys() & properties.keys())
    patterns = node.get("patternProperties")
    for pattern in patterns if isinstance(patterns, dict) else ():
        names.update(name for name in value if engine.matches(pattern, name))
    for branch in _applied(document, engine, schema, node, value):
        names.update(evaluated_names(document, engine, branch, value))
    return names


def evaluated_items(
    document: SchemaDocument,
    engine: SchemaEngine,
    schema: Place,
    value: list[JsonValue],
    *,
    own: bool = True,
) -> Collection[int]:
    """Name the positions of an array that the subschema at a place has evaluated.

    The arguments are those of `evaluated_names`.
    """
    node = document.at(schema)
    if isinstance(node, bool):
        return ()
    if "items" in node or (own and "unevaluatedItems" in node):
        return range(len(value))
    indexes: set[int] = set()
    prefix = node.get("prefixItems")
    if isinstance(prefix, list):
        indexes.update(range(min(len(prefix), len(value))))
    if "contains" in node:
        here = (*schema, "contains")
        indexes.update(index for index, item in enumerate(value) if engine.holds(here, item))
    for branch in _applied(document, engine, schema, node, value):
        indexes.update(evaluated_items(document, engine, branch, value))
    return indexes


def _applied(
    document: SchemaDocument,
    engine: SchemaEngine,
    schema: Place,
    node: dict[str, JsonValue],
    value: JsonValue,
) -> Iterator[Place]:
    """Name the subschemas in place whose evaluations count for this value."""
    for keyword in REFERENCES:
        if keyword in node:
            yield document.target(schema, keyword)
    for keyword in ("allOf", "anyOf", "oneOf"):
        branches = node.get(keyword)
        for index in range(len(branches) if isinstance(branches, list) else 0):
            branch = (*schema, keyword, index)
            if keyword == "allOf" or engine.holds(branch, value):
                yield branch
    if "if" in node:
        here = (*schema, "if")
        holds = engine.holds(here, value)
        if holds:
            yield here
        chosen = "then" if holds else "else"
        if chosen in node and engine.holds((*schema, chosen), value):
            yield (*schema, chosen)
    dependents = node.get("dependentSchemas")
    if isinstance(dependents, dict) and isinstance(value, dict):
        for trigger in dependents:
            branch = (*schema, "dependentSchemas", trigger)
            if trigger in value and engine.holds(branch, value):
                yield branch
