"""Numeric bounds checked in decimal arithmetic, for numbers that a double cannot represent.

The engine compares its own numbers correctly, and accepts `Decimal` for every keyword, but compares
it rounded with an integer bound (measured with 0.60: 10.000000000000000000001 passes `maximum:
10`). These checks are added through its hook for keywords.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from lakehouse.core.json_text import JsonValue, exact


def bound_holds(keyword: str, bound: JsonValue, value: JsonValue) -> bool:
    """Return whether a value satisfies `minimum`, `multipleOf` or the like; others always do."""
    if not isinstance(value, int | float | Decimal) or isinstance(value, bool):
        return True
    assert isinstance(bound, int | float | Decimal), "the dialect was checked"
    return _HOLDS[keyword](exact(value), exact(bound))


def engine_keyword(keyword: str) -> type:
    """Build the class that the engine uses instead of its own keyword."""

    class NumberBound:
        def __init__(self, _schema: object, bound: JsonValue, _path: object) -> None:
            self._bound = bound

        def validate(self, value: JsonValue) -> None:
            if not bound_holds(keyword, self._bound, value):
                raise ValueError(keyword)

    return NumberBound


def _is_multiple(number: Decimal, unit: Decimal) -> bool:
    """Divide without writing the quotient out, which may have 10^17 digits."""
    if not number:
        return True
    digits, exponent = _without_zeros(number)
    unit_digits, unit_exponent = _without_zeros(unit)
    shift = exponent - unit_exponent
    # Below 0 the digits would have to hold a factor of ten, and do not.
    return shift >= 0 and digits * pow(10, shift, unit_digits) % unit_digits == 0


def _without_zeros(number: Decimal) -> tuple[int, int]:
    """Split a number that is not 0 into its digits up to the last that is not 0, and the rest."""
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int), "JSON has neither NaN nor infinities"
    text = "".join(map(str, digits))
    kept = text.rstrip("0")
    return int(kept), exponent + len(text) - len(kept)


_HOLDS: Final[dict[str, Callable[[Decimal, Decimal], bool]]] = {
    "minimum": lambda number, bound: number >= bound,
    "maximum": lambda number, bound: number <= bound,
    "exclusiveMinimum": lambda number, bound: number > bound,
    "exclusiveMaximum": lambda number, bound: number < bound,
    "multipleOf": _is_multiple,
}
