"""Which members and items a schema has evaluated, for `unevaluatedProperties` and `…Items`.

Source: JSON Schema 2020-12, core sections 10.3, 11.2 and 11.3. One choice of ours, made for
readers of findings: what `allOf`, references and the branch of a tagged union evaluate counts even
where they fail, so that one wrong value does not make every name of its schema "unevaluated" as
well. Whether the answer holds is the engine's to say and not touched by that.
"""

from collections.abc import Collection, Iterator

from lakehouse.core.json_text import JsonValue
from lakehouse.validation.raw_tree import Place
from lakehouse.validation.schema_document import SchemaDocument, listed, named
from lakehouse.validation.schema_engine import SchemaEngine
from lakehouse.validation.schema_tags import SchemaTags


def evaluated(
    document: SchemaDocument,
    engine: SchemaEngine,
    tags: SchemaTags,
    schema: Place,
    value: dict[str, JsonValue] | list[JsonValue],
    *,
    own: bool = True,
) -> Collection[str | int]:
    """Name the members or positions of a value that the subschema at a place has evaluated.

    Args:
        document: The schema.
        engine: Its compiled parts.
        tags: The tags of its unions.
        schema: The place of the subschema.
        value: The object or array.
        own: Whether the subschema's own `unevaluatedProperties` or `unevaluatedItems` counts.
    """
    node = document.node(schema)
    found: set[str | int] = set()
    if isinstance(value, dict):
        if "additionalProperties" in node or (own and "unevaluatedProperties" in node):
            return value.keys()
        found.update(value.keys() & named(node.get("properties")).keys())
        for pattern in named(node.get("patternProperties")):
            found.update(name for name in value if engine.matches(pattern, name))
    else:
        if "items" in node or (own and "unevaluatedItems" in node):
            return range(len(value))
        found.update(range(min(len(listed(node.get("prefixItems"))), len(value))))
        if "contains" in node:
            here = (*schema, "contains")
            found.update(index for index, item in enumerate(value) if engine.holds(here, item))
    for branch in _applied(document, engine, tags, schema, value):
        found.update(evaluated(document, engine, tags, branch, value))
    return found


def _applied(
    document: SchemaDocument,
    engine: SchemaEngine,
    tags: SchemaTags,
    schema: Place,
    value: JsonValue,
) -> Iterator[Place]:
    """Name the subschemas in place whose evaluations count for this value."""
    node = document.node(schema)
    yield from document.references(schema)
    for keyword in ("allOf", "anyOf", "oneOf"):
        places = document.branches(schema, keyword)
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
    for trigger in named(value).keys() & named(node.get("dependentSchemas")).keys():
        branch = (*schema, "dependentSchemas", trigger)
        if engine.holds(branch, value):
            yield branch
