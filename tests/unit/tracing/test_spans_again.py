"""A trace made again from its row: the same ids, the same tree, the times of the row."""

import msgspec
import pytest

from lakehouse.core.context import CallContext, call_context
from lakehouse.tracing.door_spans import request_span
from lakehouse.tracing.session_spans import resent_spans, session_spans
from lakehouse.tracing.span import Span
from support.span_tree import ENDED_NS, MS, by_label, label, shape
from support.traced import (
    UNGROUNDED,
    attempt,
    failed_row,
    request_ended,
    row_of,
    session_ended,
)


def ids(spans: list[Span]) -> dict[str, bytes]:
    return {label(span): span.span_id for span in spans}


def test_a_trace_made_again_has_the_same_ids_and_the_same_tree():
    """The request of the first daemon included: no span is left without its parent."""
    context = call_context([], [])
    ended = session_ended(attempt(0, UNGROUNDED), attempt(1), context=context)
    live = [request_span(request_ended(context)), *session_spans(ended, content=True)]

    again = resent_spans(ended.row, content=True)

    assert ids(again) == ids(live)
    assert shape(again) == shape(live)
    assert {span.trace.trace_id for span in again} == {context.trace_id}
    assert {span.all_attributes()["lakehouse.row_id"] for span in again} == {context.row_id}


def test_a_trace_made_again_says_so_and_has_the_rows_times():
    """Whole milliseconds, attempts end to end, the last at the row's own time."""
    spans = by_label(
        resent_spans(session_ended(attempt(0, UNGROUNDED), attempt(1)).row, content=False)
    )

    assert spans["session"].all_attributes()["lakehouse.resent"] is True
    assert spans["session"].end_ns == spans["attempt 1"].end_ns == ENDED_NS
    assert spans["session"].start_ns == ENDED_NS - 300 * MS
    assert spans["attempt 0"].start_ns == ENDED_NS - 200 * MS
    assert spans["generation 0"].end_ns == spans["attempt 0"].end_ns == ENDED_NS - 100 * MS


@pytest.mark.parametrize(
    ("changes", "status"),
    [({}, 422), ({"verdict": "accepted"}, 200), ({"code": "timeout"}, 504)],
    ids=["exhausted", "accepted", "timeout"],
)
def test_the_request_made_again_has_the_status_that_was_answered(changes, status):
    context = call_context((), ())
    code = changes.pop("code", None)
    rejected = attempt(0, UNGROUNDED)
    row = failed_row(context, code=code) if code else row_of(context, rejected, **changes)
    [request, *_] = resent_spans(row, content=False)
    assert request.part == "request"
    assert request.all_attributes()["http.response.status_code"] == status
    assert request.parent_span_id is None


def test_a_replayed_session_had_no_request():
    row = row_of(call_context((), ()), attempt(0), daemon="replay")
    assert shape(resent_spans(row, content=False))["outside"] == ["session"]


def test_a_row_with_a_time_that_is_none_makes_no_span_that_ends_before_it_began():
    """Another program may write one; the format takes every whole number."""
    row = row_of(call_context((), ()), attempt(0, duration_ms=-50), attempt(1), duration_ms=-7)
    for span in resent_spans(row, content=False):
        assert span.start_ns <= span.end_ns


def test_a_crashed_session_still_has_a_trace():
    """The reaper's row: no attempts, no time."""
    context = CallContext("s", "a" * 32, "b" * 32, "c" * 16)
    row = failed_row(context, code="crashed")
    row = msgspec.structs.replace(row, duration_ms=0, tables={})
    spans = resent_spans(row, content=True)
    assert [span.part for span in spans] == ["request", "session", "log append"]
    assert spans[0].all_attributes()["http.response.status_code"] == 502
