"""The types of an answer's members, derived from its schema, for SQL.

A type is returned only if the schema allows exactly one: text, a number, a boolean, a list of one
type, an object with named members, or a map of one type. Of a member that one branch names and
another leaves open, the type is that of the branch that names it. Everything else is `json`: values
without a type or with several, a schema within itself, names that SQL cannot tell apart.
"""

from decimal import Decimal
from typing import Final

from lakehouse.core.json_text import JsonValue
from lakehouse.core.shape import Shape
from lakehouse.validation.raw_tree import Place
from lakehouse.validation.schema import CompiledSchema
from lakehouse.validation.schema_choices import ViewTooLarge
from lakehouse.validation.schema_view import SchemaView

_JSON: Final = Shape("json")
_DEPTH_MAX: Final = 12
_MEMBERS_MAX: Final = 1_000  # of one object
_SCALE_MAX: Final = 18  # digits after the point of a `multipleOf` that is a power of ten

_Nodes = frozenset[frozenset[Place]]


def member_shapes(schema: CompiledSchema) -> dict[str, Shape]:
    """Return the types of the members that the schema names at its top, in its order."""
    try:
        view = schema.view()
        return {name: _shape(view.member(name).named(), ()) for name in view.names()}
    except ViewTooLarge:
        return {}


def _shape(view: SchemaView, around: tuple[_Nodes, ...]) -> Shape:
    nodes = frozenset(one.nodes for one in view.alternatives)
    if not view.exact or nodes in around or len(around) >= _DEPTH_MAX:
        return _JSON
    types = view.types - {"null"}
    if types == {"boolean"}:
        return Shape("boolean")
    if types == {"string"}:
        return Shape("text")
    if types == {"integer"}:
        return Shape("integer")
    if types and types <= {"integer", "number"}:
        scale = _scale(view)
        return Shape("number") if scale is None else Shape("decimal", scale=scale)
    inside = (*around, nodes)
    if types == {"array"}:
        items = view.items()
        return Shape("list", item=_shape(items, inside) if items.possible else _JSON)
    if types == {"object"}:
        return _object(view, inside)
    return _JSON


def _object(view: SchemaView, inside: tuple[_Nodes, ...]) -> Shape:
    names = view.names()
    if not names:
        rest = view.rest()
        return Shape("map", item=_shape(rest, inside)) if rest and rest.possible else _JSON
    folded = {name.casefold() for name in names}
    if len(folded) < len(names) or len(names) > _MEMBERS_MAX:
        return _JSON
    if any(name == "" or "\0" in name for name in names):
        return _JSON
    return Shape(
        "struct", members=tuple((name, _shape(view.member(name).named(), inside)) for name in names)
    )


def _scale(view: SchemaView) -> int | None:
    """Return the digits after the point that every branch bounds with `multipleOf`, if all do."""
    scales = []
    for branch in view.branches():
        found = [_digits(node.get("multipleOf")) for _, node in branch.nodes()]
        scale = max((one for one in found if one is not None), default=None)
        if scale is None and "number" in branch.types:
            return None
        scales.append(scale or 0)
    return max(scales)


def _digits(step: JsonValue) -> int | None:
    if isinstance(step, bool) or not isinstance(step, int | float | Decimal):
        return None
    number = Decimal(repr(step)) if isinstance(step, float) else Decimal(step)
    sign, digits, exponent = number.normalize().as_tuple()
    if sign or digits != (1,) or not isinstance(exponent, int) or not -_SCALE_MAX <= exponent < 0:
        return None
    return -exponent
