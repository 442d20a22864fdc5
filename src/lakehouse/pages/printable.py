"""Removes characters that could control a terminal or break a document."""

import re
from typing import Final

# What no XML may hold and no terminal should: controls, lone surrogates, noncharacters.
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    """Replace every such character with U+FFFD; line breaks and tabs stay."""
    return _UNPRINTABLE.sub("\ufffd", text)
