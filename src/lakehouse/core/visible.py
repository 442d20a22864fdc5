r"""Shows characters that steer a display, or hide in it, as their numbers: `\x1b`, `\u202e`.

Models and other programs write prompts, answers, ids, and names of files and kinds. A terminal
obeys escape sequences and C1 controls in them; terminals and browsers obey direction marks, which
make a text read otherwise than it is written.
"""

import re
from functools import cache
from typing import Final

# C0 but tab and line break, DEL and C1, marks of direction, separators of lines, interlinear and
# tag characters, and what no encoding can carry.
_STEERING_SET: Final = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f"
)
STEERING: Final = re.compile(f"[{_STEERING_SET}]")
"""A character that steers a terminal."""
# What takes no space: soft hyphen, joiners, fillers, spaces of no width, byte order mark, operators
# that are not drawn, selectors of variants that no font has, noncharacters.
_UNSEEN_SET: Final = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u2065\u3164\ufeff\uffa0\ufffc"
    "\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0100-\U000e0fff"
)
# Joiners are part of emoji, and of words of some scripts, only between two of their characters, and
# a selector only after one: more of them in a row are no text, but can carry one. A fifth mark on
# one letter is part of no word.
_MARK_SET: Final = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_JOINED_SET: Final = "\u0300-\u200b\u200e-\ufdff\ufe10-\U0010ffff"  # but joiners and selectors


@cache  # compiling takes some milliseconds, and most programs that show texts do not need it
def _hidden() -> re.Pattern[str]:
    return re.compile(
        f"[{_STEERING_SET}{_UNSEEN_SET}]|(?<![{_JOINED_SET}])[\ufe00-\ufe0f]"
        f"|(?<![{_JOINED_SET}\ufe00-\ufe0f])[\u200c\u200d]|[\u200c\u200d](?![{_JOINED_SET}])"
        f"|(?<=[{_MARK_SET}]{{4}})[{_MARK_SET}]"
    )


def visible(text: str) -> str:
    r"""Show what steers a terminal as `\x1b` or `\u202e`; line breaks and tabs stay."""
    return STEERING.sub(_number, text)


def fully_visible(text: str) -> str:
    r"""Show what takes no space as its number too, such as `\u200b`; emoji stay whole."""
    return _hidden().sub(_number, text)


def visible_json(text: str) -> str:
    r"""Write what takes no space, or steers, as JSON's escapes: `\u200b`. The value is the same."""
    return _hidden().sub(_escape, text)


def character_number(character: str) -> str:
    r"""Return the number of a character as `\n`, `\x1b`, `\u202e` or `\U000e0001`."""
    code = ord(character)
    if character in "\t\n":
        return "\\t" if character == "\t" else "\\n"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _number(match: re.Match[str]) -> str:
    return character_number(match[0])


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
