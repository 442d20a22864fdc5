"""Binds the members of an answer as SQL values, by the types of the schema.

- A member that the schema makes a list or an object is a LIST, STRUCT or MAP of typed values,
  whatever its value: empty, null or missing ones have that type too. Members that an object lacks
  are NULL; members that the schema does not name are not there, and one that only another branch
  of the schema names is NULL unless it has the type from there.
- Text is VARCHAR, booleans are BOOLEAN. Integers are BIGINT, or HUGEINT where one of the rule's
  values is beyond 64 bits. Other numbers are DOUBLE, or DECIMAL(38, s) where the schema says
  `multipleOf` 10^-s. A value that no such type holds is an error of the answer.
- A value with no type or several types in the schema is JSON text. As a member of the answer it is
  bound by its value: a scalar as itself (integers up to 128 bits, larger ones as text), a list or
  an object as JSON text.

The rule's text gets casts around its parameters. They hold types and member names of the schema,
quoted, and never a value.
"""

import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from lakehouse.core.json_text import JsonScalar, JsonValue, dumps, exact
from lakehouse.core.shape import Shape
from lakehouse.sql.quoting import quoted_name

_INTEGER_MAX: Final = 2**127 - 1
_BIGINT_MAX: Final = 2**63 - 1
_DIGITS_MAX: Final = 64  # of a decimal in digits; a longer one fits no DECIMAL
_NESTED: Final = frozenset({"list", "struct", "map"})
_SCALARS: Final = {"boolean": "BOOLEAN", "number": "DOUBLE", "text": "VARCHAR", "json": "JSON"}
_PARAMETER: Final = re.compile(rb'\$(?:"(?:[^"]|"")*"|[\w\x80-\xff]+)')


class BindingFault(ValueError):
    """A value that SQL cannot represent; the text says which and why."""


class PreparedRule(msgspec.Struct, frozen=True, eq=False):
    """A rule that parses. `members` are the names it binds, sorted; `tables` what it reads.

    `query` is its text with typed parameters, `wide_query` the same for integers beyond 64 bits.
    `samples` are answers to try it on.
    """

    sql: str
    query: str
    wide_query: str
    members: tuple[str, ...]
    tables: frozenset[str]
    shapes: Mapping[str, Shape] = {}
    samples: tuple[Mapping[str, JsonValue], ...] = ()


class BoundRule(msgspec.Struct, frozen=True):
    """A rule's text and its parameters, ready to run."""

    query: str
    values: dict[str, JsonScalar]


def bind(rule: PreparedRule, members: Mapping[str, JsonValue]) -> BoundRule:
    """Bind the members of one answer.

    Raises:
        BindingFault: A value is beyond its type.
    """
    values: dict[str, JsonScalar] = {}
    wide = False
    for name in rule.members:
        value = members.get(name)
        shape = rule.shapes.get(name)
        if shape is None or shape.kind not in _NESTED:
            values[name] = _plain(value)
            continue
        values[name] = None if value is None else dumps(_typed(value, shape, f"${name}"))
        wide = wide or _is_wide(value)
    return BoundRule(rule.wide_query if wide else rule.query, values)


def with_types(
    sql: str, places: Iterable[tuple[str, int]], shapes: Mapping[str, Shape], *, wide: bool
) -> str:
    """Add casts around the parameters of a rule that are lists and objects.

    Args:
        sql: The rule.
        places: The parameters: name, and where it begins in the rule's bytes.
        shapes: The types of the members that have one.
        wide: Whether integers take 128 bits.

    Raises:
        BindingFault: A parameter is not at its stated place.
    """
    text = sql.encode("utf-8")
    # From the end, so that earlier places stay valid.
    for name, start in sorted(set(places), key=lambda place: -place[1]):
        shape = shapes.get(name)
        if shape is None or shape.kind not in _NESTED:
            continue
        found = _PARAMETER.match(text, start) if start < len(text) else None
        if found is None:
            raise BindingFault(f"${name} cannot be found in the rule's text")
        cast = b"CAST(CAST(%b AS JSON) AS %b)" % (found[0], _type(shape, wide=wide).encode())
        text = text[:start] + cast + text[found.end() :]
    return text.decode("utf-8")


