"""Whole numbers in text: ports, limits, waits.

`int` also takes signs, spaces, underscores and the digits of every script, and `str.isdigit` takes
superscripts. All of those are rejected: in a protocol they are different texts, not other
spellings.
"""


def whole_number(text: str, most: int) -> int | None:
    """Read ASCII digits as a number of 0 to `most`; None for anything else, leading zeros aside."""
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0")
    if len(digits) > len(str(most)):
        return None  # before it is converted: the cost grows with the square of the digits
    number = int(digits or "0")
    return number if number <= most else None
