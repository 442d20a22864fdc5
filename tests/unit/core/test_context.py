"""Which session a call belongs to: contract section 2."""

from typing import Any

import pytest

from lakehouse.core.context import (
    REPLACED_HEADER,
    ROW_ID_HEADER,
    TRACE_ID_HEADER,
    CallContext,
    call_context,
    session_context,
)
from lakehouse.core.ids import REQUEST_SPAN, SESSION_SPAN, derived_span_id, is_id
from lakehouse.core.trace_context import TraceParent, parse_traceparent
from support.spec_files import vectors

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _context_of(case: dict[str, Any]) -> CallContext:
    return call_context(
        case["trace_id_fields"],
        case["traceparent_fields"],
        minted_by_tracing=case["minted_by_tracing"],
    )


@pytest.mark.parametrize("case", vectors("session_id"), ids=lambda case: case["why"])
def test_vectors(case: dict[str, Any]) -> None:
    context, expected = _context_of(case), case["expected"]
    assert context.trace_id_replaced == expected["trace_id_replaced"]
    assert context.parent_span_id == expected["parent_span_id"]
    assert (context.link.trace_id if context.link else None) == expected["link"]
    if expected["session_id"] is None:
        assert is_id(context.session_id)
        assert context.session_id[12] == "7"
        assert context.trace_id == context.session_id
    else:
        assert context.session_id == expected["session_id"]
        assert context.trace_id == expected["trace_id"]


@pytest.mark.parametrize("bad", ["a b", "é", "x" * 65, "<script>"])
def test_a_bad_header_is_never_echoed(bad: str) -> None:
    context = call_context([bad], [])
    assert bad not in repr(context)
    assert bad not in repr(context.hop_headers())


def test_every_call_has_ids_of_its_own() -> None:
    first, second = call_context(["w"], [CALLER]), call_context(["w"], [CALLER])
    assert first.session_id == second.session_id
    assert first.row_id != second.row_id
    assert first.span_id != second.span_id
    assert is_id(first.row_id)


def test_a_row_id_given_by_an_inner_hop_is_kept() -> None:
    assert call_context([], [], row_id="a" * 32).row_id == "a" * 32


def test_a_link_names_the_callers_span_and_the_trace_is_our_own() -> None:
    context = call_context(["workflow-42"], [CALLER])
    assert context.link == TraceParent("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1)
    assert context.parent_span_id is None
    assert context.trace_id != context.link.trace_id


def test_the_callers_sampling_is_kept() -> None:
    unsampled = CALLER.removesuffix("01") + "00"
    assert call_context([], [unsampled]).traceparent().endswith("-00")
    assert call_context([], []).traceparent().endswith("-03")


def test_the_traceparent_sent_on_names_our_span() -> None:
    context = call_context([], [CALLER])
    sent = parse_traceparent([context.traceparent()])
    assert sent == TraceParent(context.trace_id, context.span_id, 1)
    assert context.span_id != "b7ad6b7169203331"


def test_a_child_is_the_same_call_under_another_span() -> None:
    context = call_context([], [CALLER])
    child = context.child("00f067aa0ba902b7")
    assert child.span_id == "00f067aa0ba902b7"
    assert child.parent_span_id == context.span_id
    assert (child.session_id, child.trace_id, child.row_id) == (
        context.session_id,
        context.trace_id,
        context.row_id,
    )


@pytest.mark.parametrize("header", [[], ["workflow-42"], ["bad header"]])
@pytest.mark.parametrize("caller", [[], [CALLER]])
def test_the_inner_hop_decides_the_same_ids(header: list[str], caller: list[str]) -> None:
    """What `hop_headers` carries gives an inner daemon the same session, row and trace."""
    outer = call_context(header, caller)
    carried = outer.hop_headers()
    inner = call_context(
        [carried[TRACE_ID_HEADER]],
        [carried["traceparent"]],
        row_id=carried[ROW_ID_HEADER],
        trace_id_replaced=carried.get(REPLACED_HEADER) == "true",
    )
    assert inner.session_id == outer.session_id
    assert inner.trace_id == outer.trace_id
    assert inner.row_id == outer.row_id
    assert inner.trace_id_replaced == outer.trace_id_replaced
    assert inner.parent_span_id == outer.span_id
    assert inner.link is None


def test_the_callers_tracestate_goes_on_with_the_callers_trace() -> None:
    """To the inner hop and to providers alike."""
    context = call_context([], [CALLER], ["vendor=1", "other=2"])
    assert context.tracestate == "vendor=1,other=2"
    assert context.hop_headers()["tracestate"] == "vendor=1,other=2"
    assert context.child("00f067aa0ba902b7").trace_headers()["tracestate"] == "vendor=1,other=2"


@pytest.mark.parametrize(
    ("header", "caller"),
    [(["workflow-42"], [CALLER]), ([], []), ([], [CALLER, CALLER]), ([], ["malformed"])],
    ids=["a trace of our own", "no parent", "two parents", "a malformed parent"],
)
def test_a_tracestate_of_another_trace_stays_behind(header: list[str], caller: list[str]) -> None:
    """It says something about the caller's trace, and this is not the caller's."""
    context = call_context(header, caller, ["vendor=1"])
    assert context.tracestate is None
    assert "tracestate" not in context.hop_headers()


@pytest.mark.parametrize(
    ("header", "caller", "flags"),
    [
        ([], [], 3),
        ([], [CALLER], 1),
        ([], [CALLER.removesuffix("01") + "02"], 2),
        ([], [CALLER.removesuffix("01") + "ff"], 3),
        (["workflow-42"], [], 1),
        (["0" * 31 + "1"], [], 1),
        (["workflow-42"], [CALLER.removesuffix("01") + "02"], 1),
    ],
    ids=[
        "minted: sampled, and random",
        "the caller's: not random",
        "the caller's: random, not sampled",
        "unknown bits are sent as zero",
        "made of the caller's text: not random",
        "the caller's own hex: nobody said it is random",
        "a trace of our own: sampled whatever the other was",
    ],
)
def test_the_random_flag_is_kept_or_set_where_it_is_true(
    header: list[str], caller: list[str], flags: int
) -> None:
    assert call_context(header, caller).traceparent()[-2:] == f"{flags:02x}"


def test_the_outermost_request_has_the_span_id_that_its_row_gives() -> None:
    """So that a row is enough to find the root again; an inner daemon's is its own."""
    outer = call_context([], [])
    assert outer.span_id == derived_span_id(outer.row_id, REQUEST_SPAN)
    inner = call_context([], [outer.traceparent()], row_id=outer.row_id)
    assert inner.span_id not in {outer.span_id, derived_span_id(outer.row_id, REQUEST_SPAN)}


def test_a_session_without_a_request_is_its_own_root() -> None:
    context = session_context()
    assert context.span_id == derived_span_id(context.row_id, SESSION_SPAN)
    assert context.parent_span_id is None


def test_derived_span_ids_are_valid_and_differ_by_row_and_number() -> None:
    """16 lowercase hex digits: the first 8 bytes of a SHA-256, the highest bit always one."""
    ids = {derived_span_id(row, number) for row in ("a" * 32, "b" * 32) for number in range(100)}
    assert len(ids) == 200
    assert all(len(each) == 16 and int(each, 16) >> 63 == 1 for each in ids)
    assert derived_span_id("a" * 32, 0) == "bba3f5f43b926026"
