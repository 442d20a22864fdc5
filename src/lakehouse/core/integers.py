"""Whole numbers in text: ports, limits, waits.

`int` also takes signs, spaces, underscores and the digits of every script, and `str.isdigit` takes
superscripts. All of those are rejected: in a protocol they are different texts, not other
spellings.
"""


def whole_number(text: str, most: int) -> int | None:
    """Parse ASCII digits, leading zeros allowed, as 0 to `most`; None for anything else."""
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0")
    if len(digits) > len(str(most)):
        return None  # before the conversion, whose cost is quadratic in the digits
    number = int(digits or "0")
    return number if number <= most else None
