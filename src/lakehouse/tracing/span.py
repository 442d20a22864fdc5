"""A span as a value, as OTLP knows it. Made after the work that it tells of has ended."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from lakehouse.core.trace_context import TraceParent

SpanName = Literal[
    "request", "session", "attempt", "generation", "extraction", "schema", "grounding", "log append"
]
SpanKind = Literal["internal", "server", "client"]
AttributeValue = str | bool | int | float | tuple[str, ...]
Pairs = tuple[tuple[str, AttributeValue], ...]
"""Attributes that come again on other spans: each such group is encoded once."""

SCOPE: Final = "lakehouse"


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One span. Ids are lowercase hex, times are nanoseconds since 1970 in UTC.

    It has the `attributes` of its own and those of the groups in `shared`, no name twice.

    `part` says which row of the attribute table it is; `name` is what people see. `error` is the
    status message of a failed span, null where nothing failed.
    """

    part: SpanName
    name: str
    trace_id: str
    span_id: str
    parent_span_id: str | None
    start_ns: int
    end_ns: int
    attributes: Mapping[str, AttributeValue]
    shared: tuple[Pairs, ...] = ()
    kind: SpanKind = "internal"
    error: str | None = None
    link: TraceParent | None = None
    flags: int = 1
    tracestate: str | None = None

    def all_attributes(self) -> dict[str, AttributeValue]:
        """Give all of its attributes together."""
        found = dict(self.attributes)
        for group in self.shared:
            found.update(group)
        return found
