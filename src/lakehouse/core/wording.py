"""Parts of messages: counts (`1 kind`, `2 kinds`), values, and what is wrong with a number."""

from typing import Final

_SHOWN_CHARS_MAX: Final = 200


def counted(count: int, noun: str) -> str:
    """Give a count with its noun, in the plural where it is not one; thousands are separated."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def shown(value: object) -> str:
    """Write a value into a message, the end of a long one left out."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "…"


def range_fault(value: int | None, low: int, high: int) -> str | None:
    """Say that a number is out of its bounds; None for one within them, and for none."""
    if value is None or low <= value <= high:
        return None
    return f"is {shown(value)}; allowed is {low} to {high}"
