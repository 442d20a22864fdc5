"""Writes one schema that says what two say together, in a form that models decode under.

Endpoints with strict structured output take no `allOf`, and grammars follow it poorly. So keywords
that both schemas have are united: members, bounds, types, listed values, branches of `anyOf`. A
part that has any other asserting keyword stands as the `allOf` of both. Notes of the first hold.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import product
from typing import Any, Final

from lakehouse.core.json_text import (
    ENCODER,
    JsonError,
    JsonValue,
    equal_values,
    parse_bytes,
    pointer_parts,
)
from lakehouse.core.limits import SCHEMA_BYTES_MAX
from lakehouse.validation.closed_schema import closed
from lakehouse.validation.exclusive_branches import types_of
from lakehouse.validation.narrowed_places import NOTES, kept_notes, without_notes
from lakehouse.validation.schema_document import (
    ALONE,
    HOLD_NAMED,
    HOLD_ONE,
    LISTED,
    SchemaDocument,
    SchemaError,
    listed,
    named,
    strings,
)

_Node = dict[str, JsonValue]

_OF_OBJECTS: Final = frozenset({"properties", "required", "additionalProperties"})
_UNITED: Final = ALONE | _OF_OBJECTS | {"items", "anyOf", "format"}
# What looks at its neighbours, or at the same value once more.
_APART: Final = (HOLD_ONE | HOLD_NAMED | LISTED | {"$ref", "dependentRequired"}) - _UNITED - NOTES
_TIGHTER: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
    "uniqueItems": max,
}
# Past these limits parts stay apart: references and branches can multiply.
_STEPS_MAX: Final = 2_000
_OPENED_MAX: Final = 64
_DEPTH_MAX: Final = 64
_BRANCHES_MAX: Final = 16
_COMPARED_MAX: Final = 10_000  # pairs of listed values


def merged(both: SchemaDocument) -> bytes:
    """Merge the two schemas of a document `{"allOf": [first, second]}`; the first one leads.

    What the result accepts is what the document accepts. Its only references are `#/$defs/…` of
    its root. Where merging would make it too large or too deep, it is the document itself. Cost:
    about 0.3 ms for two schemas of 1 KB.
    """
    form = closed(both)
    definitions = named(form.get("$defs"))
    left, right = listed(form["allOf"])
    node = _Merging(definitions).met(left, right)
    if node is False:
        node = {"not": {}}
    assert isinstance(node, dict)
    if len(ENCODER.encode(node)) <= SCHEMA_BYTES_MAX:
        with suppress(SchemaError, JsonError):
            raw = ENCODER.encode(closed(SchemaDocument({**node, "$defs": definitions})))
            parse_bytes(raw)  # it may be too deep
            if len(raw) <= SCHEMA_BYTES_MAX:
                return raw
    return ENCODER.encode(form)


class _Merging:
    def __init__(self, definitions: _Node) -> None:
        self._definitions = definitions
        self._steps = _STEPS_MAX
        self._opened_left = _OPENED_MAX
        self._depth = 0
        self._under_way: set[tuple[str, str]] = set()

    def met(self, left: JsonValue, right: JsonValue) -> JsonValue:
        """Return the schema of the values that satisfy both; False where there is none."""
        if equal_values(left, right) or left is False or right is True:
            return left
        if right is False or left is True:
            return right
        assert isinstance(left, dict)
        assert isinstance(right, dict)
        if not without_notes(left) or not without_notes(right):
            return {**right, **left}
        self._steps -= 1
        united = None
        if self._steps >= 0 and self._depth < _DEPTH_MAX:
            self._depth += 1
            united = self._opened(left, right)
            self._depth -= 1
        return {"allOf": [left, right]} if united is None else united

    def _opened(self, left: _Node, right: _Node) -> JsonValue:
        """Unite two schemas that may be references; None where they stay apart."""
        ours, theirs = _reference(left), _reference(right)
        if ours is None and theirs is None:
            return self._united(left, right)
        pair = (ours or "", theirs or "")
        self._opened_left -= 1
        if pair in self._under_way or self._opened_left < 0:
            return None
        recursive = ours is not None and theirs is not None
        if recursive:
            self._under_way.add(pair)
        target = self._target(left, ours)
        united = self.met(target, self._target(right, theirs))
        if recursive:
            self._under_way.remove(pair)
        return left if equal_values(united, target) else united

    def _target(self, node: _Node, name: str | None) -> JsonValue:
        if name is None:
            return node
        target = self._definitions[name]
        return {**target, **kept_notes(node)} if isinstance(target, dict) else target

    def _united(self, left: _Node, right: _Node) -> JsonValue:
        keywords = left.keys() | right.keys()
        if keywords & _APART:
            return None
        if "anyOf" in keywords:
            return self._branches(left, right)
        form: _Node = {}
        for keyword in dict.fromkeys([*left, *right]):
            if keyword in _OF_OBJECTS:
                continue
            if keyword not in right or (keyword in left and keyword not in _UNITED):
                form[keyword] = left[keyword]
            elif keyword not in left or equal_values(left[keyword], right[keyword]):
                form[keyword] = right[keyword]
            elif keyword == "items":
                form[keyword] = self.met(left[keyword], right[keyword])
            elif keyword in _TIGHTER and _plain_numbers(left[keyword], right[keyword]):
                form[keyword] = _TIGHTER[keyword](left[keyword], right[keyword])
            elif keyword not in {"type", "const", "enum"}:
                return None
        for narrow in (_with_types, _with_values):
            known = narrow(form, left, right)
            if known is not True:
                return known
        return self._with_members(form, left, right)

    def _with_members(self, form: _Node, left: _Node, right: _Node) -> JsonValue:
        ours, theirs = named(left.get("properties")), named(right.get("properties"))
        rest_left, rest_right = (one.get("additionalProperties", True) for one in (left, right))
        rest = self.met(rest_left, rest_right)
        members: _Node = {}
        for name in dict.fromkeys([*ours, *theirs]):
            member = self.met(ours.get(name, rest_left), theirs.get(name, rest_right))
            if member is not False or rest is not False:
                members[name] = member
        if "properties" in left or "properties" in right:
            form["properties"] = members
        required = [*strings(left.get("required")), *strings(right.get("required"))]
        if required:
            form["required"] = list(dict.fromkeys(required))
        if rest is not True:
            form["additionalProperties"] = rest
        return form

    def _branches(self, left: _Node, right: _Node) -> JsonValue:
        """Distribute what stands beside the branches over them."""
        apart = [{k: v for k, v in one.items() if k != "anyOf"} for one in (left, right)]
        beside = self.met(*apart)
        if not isinstance(beside, dict):
            return beside
        ways = [listed(one.get("anyOf", [True])) for one in (left, right)]
        if len(ways[0]) * len(ways[1]) > _BRANCHES_MAX:
            return None
        found: list[JsonValue] = []
        for one, other in product(*ways):
            way = self.met(self.met(one, other), without_notes(beside))
            if isinstance(way, dict) and "allOf" in way:
                return None
            if way is not False:
                found.append(way)
        if not found:
            return False
        (first, *others), notes = found, kept_notes(beside)
        if others:
            return {**notes, "anyOf": found}
        return {**first, **notes} if isinstance(first, dict) else notes


def _with_types(form: _Node, left: _Node, right: _Node) -> bool:
    """Write the types that both allow; False where there is none."""
    ours, theirs = types_of(left), types_of(right)
    if ours is None or theirs is None or ours == theirs:
        return True
    wide = [types | ({"integer"} if "number" in types else set()) for types in (ours, theirs)]
    shared = wide[0] & wide[1]
    if "number" in shared:
        shared -= {"integer"}
    names: list[JsonValue] = [*sorted(shared)]
    form["type"] = names[0] if len(names) == 1 else names
    return bool(shared)


def _with_values(form: _Node, left: _Node, right: _Node) -> bool | None:
    """Write the listed values that both allow; False where there is none, None if too many."""
    ours, theirs = _values(left), _values(right)
    if ours is None or theirs is None:
        return True
    if len(ours) * len(theirs) > _COMPARED_MAX:
        return None
    shared = [one for one in ours if any(equal_values(one, other) for other in theirs)]
    for keyword in ("const", "enum"):
        form.pop(keyword, None)
    form |= {"const": shared[0]} if len(shared) == 1 else {"enum": shared}
    return bool(shared)


def _values(node: _Node) -> list[JsonValue] | None:
    if "const" not in node:
        return listed(node["enum"]) if "enum" in node else None
    only = node["const"]
    among = listed(node.get("enum", [only]))
    return [one for one in among if equal_values(one, only)]


def _plain_numbers(*numbers: JsonValue) -> bool:
    """Return whether numbers compare exactly; a float beside a Decimal does not."""
    return all(isinstance(one, int | float) for one in numbers)


def _reference(node: _Node) -> str | None:
    """Return the definition that a subschema is, if it is nothing else."""
    asserted = node.keys() - NOTES
    return pointer_parts(str(node["$ref"])[1:])[-1] if asserted == {"$ref"} else None
