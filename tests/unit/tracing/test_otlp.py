"""Spans as bytes, read back with opentelemetry-proto's own classes."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from lakehouse.core.trace_context import TraceParent
from lakehouse.tracing.attributes import ATTRIBUTES
from lakehouse.tracing.otlp import (
    encode_batch,
    encode_resource,
    encode_spans,
    rejected_spans,
)
from lakehouse.tracing.span import AttributeValue, Span, Template, Trace, raw_id
from support.otlp import SeenSpan, seen_spans

TRACE = Trace("0af7651916cd43dd8448eb211c80319c", 1, None, ())
TEMPLATE = Template("session", "session", "internal", ())
SPAN = Span(
    TEMPLATE,
    TRACE,
    span_id=bytes.fromhex("b7ad6b7169203331"),
    parent_span_id=bytes.fromhex("00f067aa0ba902b7"),
    start_ns=1_795_630_652_370_726_144,
    end_ns=1_795_630_652_395_972_864,
)
NAMES = st.sampled_from([attribute.name for attribute in ATTRIBUTES])
VALUES = st.one_of(
    st.text(max_size=300),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.lists(st.text(max_size=20), max_size=4).map(tuple),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4).map(tuple),
)


def encoded(*spans: Span) -> tuple[list[bytes], list[Span]]:
    """Encode spans; gives what they became, and those that are left out."""
    bad: list[Span] = []
    return encode_spans(spans, lambda span, _: bad.append(span)), bad


def sent(span: Span) -> SeenSpan:
    data, bad = encoded(span)
    assert not bad
    [seen] = seen_spans(encode_batch(encode_resource({"service.name": "lakehouse"}), data))
    return seen


def test_a_span_arrives_as_it_was_made():
    """Every member, the link and the status too."""
    span = msgspec.structs.replace(
        SPAN,
        template=Template("request", "GET /", "server", (("http.request.method", "GET"),)),
        trace=Trace(TRACE.trace_id, 3, "vendor=1", (("lakehouse.session_id", "one"),)),
        error="status 502",
        link=TraceParent("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1),
        attributes={"lakehouse.verdict": "accepted"},
    )

    assert sent(span) == SeenSpan(
        name="GET /",
        trace_id=TRACE.trace_id,
        span_id=SPAN.span_id.hex(),
        parent_span_id="00f067aa0ba902b7",
        kind="server",
        start_ns=SPAN.start_ns,
        end_ns=SPAN.end_ns,
        attributes={
            "lakehouse.session_id": "one",
            "http.request.method": "GET",
            "lakehouse.verdict": "accepted",
        },
        error="status 502",
        links=[("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")],
        flags=3,
        tracestate="vendor=1",
        resource={"service.name": "lakehouse"},
    )


def test_a_root_that_went_well_has_no_parent_and_no_status():
    seen = sent(msgspec.structs.replace(SPAN, parent_span_id=None))
    assert (seen.parent_span_id, seen.error, seen.links, seen.tracestate) == ("", None, [], "")


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_attributes_keep_their_values_and_types(attributes: dict[str, AttributeValue]):
    """Text of any length, numbers of 64 bits, booleans that are no numbers, and lists."""
    seen = sent(msgspec.structs.replace(SPAN, attributes=attributes)).attributes
    expected = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in attributes.items()
    }
    assert seen == expected
    assert {name: type(value) for name, value in seen.items()} == {
        name: type(value) for name, value in expected.items()
    }


def test_a_number_that_is_none_arrives_as_such():
    seen = sent(msgspec.structs.replace(SPAN, attributes={"gen_ai.request.temperature": math.nan}))
    assert math.isnan(seen.attributes["gen_ai.request.temperature"])


def test_a_lone_surrogate_becomes_a_question_mark_and_costs_no_span():
    seen = sent(msgspec.structs.replace(SPAN, attributes={"lakehouse.kind": "a\ud800b"}))
    assert seen.attributes["lakehouse.kind"] == "a?b"


@pytest.mark.parametrize(
    "change",
    [
        {"trace": Trace("0AF7651916CD43DD8448EB211C80319C", 1, None, ())},
        {"trace": Trace("0af76519-16cd-43dd-8448-eb211c80319c", 1, None, ())},
        {"trace": Trace("0af7651916cd43dd 8448eb211c80319c", 1, None, ())},
        {"trace": Trace("0" * 32, 1, None, ())},
        {"trace": Trace("b7ad6b7169203331", 1, None, ())},
        {"trace": Trace(TRACE.trace_id, 1, None, (("__proto__", "x"),))},
        {"template": Template("session", "session", "internal", (("__proto__", "x"),))},
        {"span_id": bytes(8)},
        {"span_id": b""},
        {"parent_span_id": bytes(8)},
        {"parent_span_id": raw_id("00f067aa0ba902b7 ")},
        {"span_id": raw_id("B7AD6B7169203331")},
        {"span_id": raw_id("b7ad6b716920333g")},
        {"attributes": {"__proto__": "x"}},
        {"attributes": {"lakehouse.kind": None}},
        {"link": TraceParent("0" * 32, "00f067aa0ba902b7")},
        {"link": TraceParent(TRACE.trace_id, "0" * 16)},
        {"start_ns": -1},
    ],
    ids=repr,
)
def test_what_no_receiver_would_take_is_left_out_alone(change: dict[str, object]):
    """Ids are lowercase hex and not zero, names come from the table, times fit in 64 bits."""
    bad = msgspec.structs.replace(SPAN, **change)
    good, left_out = encoded(SPAN, bad, SPAN, bad)
    assert left_out == [bad, bad]
    assert good == encoded(SPAN, SPAN)[0]


def test_a_batch_holds_every_span_of_it():
    ids = [number.to_bytes(8, "big") for number in range(1, 300)]
    spans = [msgspec.structs.replace(SPAN, span_id=span_id) for span_id in ids]
    body = encode_batch(encode_resource({"a": "b"}), encoded(*spans)[0])
    assert [seen.span_id for seen in seen_spans(body)] == [span_id.hex() for span_id in ids]


def test_an_answer_says_how_many_spans_it_refused():
    """None in an empty one, in one without a partial success, and in what is no answer at all."""
    answer = ExportTraceServiceResponse()
    assert rejected_spans(answer.SerializeToString()) == 0
    answer.partial_success.error_message = "too old"
    assert rejected_spans(answer.SerializeToString()) == 0
    answer.partial_success.rejected_spans = 300
    assert rejected_spans(answer.SerializeToString()) == 300
    assert rejected_spans(b"{}") == 0
    assert rejected_spans(b"\x0a\xff") == 0
    assert rejected_spans(b"\xff" * 40) == 0
