"""Makes outputs comparable as bytes: validates them, then removes what may differ.

It never re-encodes: a number, an escape or a space that differs must stay different.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from lakehouse.core.row_codec import RowError, crc_holds, decode_row
from lakehouse.core.session import ValidateReply
from lakehouse.parity.fixtures import Suite

_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],]')
_OPEN: Final = frozenset((b"{", b"["))
_CLOSE: Final = frozenset((b"}", b"]"))
_ROW_MEMBERS_LEFT_OUT: Final = frozenset(("timestamp", "daemon", "crc"))
_REPLY_MEMBERS: Final = ("verdict", "artifact", "grounded", "findings")


class InvalidOutput(ValueError):
    """An output that cannot be compared; the message says why."""


def normalized(suite: Suite, output: bytes) -> bytes:
    """Check one output and remove what may differ between runtimes.

    Raises:
        InvalidOutput: It is empty, trivial, or not an answer of the suite.
    """
    if output != output.strip():
        raise InvalidOutput("white space around it")
    if suite == "session_log":
        _check_row(output)
        kept = _without(output, _ROW_MEMBERS_LEFT_OUT)
        kept = _inside(kept, "attempts", lambda items: _each(items, _without_messages))
    else:
        _check_reply(output)
        kept = _without_messages(output)
    if not members(kept):
        raise InvalidOutput("nothing is left to compare")
    return kept


def _check_row(output: bytes) -> None:
    try:
        decode_row(output)
    except (RowError, UnicodeDecodeError) as error:
        raise InvalidOutput(f"not a row: {error}") from error
    if crc_holds(output) is not True:
        raise InvalidOutput("not a row: it ends in no `crc`")


def _check_reply(output: bytes) -> None:
    try:
        msgspec.json.decode(output, type=ValidateReply)
        names = [name for name, _ in members(output)]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidOutput(f"not a reply of /v1/validate: {error}") from error
    missing = [name for name in _REPLY_MEMBERS if name not in names]
    if missing:
        raise InvalidOutput(f"not a reply of /v1/validate: it lacks {', '.join(missing)}")


# --- JSON as pieces of bytes --------------------------------------------------------------------


def members(data: bytes) -> list[tuple[str, bytes]]:
    """Split an object into decoded names and the bytes of their values; else empty."""
    named = map(_name_and_value, _pieces(data, b"{"))
    return [(name, value.strip()) for name, value in named]


def elements(data: bytes) -> list[bytes]:
    """Split an array into the bytes of its elements; empty if it is something else."""
    return [piece.strip() for piece in _pieces(data, b"[")]


def _pieces(data: bytes, opening: bytes) -> list[bytes]:
    """Cut between the commas of the outermost object or array; white space stays."""
    text = data.strip()
    if not text.startswith(opening):
        return []
    depth, start, pieces = 0, 1, []
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in _OPEN:
            depth += 1
        elif token in _CLOSE:
            depth -= 1
        if depth == 0 or (token == b"," and depth == 1):
            pieces.append(text[start : match.start()])
            start = match.end()
    return [] if len(pieces) == 1 and not pieces[0].strip() else pieces


def _name_and_value(piece: bytes) -> tuple[str, bytes]:
    match = _TOKEN.match(piece, len(piece) - len(piece.lstrip()))
    assert match is not None, "a member begins with its name"
    return msgspec.json.decode(match[0], type=str), piece[match.end() :].lstrip()[1:]


def _without(data: bytes, names: frozenset[str]) -> bytes:
    kept = [piece for piece in _pieces(data, b"{") if _name_and_value(piece)[0] not in names]
    return b"{%b}" % b",".join(kept)


def _inside(data: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """Change the value of one member and no other byte."""
    pieces = []
    for piece in _pieces(data, b"{"):
        found, value = _name_and_value(piece)
        if found == name:
            piece = piece[: len(piece) - len(value)] + change(value)  # noqa: PLW2901 - its new form
        pieces.append(piece)
    return b"{%b}" % b",".join(pieces)


def _each(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    return b"[%b]" % b",".join(map(change, _pieces(data, b"[")))


def _without_messages(owner: bytes) -> bytes:
    return _inside(
        owner,
        "findings",
        lambda items: _each(items, lambda item: _without(item, frozenset(("message",)))),
    )
