"""Every text that attacks, and a harmless one in place of each.

A page over a log of harmless twins shows what the page itself consists of: whatever else the page
over the attacks has, an attack made.
"""

from itertools import chain
from typing import Final

from support import hostile_characters, hostile_markup

TEXTS: Final[tuple[str, ...]] = tuple(
    dict.fromkeys(
        chain(
            hostile_markup.SCRIPT_ELEMENTS,
            hostile_markup.EVENT_HANDLERS,
            hostile_markup.ATTRIBUTE_BREAKOUTS,
            hostile_markup.URLS,
            hostile_markup.TEMPLATES,
            hostile_markup.PARSER_CONFUSIONS,
            hostile_markup.DATA_BREAKOUTS,
            hostile_markup.CLOBBERING,
            hostile_markup.HTMX,
            hostile_characters.CONTROLS,
            hostile_characters.DIRECTIONS,
            hostile_characters.INVISIBLES,
            hostile_characters.DISPLAY,
            hostile_characters.FORMULAS,
        )
    )
)

SESSION_IDS: Final = (
    "__proto__",
    "constructor",
    "..",
    ".",
    "...",
    "x.json",
    "x.csv",
    "-rf",
    "--help",
    "null",
    "undefined",
    "0",
    "live",
    "login",
    "static",
    "index.html",
    "A" * 64,
    "_",
)
"""Ids that a caller may choose, and that a path, an object or a command could take for its own."""


def twin(text: str) -> str:
    """Give a harmless text of about the same length, with its line breaks and spaces in place.

    No two texts have the same: pages that group by a text make as many groups.
    """
    number = TEXTS.index(text)
    name = ""
    while not name or number:
        number, letter = divmod(number, 26)
        name += chr(ord("a") + letter)
    name = f"q{name}q"
    letters = iter(name * (len(text) // len(name) + 1))
    shape = "".join(one if one in " \n" else next(letters) for one in text)
    return shape if name in shape else shape + name
