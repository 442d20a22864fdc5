"""The root of an output type's schema: an object, and without what only repeats names."""

from typing import Any, Final

from lakehouse.core.json_text import pointer_parts
from lakehouse.output_types.reading import WRAPPED_MEMBER
from lakehouse.validation.schema_document import children

_DEFINITIONS: Final = "#/$defs/"
_ELSEWHERE: Final = ("$schema", "$defs")  # what belongs to the root of a document


def is_of_object(schema: dict[str, Any]) -> bool:
    """Return whether the values of a schema are objects, and it says so at its root."""
    node, steps = schema, 0
    while "$ref" in node and steps < len(schema.get("$defs", {})) + 1:
        node, steps = _target(schema, node["$ref"]), steps + 1
    return bool(node.get("type", "object" if "properties" in node else "") == "object")


def with_plain_root(schema: dict[str, Any]) -> dict[str, Any]:
    """Put the members of the definition that the root refers to at the root."""
    reference = schema.get("$ref", "")
    if not reference.startswith(_DEFINITIONS):
        return schema
    (name,) = pointer_parts(reference.removeprefix("#/$defs"))
    definitions = schema["$defs"]
    beside = {key: value for key, value in schema.items() if key not in {"$ref", "$defs"}}
    root = {**definitions[name], **beside}
    others = {key: value for key, value in definitions.items() if key != name}
    if reference in _references({**root, "$defs": definitions}):
        others = definitions
    return {**root, "$defs": others} if others else root


def wrapped_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Make the schema of an object with one member, whose values are those of a schema."""
    inner = {key: value for key, value in schema.items() if key not in _ELSEWHERE}
    outer: dict[str, Any] = {key: schema[key] for key in _ELSEWHERE if key in schema}
    if "$id" in schema:  # its references start at itself, wherever it stands
        inner, outer = schema, {}
    else:
        inner, outer = _moved(inner), _moved(outer)
    return {
        **outer,
        "type": "object",
        "properties": {WRAPPED_MEMBER: inner},
        "required": [WRAPPED_MEMBER],
        "additionalProperties": False,
    }


def without_titles(node: Any, name: str) -> Any:
    """Leave out titles that say a name again: of the member, the definition or the type."""
    if not isinstance(node, dict):
        return node
    copy = dict(node)
    title = copy.get("title")
    if isinstance(title, str) and _letters(name).endswith(_letters(title)):
        del copy["title"]
    for place, child in children(node, ()):
        inner = without_titles(child, str(place[-1]))
        if len(place) == 1:
            copy[str(place[0])] = inner
        else:
            holder = copy[str(place[0])]
            if holder is node[str(place[0])]:
                holder = copy[str(place[0])] = holder.copy()
            holder[place[1]] = inner
    return copy


def _moved(node: Any) -> Any:
    """Lead the references of a schema to where its root is now; data in it stays as it is."""
    if not isinstance(node, dict) or "$id" in node:
        return node
    copy = without_titles(node, "")  # a copy of every schema in it
    waiting = [copy]
    while waiting:
        one = waiting.pop()
        for keyword in ("$ref", "$dynamicRef"):
            reference = one.get(keyword)
            inside = reference == "#" or str(reference).startswith("#/")
            if inside and not reference.startswith(_DEFINITIONS):
                one[keyword] = f"#/properties/{WRAPPED_MEMBER}" + reference[1:]
        inner = [child for _, child in children(one, ())]
        waiting += [child for child in inner if isinstance(child, dict) and "$id" not in child]
    return copy


def _target(schema: dict[str, Any], reference: str) -> dict[str, Any]:
    target: Any = schema
    try:
        for part in pointer_parts(reference.removeprefix("#")):
            target = target[int(part) if isinstance(target, list) else part]
    except (ValueError, LookupError, TypeError):
        return {}
    return target if isinstance(target, dict) else {}


def _references(schema: dict[str, Any]) -> set[str]:
    found, waiting = set(), [schema]
    while waiting:
        node = waiting.pop()
        if "$ref" in node:
            found.add(node["$ref"])
        waiting += [child for _, child in children(node, ()) if isinstance(child, dict)]
    return found


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).casefold()
