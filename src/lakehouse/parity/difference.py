"""Finds the first difference of two outputs: the place in the JSON, and the byte."""

from typing import Final

import msgspec

from lakehouse.core.json_text import pointer
from lakehouse.parity.normalization import elements, members

_SHOWN_BYTES: Final = 60


class Difference(msgspec.Struct, frozen=True):
    """The first place at which `got` is not `expected`.

    `pointer` is a JSON Pointer, `offset` counts bytes in the compared (normalized) output from 0.
    `expected` and `got` show a few bytes from there on.
    """

    pointer: str
    offset: int
    expected: str
    got: str


def first_difference(expected: bytes, got: bytes) -> Difference | None:
    """Find the first difference; None if there is none. Cost: linear in the shorter one."""
    if expected == got:
        return None
    offset = next(
        (
            index
            for index, (left, right) in enumerate(zip(expected, got, strict=False))
            if left != right
        ),
        min(len(expected), len(got)),
    )
    return Difference(
        pointer(*_steps(expected, got)), offset, _shown(expected, offset), _shown(got, offset)
    )


def _steps(expected: bytes, got: bytes) -> list[str]:
    """Walk down while both sides have the same members and one of them differs."""
    steps: list[str] = []
    while True:
        pair = _differing_member(expected, got) or _differing_element(expected, got)
        if pair is None:
            return steps
        step, expected, got = pair
        steps.append(step)
        if not got or not expected:
            return steps


def _differing_member(expected: bytes, got: bytes) -> tuple[str, bytes, bytes] | None:
    ours, theirs = members(expected), members(got)
    if not ours or not theirs:
        return None
    for index, (name, value) in enumerate(ours):
        if index >= len(theirs) or theirs[index][0] != name:
            # Missing, renamed or in another place: the member that should stand here.
            return name, value, dict(theirs).get(name, b"") if index < len(theirs) else b""
        if theirs[index][1] != value:
            return name, value, theirs[index][1]
    return (theirs[len(ours)][0], b"", theirs[len(ours)][1]) if len(theirs) > len(ours) else None


def _differing_element(expected: bytes, got: bytes) -> tuple[str, bytes, bytes] | None:
    ours, theirs = elements(expected), elements(got)
    if not ours or not theirs:
        return None
    for index, value in enumerate(ours):
        other = theirs[index] if index < len(theirs) else b""
        if other != value:
            return str(index), value, other
    return (str(len(ours)), b"", theirs[len(ours)]) if len(theirs) > len(ours) else None


def _shown(data: bytes, offset: int) -> str:
    return data[offset : offset + _SHOWN_BYTES].decode("utf-8", "backslashreplace")
