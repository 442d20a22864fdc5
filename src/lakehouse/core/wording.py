"""Parts of messages: counts (`1 kind`, `2 kinds`), values, and what is wrong with a number."""

from typing import Final

_SHOWN_CHARS_MAX: Final = 200


def counted(count: int, noun: str) -> str:
    """Format a count with its noun, plural unless it is one, with separated thousands."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def shown(value: object) -> str:
    """Format a value for a message; a long one is cut."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "…"


def range_fault(value: int | None, low: int, high: int) -> str | None:
    """Return a message if a number is out of its bounds; None if it is within them, or is None."""
    if value is None or low <= value <= high:
        return None
    return f"is {shown(value)}; allowed is {low} to {high}"
