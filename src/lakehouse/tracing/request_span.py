"""The span of a request: of one just answered, or of the one that a logged row came from."""

from lakehouse.core.context import REQUEST_SPAN
from lakehouse.core.errors import INFRA_STATUS
from lakehouse.core.ids import derived_span_id
from lakehouse.core.observation import RequestEnded
from lakehouse.core.row import Row
from lakehouse.core.session import VERDICT_STATUS
from lakehouse.tracing.span import AttributeValue, Span
from lakehouse.tracing.timeline import Timeline

_ITERATE = "/v1/iterate"


def request_span(ended: RequestEnded) -> Span:
    """Make the span of one answered request, the root of what this daemon did for it."""
    context = ended.context
    return Span(
        part="request",
        name=f"{ended.method} {ended.route}".strip(),
        trace_id=context.trace_id,
        span_id=context.span_id,
        parent_span_id=context.parent_span_id,
        start_ns=ended.started_at_ns,
        end_ns=ended.started_at_ns + int(ended.duration_ms * 1e6),
        attributes=_attributes(
            context.session_id, context.row_id, ended.method, ended.route, ended.status
        ),
        kind="server",
        error=_failure(ended.status),
        link=context.link,
        flags=context.flags,
        tracestate=context.tracestate,
    )


def resent_request_span(row: Row, line: Timeline) -> Span:
    """Make the span of the request that a row came from, as far as the row knows it."""
    # Another program's row may be an `infra_error` that says no code.
    code = "crashed" if row.error is None else row.error.code
    status = VERDICT_STATUS.get(row.verdict, INFRA_STATUS[code])
    return Span(
        part="request",
        name=f"POST {_ITERATE}",
        trace_id=row.trace_id,
        span_id=derived_span_id(row.row_id, REQUEST_SPAN),
        parent_span_id=None,
        start_ns=line.started_ns,
        end_ns=line.logged_ns,
        attributes=_attributes(row.session_id, row.row_id, "POST", _ITERATE, status),
        kind="server",
        error=_failure(status),
    )


def _attributes(
    session_id: str, row_id: str, method: str, route: str, status: int
) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        "lakehouse.session_id": session_id,
        "lakehouse.row_id": row_id,
        "langfuse.observation.type": "span",
        "http.request.method": method,
        "http.response.status_code": status,
    }
    if route:
        attributes["http.route"] = route
    if status >= 500:
        attributes["error.type"] = str(status)
    return attributes


def _failure(status: int) -> str | None:
    # A 4xx is the caller's; by the HTTP conventions it does not fail a server's span.
    return f"status {status}" if status >= 500 else None
