"""OTLP read with opentelemetry-proto's own classes: nothing of ours decodes what ours encoded."""

from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS = {1: "internal", 2: "server", 3: "client"}


class SeenSpan(msgspec.Struct, frozen=True):
    """One span as a receiver sees it."""

    name: str
    trace_id: str
    span_id: str
    parent_span_id: str
    kind: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    error: str | None
    links: list[tuple[str, str]]
    flags: int
    tracestate: str
    resource: dict[str, Any]


def seen_spans(body: bytes) -> list[SeenSpan]:
    """Decode an `ExportTraceServiceRequest`."""
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    return [
        SeenSpan(
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_span_id=span.parent_span_id.hex(),
            kind=KINDS[span.kind],
            start_ns=span.start_time_unix_nano,
            end_ns=span.end_time_unix_nano,
            attributes={pair.key: _value(pair.value) for pair in span.attributes},
            error=span.status.message if span.status.code == 2 else None,
            links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
            flags=span.flags,
            tracestate=span.trace_state,
            resource={pair.key: _value(pair.value) for pair in group.resource.attributes},
        )
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _value(value: Any) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, which)
