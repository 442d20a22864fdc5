"""What a schema finding says to people and models."""

from typing import Final, Self

import msgspec

from lakehouse.core.json_text import ENCODER, dumps
from lakehouse.core.limits import SCHEMA_FINDINGS_MAX
from lakehouse.validation.raw_tree import Place, RawTree
from lakehouse.validation.schema_document import SchemaDocument
from lakehouse.validation.schema_expected import ExpectedText
from lakehouse.validation.schema_places import Failure
from lakehouse.validation.schema_tags import Constants

_FALSE: Final = b'{"not":{}}'
_SHOWN_CHARS_MAX: Final = 200
EXTRA: Final = frozenset({"additionalProperties", "unevaluatedProperties"})
_MESSAGES: Final = {
    "required": "the member {name} is missing",
    "dependentRequired": "the member {name} is missing, which another member calls for",
    "additionalProperties": "the member {name} is not allowed",
    "unevaluatedProperties": "the member {name} is not allowed",
    "type": "must be of type {expected}",
    "enum": "must be one of {expected}",
    "const": "must be {expected}",
    "pattern": "must match the pattern {expected}",
    "format": "must have the format {expected}",
    "anyOf": "holds none of the alternatives {expected}",
    "oneOf": "must hold exactly one of the alternatives {expected}",
    "not": "must not be {expected}",
    "if": "must hold {branch}, as the condition {expected} decides",
    "uniqueItems": "must not have two equal items",
    "propertyNames": "has a member whose name is not allowed: {expected}",
    "unevaluatedItems": "has an item that is not allowed",
}
# What a model or a person gets wrong about a format, its name alone not telling.
_FORMS: Final = {
    '"date"': ", such as 2026-03-01",
    '"date-time"': ": date and time with an offset or Z, such as 2026-03-01T08:15:30Z",
    '"time"': ": a time with an offset or Z, such as 08:15:30Z or 08:15:30+02:00",
    '"duration"': " of ISO 8601, such as PT1H25M",
    '"uuid"': ", such as 019ab3c4-d5e7-7a1c-8d3e-4f5061728394",
    '"uri"': ": an absolute URI with its scheme, such as https://example.org/a",
}


class Said(msgspec.Struct, frozen=True):
    """What a finding says of a failure: the keyword with its value, and a message."""

    expected: bytes
    message: str
    raw: msgspec.Raw
    """`expected`, as findings have it."""

    @classmethod
    def of(cls, expected: bytes, message: str) -> Self:
        return cls(expected, message, msgspec.Raw(expected))


class FailureWords:
    """Words what answers violate of one schema; what does not depend on the answer, once.

    At most as many wordings are kept as one answer can have.
    """

    def __init__(self, document: SchemaDocument, raw: RawTree) -> None:
        self._raw = raw
        self._expected = ExpectedText(document, raw)
        self._kept: dict[tuple[str, Place | Constants | None, Place | None], Said] = {}

    def of(self, failure: Failure) -> Said:
        keyword, expected = failure.keyword, failure.expected
        key = keyword, expected if failure.constants is None else failure.constants, failure.branch
        said = self._kept.get(key)
        if said is None:
            if len(self._kept) >= SCHEMA_FINDINGS_MAX:
                self._kept.clear()
            said = self._kept[key] = self._said(failure)
        if keyword not in EXTRA:
            return said
        name = shown(dumps(failure.name).encode())
        return Said.of(said.expected, _MESSAGES[keyword].format(name=name))

    def _said(self, failure: Failure) -> Said:
        if failure.constants is not None:
            value = self._expected.of_constants(failure.constants)
            expected = b'{"enum":%b}' % value
        elif failure.expected is not None:
            value = self._expected.of(failure.expected)
            expected = b"{%b:%b}" % (ENCODER.encode(failure.keyword), value)
        else:
            return Said.of(_FALSE, "is not allowed here")
        branch = "" if failure.branch is None else shown(self._raw.at(failure.branch))
        return Said.of(expected, _message(failure, shown(value), branch))


def _message(failure: Failure, expected: str, branch: str) -> str:
    template = _MESSAGES.get(failure.keyword, "must hold {keyword} {expected}")
    name = shown(dumps(failure.name).encode()) if failure.name is not None else ""
    told = template.format(name=name, expected=expected, keyword=failure.keyword, branch=branch)
    return told + _FORMS.get(expected, "") if failure.keyword == "format" else told


def shown(value: bytes) -> str:
    """Cut a long text of a schema."""
    text = value.decode("utf-8")
    return text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "…"
