"""Rewrites schemas of clients: an older draft to 2020-12, and references where one moves.

Vercel's AI SDK and others declare draft 7. Only what the drafts write differently is changed.
"""

from collections.abc import Callable
from typing import Final

from lakehouse.core.integers import whole_number
from lakehouse.core.json_text import ENCODER, JsonValue, parse_bytes
from lakehouse.validation.schema_document import HOLD_NAMED, HOLD_ONE, LISTED, REFERENCES

_OLDER: Final = frozenset(
    f"{scheme}://json-schema.org/draft-0{number}/schema"
    for scheme in ("http", "https")
    for number in (6, 7)
)
# Beside `$ref`, draft 7 ignores everything; these are reached by references, or assert nothing.
_BESIDE_REFERENCE: Final = frozenset(
    {"$ref", "$defs", "definitions", "$comment", "title", "description", "default", "examples"}
)
_Node = dict[str, JsonValue]


def in_newest_dialect(raw: bytes) -> bytes:
    """Translate a schema that declares draft 6 or 7 to 2020-12; return any other unchanged.

    One that declares nothing keeps all but `dependencies`, which 2020-12 would pass over.
    `raw` is JSON that `json_text.parse` accepts. Its values, not its bytes, stay as they were.
    """
    if b'"$schema"' not in raw and b'"dependencies"' not in raw:
        return raw
    root = parse_bytes(raw)
    if not isinstance(root, dict):
        return raw
    if "$schema" not in root and b'"dependencies"' in raw:
        return ENCODER.encode(rewritten(root, _with_dependents))
    if str(root.get("$schema")).removesuffix("#") not in _OLDER:
        return raw
    return ENCODER.encode(rewritten(root, lambda node: _newer(node, root)))


def moved(schema: _Node, pointer: str) -> _Node:
    """Let a schema's references hold where it stands inside another, at the JSON Pointer given.

    Raises:
        ValueError: A subschema has an `$id`, so that references in it start elsewhere.
    """

    def change(node: _Node) -> _Node:
        if isinstance(node.get("$id"), str):
            raise ValueError("$id")  # noqa: TRY004  the type is right, its place is not
        changed = {
            name: f"#{pointer}{target.removeprefix('#')}"
            for name in REFERENCES
            if isinstance(target := node.get(name), str) and _from_root(target)
        }
        return {**node, **changed}

    own = {name: value for name, value in schema.items() if name not in {"$id", "$schema"}}
    changed = rewritten(own, change)
    assert isinstance(changed, dict)
    return changed


def _from_root(reference: str) -> bool:
    """Return whether a reference names the document or a place in it, by a JSON Pointer."""
    return reference in {"", "#"} or reference.startswith("#/")


def rewritten(node: JsonValue, change: Callable[[_Node], _Node]) -> JsonValue:
    """Change each subschema, the inner ones first; a value of `const` is none."""
    if not isinstance(node, dict):
        return node
    done: _Node = {}
    for keyword, value in node.items():
        if isinstance(value, dict) and keyword in _NAMED:
            done[keyword] = {name: rewritten(one, change) for name, one in value.items()}
        elif isinstance(value, list) and keyword in _LISTED:
            done[keyword] = [rewritten(one, change) for one in value]
        elif keyword in _SINGLE:
            done[keyword] = rewritten(value, change)
        else:
            done[keyword] = value
    return change(done)


_NAMED: Final = HOLD_NAMED | {"dependencies"}
_LISTED: Final = LISTED | {"items"}
_RENAMED: Final = {
    "items": "prefixItems",
    "additionalItems": "items",
    "dependencies": "dependentSchemas",
}
_SINGLE: Final = HOLD_ONE | {"additionalItems"}


def _newer(node: _Node, root: _Node) -> _Node:
    node = {name: value for name, value in node.items() if name != "$schema"}
    target = node.get("$ref")
    if isinstance(target, str):
        node = {name: value for name, value in node.items() if name in _BESIDE_REFERENCE}
        return {**node, "$ref": _newer_reference(target, root)}
    rest = node.pop("additionalItems", None)
    if isinstance(node.get("items"), list):
        node["prefixItems"] = node.pop("items")
        if rest is not None:
            node["items"] = rest
    return _with_dependents(node)


def _with_dependents(node: _Node) -> _Node:
    needed = node.get("dependencies")
    if not isinstance(needed, dict):
        return node
    node = {name: value for name, value in node.items() if name != "dependencies"}
    names: _Node = {name: one for name, one in needed.items() if isinstance(one, list)}
    schemas: _Node = {name: one for name, one in needed.items() if name not in names}
    added: _Node = {"dependentRequired": names} if names else {}
    added |= {"dependentSchemas": schemas} if schemas else {}
    listed = node.get("allOf", [])
    if node.keys() & added.keys() and isinstance(listed, list):
        return {**node, "allOf": [*listed, added]}
    return {**node, **added}


def _newer_reference(target: str, root: _Node) -> str:
    """Correct a pointer through a keyword that has another name now."""
    if not target.startswith("#/"):
        return target
    steps = target[2:].split("/")
    place: JsonValue = root
    among_names = False  # the next step is a name that the schema's author chose
    for number, step in enumerate(steps):
        if isinstance(place, list):
            index = whole_number(step, len(place) - 1)
            place = None if index is None else place[index]
        elif isinstance(place, dict):
            inner = place.get(step.replace("~1", "/").replace("~0", "~"))
            if not among_names and (step != "items" or isinstance(inner, list)):
                steps[number] = _RENAMED.get(step, step)
            among_names = not among_names and step in _NAMED
            place = inner
    return "#/" + "/".join(steps)
