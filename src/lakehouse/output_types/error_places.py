"""Maps the location of a Pydantic error to a place in the answer.

Pydantic's `loc` mixes steps into the value (members by alias, positions) with names of its own: the
tags and types of unions, wrapped functions, `[key]`. Steps that exist in the answer are kept, the
others dropped. If a name could be both, the path that ends at the value quoted by the error is
right, else the one that takes the last step.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from lakehouse.core.json_text import JsonValue

_WAYS_MAX: Final = 64


class _Way(msgspec.Struct, frozen=True):
    """Steps taken so far, and what they lead to. `stepped`: the last part of `loc` was a step."""

    place: tuple[str | int, ...]
    value: JsonValue
    stepped: bool


def place_of(
    value: JsonValue, loc: Sequence[str | int], *, kind: str, quoted: object
) -> tuple[str | int, ...]:
    """Find the place of an error; of a missing member, that of the object it is missing in.

    Args:
        value: The whole answer.
        loc: The error's `loc`.
        kind: The error's `type`.
        quoted: The error's `input`.
    """
    steps = list(loc)
    if kind == "missing" and steps:
        steps.pop()
    ways = [_Way((), value, stepped=True)]
    for step in steps:
        further = []
        for way in ways:
            further += _step(way, step)
            further.append(_Way(way.place, way.value, stepped=False))
        ways = further[:_WAYS_MAX]
    return max(ways, key=lambda way: (_same(way.value, quoted), way.stepped, len(way.place))).place


def _step(way: _Way, step: str | int) -> list[_Way]:
    value = way.value
    if isinstance(value, dict) and str(step) in value:
        return [_Way((*way.place, str(step)), value[str(step)], stepped=True)]
    if isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
        return [_Way((*way.place, step), value[step], stepped=True)]
    return []


def _same(value: JsonValue, quoted: object) -> bool:
    try:
        return type(value) is type(quoted) and bool(value == quoted)
    except Exception:  # noqa: BLE001  a validator before may have put anything there
        return False
