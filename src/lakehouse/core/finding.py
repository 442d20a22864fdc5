"""A finding: one reason to reject an answer, with its place and evidence."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from lakehouse.core.json_text import ENCODER, Int64
from lakehouse.core.limits import GOT_BYTES_MAX
from lakehouse.core.words import Word

FindingCode = Literal[
    "no_json",
    "invalid_json",
    "ambiguous",
    "truncated",
    "refused",
    "empty",
    "too_large",
    "schema",
    "rule",
    "ungrounded",
]
"""The codes that this version writes; a reader accepts any `Word`."""

FOUND_BY: Final[Mapping[FindingCode, tuple[Literal["extraction", "schema", "grounding"], ...]]] = {
    "no_json": ("extraction",),
    "invalid_json": ("extraction",),
    "ambiguous": ("extraction",),
    "truncated": ("extraction",),
    "refused": ("extraction",),
    "empty": ("extraction",),
    "too_large": ("extraction", "schema"),
    "schema": ("schema",),
    "rule": ("grounding",),
    "ungrounded": ("grounding",),
}
"""The step that finds each; every check after the schema is `grounding`."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One reason to reject, as in rows, replies and re-prompts.

    `code` is a `FindingCode`, or one that a later version wrote. `path` is a JSON Pointer into the
    artifact, `""` for the whole. `got`, `expected` and `nearest` are raw JSON and left out when
    there is none; `expected` of a schema finding is `{keyword: value}`. `message` is for people and
    not compared between runtimes.
    """

    code: Word
    path: str
    message: str
    message_truncated: "Truncated | msgspec.UnsetType" = msgspec.UNSET
    got: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    expected: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    nearest: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Truncated(msgspec.Struct, frozen=True):
    """The size and digest of a whole text, stored next to the text that was cut to fit the row.

    `bytes` counts UTF-8 bytes, `sha256` is 64 lowercase hex digits, both of the whole value.
    """

    truncated: bool
    bytes: Int64
    sha256: str


class Repair(msgspec.Struct, frozen=True):
    """One change that opt-in repair made to get JSON; `offset` counts UTF-8 bytes of `output`."""

    code: str
    offset: Int64
    message: str


def evidence(value: object) -> msgspec.Raw | msgspec.UnsetType:
    """Encode a value as `got`; left out if it is over 256 bytes."""
    return raw_evidence(ENCODER.encode(value))


def raw_evidence(data: bytes) -> msgspec.Raw | msgspec.UnsetType:
    """Return a value's own bytes as `got`; left out if they are over 256."""
    return msgspec.Raw(data) if len(data) <= GOT_BYTES_MAX else msgspec.UNSET


def ordered(findings: list[Finding]) -> list[Finding]:
    """Sort by path bytes, then code, then keyword: the same list in every runtime."""
    return sorted(findings, key=_order)


def _order(finding: Finding) -> tuple[bytes, str, bytes]:
    expected = finding.expected
    keyword = bytes(expected) if isinstance(expected, msgspec.Raw) else b""
    return finding.path.encode("utf-8"), finding.code, keyword
