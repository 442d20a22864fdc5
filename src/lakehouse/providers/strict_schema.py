"""Whether a schema fits OpenAI's strict mode, and whether its artifacts are objects.

Strict mode knows a part of JSON Schema only (OpenAI's guide to structured outputs): every object is
closed and requires all its properties, and of the keywords that combine schemas only `anyOf` is
known. Other servers decode under the schema either way. If in doubt: not strict.
"""

from typing import Any, Final

import msgspec

_KEYWORDS: Final = frozenset(
    {
        "$defs", "$ref", "$schema", "additionalProperties", "anyOf", "const", "definitions",
        "description", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "items",
        "maxItems", "maximum", "minItems", "minimum", "multipleOf", "pattern", "properties",
        "required", "title", "type",
    }
)  # fmt: skip
_MAPS: Final = ("properties", "$defs", "definitions")


def may_be_strict(schema: bytes) -> bool:
    """Return whether OpenAI accepts a schema in strict mode; others get a 400 there."""
    value = msgspec.json.decode(schema)
    return isinstance(value, dict) and "anyOf" not in value and _fits(value)


def is_of_objects(schema: bytes) -> bool:
    """Return whether a schema accepts objects; json_object mode returns only those."""
    value = msgspec.json.decode(schema)
    kinds = value.get("type", "object") if isinstance(value, dict) else "object"
    return "object" in kinds if isinstance(kinds, list) else kinds == "object"


def _fits(node: Any) -> bool:
    if not isinstance(node, dict) or not _KEYWORDS.issuperset(node):
        return False
    if node.get("type") == "object" or "properties" in node:
        closed = node.get("additionalProperties") is False
        if not closed or set(node.get("properties", {})) != set(node.get("required", ())):
            return False
    inner = [node["items"]] if "items" in node else []
    inner += node.get("anyOf", ())
    for name in _MAPS:
        inner += node.get(name, {}).values()
    return all(map(_fits, inner))
