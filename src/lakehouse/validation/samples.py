"""Generates sample answers from a schema, to try a rule before the first real answer.

They have the types that the schema asks for and mostly its bounds, but make no sense otherwise.
Those that the schema accepts are returned; if it accepts none, all are: a trial allows for that.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Final

from lakehouse.core.json_text import JsonValue
from lakehouse.validation.schema import CompiledSchema
from lakehouse.validation.schema_choices import ViewTooLarge
from lakehouse.validation.schema_view import SchemaView

SAMPLES_MAX: Final = 24
_VARIANTS: Final = 6
_DEPTH_MAX: Final = 6
_ITEMS_MAX: Final = 2
_TEXTS: Final = ("text", "1", "2026-01-15", "A", "1.50", "a1")
_INTEGERS: Final = (1, 2, 0, 10, -1, 100)
_NUMBERS: Final = (1.5, 2, 0.25, 10, -1.5, 0)
_BOUNDS: Final = (
    ("minimum", 0),
    ("maximum", 0),
    ("exclusiveMinimum", 1),
    ("exclusiveMaximum", -1),
    ("multipleOf", 0),
)
_ORDER: Final = ("string", "integer", "number", "object", "array", "boolean")
_FORMATS: Final[dict[str, str]] = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T10:30:00Z",
    "time": "10:30:00Z",
    "duration": "PT1H",
    "uuid": "019ab3c4-d5e6-7f80-91a2-b3c4d5e6f708",
    "email": "a@example.org",
    "hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.org/a",
}


def samples_of(schema: CompiledSchema) -> tuple[dict[str, JsonValue], ...]:
    """Generate up to `SAMPLES_MAX` objects with every member that the schema names.

    Each branch of the schema yields some. Empty if an answer cannot be an object.
    """
    try:
        view = schema.view()
        made = list(islice(_objects(view), SAMPLES_MAX))
    except ViewTooLarge:
        return ()
    fitting = [sample for sample in made if schema.accepts(sample)]
    return tuple(fitting or made)


def _objects(view: SchemaView) -> Iterator[dict[str, JsonValue]]:
    for variant in range(_VARIANTS):
        for branch in view.branches():
            if "object" in branch.types:
                value = _object(branch, variant, 0)
                if isinstance(value, dict):
                    yield value


def _value(view: SchemaView, variant: int, depth: int) -> JsonValue:
    """Make a value for a place; null where none can be made in good time."""
    branches = [one for one in view.branches() if one.types != {"null"}]
    if not branches:
        return None
    branch = branches[variant % len(branches)]
    values = branch.alternatives[0].values
    if values is not None:
        return values[variant % len(values)]
    types = [name for name in _ORDER if name in branch.types]
    match types[variant % len(types)]:
        case "string":
            return _text(branch, variant)
        case "integer":
            return _number(branch, _INTEGERS, variant)
        case "number":
            return _number(branch, _NUMBERS, variant)
        case "boolean":
            return variant % 2 == 0
        case "array":
            return _array(branch, variant, depth)
        case _:
            return _object(branch, variant, depth)


def _object(branch: SchemaView, variant: int, depth: int) -> JsonValue:
    if branch.alternatives[0].values is not None:
        return branch.alternatives[0].values[0]
    if depth >= _DEPTH_MAX:
        return None
    names = branch.names()
    made = {name: _value(branch.member(name), variant, depth + 1) for name in names}
    rest = branch.rest() if not names else None
    if rest is not None:
        made["key"] = _value(rest, variant, depth + 1)
    # What is null because it would nest for ever is left out: null may not be allowed there.
    return {
        name: value
        for name, value in made.items()
        if value is not None or "null" in branch.member(name).types
    }


def _array(branch: SchemaView, variant: int, depth: int) -> JsonValue:
    if depth >= _DEPTH_MAX:
        return []
    least = max(
        [0, *(int(n) for _, node in branch.nodes() if isinstance(n := node.get("minItems"), int))]
    )
    items = []
    for index in range(max(min(least, 64), _ITEMS_MAX)):
        item = branch.item(index)
        if not item.possible:
            break
        items.append(_value(item, variant + index, depth + 1))
    return items


def _text(branch: SchemaView, variant: int) -> str:
    asked = [node["format"] for _, node in branch.nodes() if isinstance(node.get("format"), str)]
    for name in asked:
        if name in _FORMATS:
            return _FORMATS[str(name)]
    ordered = [*_TEXTS[variant % len(_TEXTS) :], *_TEXTS]
    least = max(
        [0, *(n for _, node in branch.nodes() if isinstance(n := node.get("minLength"), int))]
    )
    ordered += [text.ljust(min(least, 4_096), "a") for text in ordered]
    return next((text for text in ordered if branch.holds(text)), ordered[0])


def _number(branch: SchemaView, usual: Sequence[float], variant: int) -> JsonValue:
    ordered: list[JsonValue] = [*usual[variant % len(usual) :], *usual]
    for _, node in branch.nodes():
        for keyword, step in _BOUNDS:
            bound = node.get(keyword)
            if isinstance(bound, int | float | Decimal) and not isinstance(bound, bool):
                ordered.append(bound + step if isinstance(bound, int) else bound)
    return next((number for number in ordered if branch.holds(number)), ordered[0])
