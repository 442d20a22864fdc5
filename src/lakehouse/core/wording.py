"""Parts of messages: counts (`1 kind`, `2 kinds`), values, and what is wrong with a number."""

from collections.abc import Sequence
from typing import Final

_SHOWN_CHARS_MAX: Final = 200
_LISTED_MAX: Final = 10


def counted(count: int, noun: str) -> str:
    """Format a count with its noun, plural unless it is one, with separated thousands."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def shown(value: object) -> str:
    """Format a value for a message; a long one is cut."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "…"


def listed(names: Sequence[str]) -> str:
    """Return the first ten names for a message, and how many more there are."""
    text = ", ".join(names[:_LISTED_MAX])
    more = len(names) - _LISTED_MAX
    return f"{text} and {more} more" if more > 0 else text


def range_fault(value: int | None, low: int, high: int) -> str | None:
    """Return a message if a number is out of its bounds; None if it is within them, or is None."""
    if value is None or low <= value <= high:
        return None
    return f"is {shown(value)}; allowed is {low} to {high}"