def quoted(name: str) -> str:
    """Quote any name for SQL. NUL is refused: SQL text cannot contain it."""
    if "\0" in name:
        raise BindingFault("a name contains NUL")
    return quoted_name(name)


def _type(shape: Shape, *, wide: bool) -> str:
    if shape.kind == "integer":
        return "HUGEINT" if wide else "BIGINT"
    if shape.kind == "decimal":
        return f"DECIMAL(38, {shape.scale})"
    if shape.kind == "struct":
        members = (f"{quoted(name)} {_type(one, wide=wide)}" for name, one in shape.members)
        return f"STRUCT({', '.join(members)})"
    if shape.item is not None:
        item = _type(shape.item, wide=wide)
        return f"{item}[]" if shape.kind == "list" else f"MAP(VARCHAR, {item})"
    return _SCALARS[shape.kind]


def _typed(value: JsonValue, shape: Shape, at: str) -> JsonValue:
    """Convert a value to a form that DuckDB casts to the shape's type without loss."""
    if value is None:
        return None
    match shape.kind:
        case "list" if isinstance(value, list) and shape.item is not None:
            return [_typed(one, shape.item, f"{at}[{n}]") for n, one in enumerate(value, start=1)]
        case "map" if isinstance(value, dict) and shape.item is not None:
            return {name: _typed(one, shape.item, f"{at}[{name!r}]") for name, one in value.items()}
        case "struct" if isinstance(value, dict):
            return {
                name: _typed(value.get(name), one, f"{at}.{name}") for name, one in shape.members
            }
        case "text" if isinstance(value, str):
            return value
        case "boolean" if isinstance(value, bool):
            return value
        case "json":
            return value
        case "integer" | "decimal" | "number" if isinstance(
            value, int | float | Decimal
        ) and not isinstance(value, bool):
            return _number(value, shape, at)
        case _:
            return None


def _number(value: float | Decimal, shape: Shape, at: str) -> JsonValue:
    if shape.kind == "number":
        try:
            double = float(value)
        except OverflowError:
            double = math.inf
        if math.isinf(double):
            raise BindingFault(f"{at} is outside the range of numbers in SQL rules")
        return double
    number = exact(value)
    if number.adjusted() >= _DIGITS_MAX:
        raise BindingFault(f"{at} is outside the range of numbers in SQL rules")
    if shape.kind == "decimal":
        return format(number, "f") if number.adjusted() > -_DIGITS_MAX else "0"
    whole = int(number)
    if whole != number:
        return None  # of another branch, as above
    if not -_INTEGER_MAX <= whole <= _INTEGER_MAX:
        raise BindingFault(f"{at} is an integer beyond 128 bits")
    # A text, because JSON numbers beyond 64 bits would be read as doubles.
    return whole if -_BIGINT_MAX <= whole <= _BIGINT_MAX else str(whole)


def _is_wide(value: JsonValue) -> bool:
    """Return whether an integer in a value exceeds 64 bits."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, list):
            pending += one
        elif isinstance(one, dict):
            pending += one.values()
        elif isinstance(one, int | float | Decimal) and not _fits(one):
            return True
    return False


def _fits(number: float | Decimal) -> bool:
    return -_BIGINT_MAX <= exact(number) <= _BIGINT_MAX


def _plain(value: JsonValue) -> JsonScalar:
    if isinstance(value, list | dict):
        return dumps(value)
    if isinstance(value, Decimal) and math.isfinite(float(value)):
        return float(value)
    if isinstance(value, Decimal) or (
        isinstance(value, int) and not -_INTEGER_MAX <= value <= _INTEGER_MAX
    ):
        return str(value)
    return value
