"""A model call that no session made is a generation below its request; a session's own is not."""

import pytest

from lakehouse.core.context import call_context
from lakehouse.core.errors import InfraError
from lakehouse.core.ids import new_id
from lakehouse.tracing.attributes import ATTRIBUTES, CONTENT
from lakehouse.tracing.door_spans import chat_span
from lakehouse.tracing.span import raw_id
from support.traced import model_call_ended


def test_only_a_call_from_outside_is_told():
    """A session's attempt and a daemon's inner hop are told by the session's row."""
    outside = call_context((), ())
    attempt = outside.child("00f067aa0ba902b7")
    inner = call_context((), (attempt.traceparent(),), row_id=new_id())
    assert [context.outermost for context in (outside, attempt, inner)] == [True, False, False]


def test_it_hangs_below_its_request_and_says_what_it_took():
    context = call_context((), ())
    span = chat_span(model_call_ended(120.0, context=context), content=False)
    assert (span.trace.trace_id, span.parent_span_id) == (
        context.trace_id,
        raw_id(context.span_id),
    )
    assert (span.template.name, span.template.kind, span.error) == ("chat tiny", "client", None)
    assert span.end_ns - span.start_ns == 120_000_000
    assert span.all_attributes()["gen_ai.usage.input_tokens"] == 7
    assert span.all_attributes()["gen_ai.request.max_tokens"] == 64
    assert span.all_attributes()["gen_ai.provider.name"] == "scripted"


def test_without_an_answer_it_is_an_error():
    span = chat_span(model_call_ended(9.0, InfraError("timeout", "Too late.")), content=True)
    assert span.error == "timeout: Too late."
    assert span.all_attributes()["error.type"] == "timeout"
    assert span.all_attributes()["gen_ai.request.model"] == "small"


@pytest.mark.parametrize("content", [True, False])
def test_its_texts_leave_only_where_the_settings_allow_it(content):
    """And every attribute is in the table."""
    span = chat_span(model_call_ended(1.0), content=content)
    assert ("secret" in repr(span)) is content
    assert bool(CONTENT & span.all_attributes().keys()) is content
    allowed = {each.name for each in ATTRIBUTES if "generation" in each.spans}
    assert set(span.all_attributes()) <= allowed
