"""`traceparent` and `tracestate`: read as W3C says, sent on as version 00."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.core.context import call_context
from lakehouse.core.limits import TRACESTATE_CHARS_MAX
from lakehouse.core.trace_context import TraceParent, parse_traceparent, parse_tracestate
from support.spec_files import vectors


@pytest.mark.parametrize("case", vectors("traceparent"), ids=lambda case: case["why"])
def test_vectors(case: dict[str, Any]) -> None:
    expected = case["parent"]
    parent = parse_traceparent(case["fields"])
    assert parent == (None if expected is None else TraceParent(**expected))


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 255))
def test_what_is_written_reads_back(trace: int, span: int, flags: int) -> None:
    """Bits that version 00 does not define are sent as zero."""
    context = msgspec.structs.replace(
        call_context((), ()), trace_id=f"{trace:032x}", span_id=f"{span:016x}", flags=flags
    )
    read = parse_traceparent([context.traceparent()])
    assert read == TraceParent(context.trace_id, context.span_id, flags & 3)


@given(st.text())
def test_no_header_text_is_an_error(text: str) -> None:
    assert parse_traceparent([text]) is None or len(text) >= 55


@pytest.mark.parametrize("case", vectors("tracestate"), ids=lambda case: case["why"])
def test_tracestate_vectors(case: dict[str, Any]) -> None:
    assert parse_tracestate(case["fields"]) == case["sent"]


@given(st.lists(st.text(), max_size=5))
def test_a_tracestate_that_is_sent_on_reads_back_the_same(fields: list[str]) -> None:
    """Whatever came, what goes on is valid and small, or nothing."""
    sent = parse_tracestate(fields)
    if sent is not None:
        assert parse_tracestate([sent]) == sent
        assert len(sent) <= TRACESTATE_CHARS_MAX


@given(
    st.lists(
        st.from_regex(r"[a-z0-9][a-z0-9_*/@-]{0,30}=[!-+]{1,200}", fullmatch=True), max_size=32
    )
)
def test_valid_members_survive_in_their_order(members: list[str]) -> None:
    """All of them where there is room."""
    sent = parse_tracestate([",".join(members)])
    if len(",".join(members)) <= TRACESTATE_CHARS_MAX:
        assert (sent or "") == ",".join(members)
    else:
        kept = (sent or "").split(",")
        assert kept == [member for member in members if member in kept][: len(kept)] or not sent
