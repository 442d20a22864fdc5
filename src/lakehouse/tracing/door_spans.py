"""Builds the spans of requests, just answered or logged, and of direct model calls."""

from lakehouse.core.errors import infra_status
from lakehouse.core.ids import DIRECT_CALL_SPAN, REQUEST_SPAN, derived_span_bytes, span_seed
from lakehouse.core.observation import ModelCallEnded, RequestEnded
from lakehouse.core.row import Row
from lakehouse.core.session import VERDICT_STATUS
from lakehouse.core.trace_context import SAMPLED
from lakehouse.tracing import templates
from lakehouse.tracing.content import chat_messages
from lakehouse.tracing.span import AttributeValue, Span, Trace, raw_id, session_pairs
from lakehouse.tracing.timeline import Timeline

_ITERATE = "/v1/iterate"


def request_span(ended: RequestEnded) -> Span:
    """Build the span of one answered request, the root of this daemon's spans for it."""
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
    """Build the span of the request behind a row, as far as the row has its data."""
    # Another program's row may be an `infra_error` without a code.
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


def chat_span(ended: ModelCallEnded, *, content: bool) -> Span:
    """Build the span of a direct model call, `POST /v1/chat`, below its request's.

    A session's calls are traced from its row; tracing them here too would count their tokens twice.
    """
    context, request, reply, error = ended.context, ended.request, ended.reply, ended.error
    model = request.model if reply is None else reply.model
    attributes: dict[str, AttributeValue] = {
        "lakehouse.model_alias": request.model,
    }
    optional: tuple[tuple[str, AttributeValue | None], ...] = (
        ("gen_ai.request.temperature", request.temperature),
        ("gen_ai.request.max_tokens", request.max_tokens),
        ("gen_ai.request.seed", request.seed),
        ("error.type", None if error is None else error.code),
    )
    if reply is not None:
        optional += (
            ("gen_ai.provider.name", reply.provider),
            ("gen_ai.response.finish_reasons", (reply.finish_reason,)),
            ("gen_ai.usage.input_tokens", reply.usage.prompt_tokens),
            ("gen_ai.usage.output_tokens", reply.usage.completion_tokens),
        )
        if content:
            attributes |= chat_messages(request, reply)
    attributes |= {name: value for name, value in optional if value is not None}
    return Span(
        templates.model_call(model),
        Trace.of(context),
        derived_span_bytes(span_seed(context.row_id), DIRECT_CALL_SPAN),
        raw_id(context.span_id),
        ended.started_at_ns,
        ended.started_at_ns + int(ended.duration_ms * 1e6),
        attributes=attributes,
        error=None if error is None else f"{error.code}: {error.public}",
    )


def _failure(status: int) -> str | None:
    # A 4xx is the caller's fault; by the HTTP conventions it does not fail a server's span.
    return f"status {status}" if status >= 500 else None
