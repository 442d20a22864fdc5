"""What a schema finding says to people and models."""

from typing import Final

from lakehouse.core.json_text import dumps
from lakehouse.validation.schema_places import Failure

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


def message_of(failure: Failure, expected: str, branch: str) -> str:
    """Tell what a value failed; `expected` and `branch` are texts of the schema."""
    if failure.expected is None and failure.constants is None:
        return "is not allowed here"
    template = _MESSAGES.get(failure.keyword, "must hold {keyword} {expected}")
    name = shown(dumps(failure.name).encode()) if failure.name is not None else ""
    told = template.format(name=name, expected=expected, keyword=failure.keyword, branch=branch)
    return told + _FORMS.get(expected, "") if failure.keyword == "format" else told


def shown(value: bytes) -> str:
    """Cut a long text of a schema."""
    text = value.decode("utf-8")
    return text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "…"
