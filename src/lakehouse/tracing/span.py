"""A span as a value, as in OTLP. Built after its work has ended."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from lakehouse.core.context import CallContext
from lakehouse.core.trace_context import TraceParent

SpanName = Literal[
    "request", "session", "attempt", "generation", "extraction", "schema", "grounding", "log append"
]
SpanKind = Literal["internal", "server", "client"]
AttributeValue = str | bool | int | float | tuple[str, ...] | tuple[int, ...]
Pairs = tuple[tuple[str, AttributeValue], ...]

SCOPE: Final = "lakehouse"
NO_ATTRIBUTES: Final[Mapping[str, AttributeValue]] = {}


class Template(msgspec.Struct, frozen=True, eq=False):
    """What many spans have in common, encoded once for as long as the template is kept.

    `part` says which row of the attribute table a span is; `name` is what people see. Two
    templates are equal only if they are the same object, so that looking one up costs nothing.
    """

    part: SpanName
    name: str
    kind: SpanKind
    pairs: Pairs


class Trace(msgspec.Struct, frozen=True, eq=False):
    """What all spans of one session in one trace have in common, `pairs` being attributes."""

    trace_id: str
    flags: int
    tracestate: str | None
    pairs: Pairs

    @classmethod
    def of(cls, context: CallContext) -> "Trace":
        """Return what the spans of one call share."""
        ids = session_pairs(context.session_id, context.row_id)
        return cls(context.trace_id, context.flags, context.tracestate, ids)


class Span(msgspec.Struct, frozen=True):
    """One span. Its ids are eight bytes, times are nanoseconds since 1970 in UTC.

    It has the `attributes` of its own, those of its template and those of its trace, no name
    twice. `error` is the status message of a failed span, null where nothing failed.
    """

    template: Template
    trace: Trace
    span_id: bytes
    parent_span_id: bytes | None
    start_ns: int
    end_ns: int
    attributes: Mapping[str, AttributeValue] = NO_ATTRIBUTES
    error: str | None = None
    link: TraceParent | None = None

    @property
    def part(self) -> SpanName:
        """Which row of the attribute table it is."""
        return self.template.part

    def all_attributes(self) -> dict[str, AttributeValue]:
        return dict(self.trace.pairs) | dict(self.template.pairs) | dict(self.attributes)


def raw_id(text: str) -> bytes:
    """Return the bytes of an id in lowercase hex; empty (invalid) if it is not one."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        return b""
    return data if data.hex() == text else b""  # `fromhex` takes capitals and spaces too


def session_pairs(session_id: str, row_id: str) -> Pairs:
    """Return the attributes that every span of a session has."""
    return ("lakehouse.session_id", session_id), ("lakehouse.row_id", row_id)
