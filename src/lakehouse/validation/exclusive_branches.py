"""Tells whether two subschemas can accept the same value, by their types and their tags."""

from typing import Final

from lakehouse.core.json_text import JsonValue
from lakehouse.validation.schema_document import listed, named, strings

_OBJECT: Final = frozenset({"object"})


def types_of(node: dict[str, JsonValue]) -> frozenset[str] | None:
    """Return the types that a subschema names; None where it names none."""
    kind = node.get("type")
    if kind is None:
        return None
    return frozenset([kind] if isinstance(kind, str) else strings(kind))


def apart(left: dict[str, JsonValue], right: dict[str, JsonValue]) -> bool:
    """Return whether no value satisfies both: their types differ, or a tag that both require.

    False where it cannot be told by these two.
    """
    types, others = types_of(left), types_of(right)
    if types is None or others is None:
        return False
    if not _met(types, others):
        return True
    if types != _OBJECT or others != _OBJECT:
        return False
    both = set(strings(left.get("required"))) & set(strings(right.get("required")))
    return any(_tagged(_tags(left, name), _tags(right, name)) for name in both)


def _met(left: frozenset[str], right: frozenset[str]) -> bool:
    numbers = {"integer", "number"}
    return bool(left & right) or bool(left & numbers and right & numbers)


def _tagged(left: frozenset[str], right: frozenset[str]) -> bool:
    return bool(left) and bool(right) and not left & right


def _tags(node: dict[str, JsonValue], name: str) -> frozenset[str]:
    """Return the texts that a member can be; none where it can be anything else."""
    member = named(named(node.get("properties")).get(name))
    values = [member["const"]] if "const" in member else listed(member.get("enum"))
    texts = frozenset(strings(values))
    return texts if len(texts) == len(values) else frozenset()
