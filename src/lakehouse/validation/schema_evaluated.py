"""Which members and items a schema has evaluated, for `unevaluatedProperties` and `…Items`.

Source: JSON Schema 2020-12, core sections 10.3, 11.2 and 11.3. One choice of ours, made for
readers of findings: what `allOf`, references and the branch of a tagged union evaluate counts even
where they fail, so that one wrong value does not make every name of its schema "unevaluated" as
well. Whether the answer holds is the engine's to say and not touched by that.
"""

from collections.abc import Collection, Iterator

from lakehouse.core.json_text import JsonValue
from lakehouse.validation.raw_tree import Place
from lakehouse.validation.schema_document import REFERENCES, SchemaDocument
from lakehouse.validation.schema_engine import SchemaEngine
from lakehouse.validation.schema_tags import SchemaTags


def evaluated_names(
    document: SchemaDocument,
    engine: SchemaEngine,
    tags: SchemaTags,
    schema: Place,
    value: dict[str, JsonValue],
    *,
    own: bool = True,
) -> Collection[str]:
    """Name the members of an object that the subschema at a place has evaluated.

    Args:
        document: The schema.
        engine: Its compiled parts.
        tags: The tags of its unions.
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
    for branch in _applied(document, engine, tags, schema, value):
        names.update(evaluated_names(document, engine, tags, branch, value))
    return names


def evaluated_items(
    document: SchemaDocument,
    engine: SchemaEngine,
    tags: SchemaTags,
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
    for branch in _applied(document, engine, tags, schema, value):
        indexes.update(evaluated_items(document, engine, tags, branch, value))
    return indexes


def _applied(
    document: SchemaDocument,
    engine: SchemaEngine,
    tags: SchemaTags,
    schema: Place,
    value: JsonValue,
) -> Iterator[Place]:
    """Name the subschemas in place whose evaluations count for this value."""
    node = document.at(schema)
    assert isinstance(node, dict)
    for keyword in REFERENCES:
        if keyword in node:
            yield document.target(schema, keyword)
    for keyword in ("allOf", "anyOf", "oneOf"):
        branches = node.get(keyword)
        count = len(branches) if isinstance(branches, list) else 0
        places: list[Place] = [(*schema, keyword, index) for index in range(count)]
        held = [one for one in places if keyword == "allOf" or engine.holds(one, value)]
        yield from held
        if places and not held:
            decided = tags.decide(schema, keyword, value).branch
            if decided is not None:
                yield decided
    if "if" in node:
        here = (*schema, "if")
        holds = engine.holds(here, value)
        if holds:
            yield here
        chosen = (*schema, "then" if holds else "else")
        entered = isinstance(value, dict) and tags.tests_constants(here)
        if chosen[-1] in node and (entered or engine.holds(chosen, value)):
            yield chosen
    dependents = node.get("dependentSchemas")
    if isinstance(dependents, dict) and isinstance(value, dict):
        for trigger in dependents:
            branch = (*schema, "dependentSchemas", trigger)
            if trigger in value and engine.holds(branch, value):
                yield branch
