"""Patterns of clients that begin with look-ahead, said without it.

Patterns are RE2, which has none. But at a pattern's start it is only another condition on the whole
text: `^(?!a)(?=.*b)c` is `^c`, and `^.*b`, and not `^a`. Pydantic before 2.14 writes decimals like
this, Zod addresses of mail, and people passwords. Look-ahead elsewhere stays, and is refused later.
"""

import re
from typing import Final

from lakehouse.core.json_text import ENCODER, JsonValue, parse_bytes
from lakehouse.openai_api.subschemas import rewritten

# A digit count of decimals: `max_digits` and `decimal_places`, as Pydantic before 2.14 writes them.
_DECIMAL: Final = re.compile(
    r"\(\?:\\d\{0,(\d{1,3})\}\|\(\?=\[\\d\.\]\{1,(\d{1,3})\}0\*\$\)"
    r"(?:\\d\{0,\1\}\\\.\\d\{0,(\d{1,3})\}0\*\$|\\d\*\\\.\\d\*0\*\$)\)"
)
_DIGITS_MAX: Final = 40  # a larger number of them is left, and refused


def without_look_ahead(raw: bytes) -> bytes:
    """Rewrite the patterns of a schema that begin with look-ahead; return any other unchanged."""
    if b"(?=" not in raw and b"(?!" not in raw:
        return raw
    return ENCODER.encode(rewritten(parse_bytes(raw), _said_otherwise))


def _said_otherwise(node: dict[str, JsonValue]) -> dict[str, JsonValue]:
    pattern, listed = node.get("pattern"), node.get("allOf", [])
    if not isinstance(pattern, str) or not isinstance(listed, list):
        return node
    rest, conditions = _peeled(_DECIMAL.sub(_digits, pattern))
    if rest == pattern:
        return node
    parts: list[JsonValue] = [_part(wanted, inner) for wanted, inner in conditions]
    return {**node, "pattern": rest} | ({"allOf": [*listed, *parts]} if parts else {})


def _part(wanted: bool, inner: str) -> JsonValue:  # noqa: FBT001  as it was read
    """Say a condition; one that is not wanted is about texts only, as a pattern is."""
    pattern: dict[str, JsonValue] = {"pattern": f"^(?:{inner})"}
    return pattern if wanted else {"not": {"type": "string", **pattern}}


def _digits(match: re.Match[str]) -> str:
    """Say how many digits a decimal has, without look-ahead; anchored, which Pydantic forgot."""
    most, chars, places = match.groups()
    if places is not None:
        if int(most) + int(places) != int(chars) - 1:
            return match[0]  # fewer digits in all than its places
        return rf"(?:\d{{0,{most}}}|\d{{0,{most}}}\.\d{{0,{places}}}0*)$"
    if int(most) > _DIGITS_MAX:
        return match[0]
    split = [rf"\d{{0,{int(most) - after}}}\.\d{{0,{after}}}0*" for after in range(int(most) + 1)]
    return rf"(?:\d{{0,{most}}}|{'|'.join(split)})$"


def _peeled(pattern: str) -> tuple[str, list[tuple[bool, str]]]:
    """Split a pattern into its rest, and each look-ahead: whether it is wanted, and of what."""
    conditions: list[tuple[bool, str]] = []
    at = 1
    while pattern.startswith(("(?=", "(?!"), at):
        end = _closing(pattern, at)
        if end is None or pattern.startswith(("*", "+", "?", "{"), end + 1):
            return pattern, []
        conditions.append((pattern[at + 2] == "=", pattern[at + 3 : end]))
        at = end + 1
    rest = f"^{pattern[at:]}"
    if not pattern.startswith("^") or _branches(rest):
        return pattern, []
    return rest, conditions


def _closing(pattern: str, start: int) -> int | None:
    """Return where the group that opens at `start` ends."""
    depth = 0
    for at, mark in _marks(pattern):
        if at >= start:
            depth += {"(": 1, ")": -1}.get(mark, 0)
            if depth == 0:
                return at
    return None


def _branches(pattern: str) -> bool:
    depth = 0
    for _, mark in _marks(pattern):
        depth += {"(": 1, ")": -1}.get(mark, 0)
        if mark == "|" and depth == 0:
            return True
    return False


def _marks(pattern: str) -> list[tuple[int, str]]:
    """List the characters that stand for themselves neither by an escape nor in a class."""
    return [
        (found.start(), found[0])
        for found in re.finditer(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", pattern, re.DOTALL)
        if len(found[0]) == 1
    ]
