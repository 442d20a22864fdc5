"""`traceparent`: read as W3C says, written as version 00."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.core.trace_context import TraceParent, parse_traceparent
from support.spec_files import vectors


@pytest.mark.parametrize("case", vectors("traceparent"), ids=lambda case: case["why"])
def test_vectors(case: dict[str, Any]) -> None:
    expected = case["parent"]
    parent = parse_traceparent(case["fields"])
    assert parent == (None if expected is None else TraceParent(**expected))


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 255))
def test_what_is_written_reads_back(trace: int, span: int, flags: int) -> None:
    """Bits that version 00 does not define are sent as zero."""
    parent = TraceParent(f"{trace:032x}", f"{span:016x}", flags)
    read = parse_traceparent([parent.header()])
    assert read == TraceParent(parent.trace_id, parent.span_id, flags & 3)


@given(st.text())
def test_no_header_text_is_an_error(text: str) -> None:
    assert parse_traceparent([text]) is None or len(text) >= 55
