"""The span of a model call that no session made: `POST /v1/chat` at the public door.

A session's own model calls are told by its row; telling them here too would count their tokens
twice.
"""

from lakehouse.core.ids import DIRECT_CALL_SPAN, derived_span_bytes, span_seed
from lakehouse.core.observation import ModelCallEnded
from lakehouse.tracing import templates
from lakehouse.tracing.content import chat_messages
from lakehouse.tracing.span import AttributeValue, Span, Trace, raw_id


def chat_span(ended: ModelCallEnded, *, content: bool) -> Span:
    """Make the span of a direct model call, below its request's."""
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
