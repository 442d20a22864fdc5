"""The span of a request: of one just answered, or of the one that a logged row came from."""

from lakehouse.core.errors import infra_status
from lakehouse.core.ids import REQUEST_SPAN, derived_span_bytes, span_seed
from lakehouse.core.observation import RequestEnded
from lakehouse.core.row import Row
from lakehouse.core.session import VERDICT_STATUS
from lakehouse.core.trace_context import SAMPLED
from lakehouse.tracing import templates
from lakehouse.tracing.span import Span, Trace, raw_id, session_pairs
from lakehouse.tracing.timeline import Timeline

_ITERATE = "/v1/iterate"


def request_span(ended: RequestEnded) -> Span:
    """Make the span of one answered request, the root of what this daemon did for it."""
    context = ended.context
    return Span(
        templates.request(ended.method, ended.route, ended.status),
        Trace.of(context),
        raw_id(context.span_id),
        None if context.parent_span_id is None else raw_id(context.parent_span_id),
        ended.started_at_ns,
        ended.started_at_ns + int(ended.duration_ms * 1e6),
        error=_failure(ended.status),
        link=context.link,
    )


def resent_request_span(row: Row, line: Timeline) -> Span:
    """Make the span of the request that a row came from, as far as the row knows it."""
    # Another program's row may be an `infra_error` that says no code.
    code = "crashed" if row.error is None else row.error.code
    status = VERDICT_STATUS.get(row.verdict, infra_status(code))
    return Span(
        templates.request("POST", _ITERATE, status),
        Trace(row.trace_id, SAMPLED, None, session_pairs(row.session_id, row.row_id)),
        derived_span_bytes(span_seed(row.row_id), REQUEST_SPAN),
        None,
        line.started_ns,
        line.logged_ns,
        error=_failure(status),
    )


def _failure(status: int) -> str | None:
    # A 4xx is the caller's; by the HTTP conventions it does not fail a server's span.
    return f"status {status}" if status >= 500 else None
