"""From a row to its spans: one tree, its times, what is content, and the same ids again."""

import msgspec
import pytest

from lakehouse.core.context import call_context, session_context
from lakehouse.core.finding import Finding
from lakehouse.core.limits import TRUNCATED_TEXT_BYTES_MAX
from lakehouse.core.observation import AttemptTimes, SessionEnded
from lakehouse.core.session import Narrowed
from lakehouse.tracing.attributes import ATTRIBUTES, CONTENT
from lakehouse.tracing.door_spans import request_span
from lakehouse.tracing.session_spans import resent_spans, session_spans, span_count
from lakehouse.tracing.span import Span, raw_id
from support.span_tree import ENDED_NS, MS, by_label, shape
from support.traced import (
    NULL,
    UNGROUNDED,
    attempt,
    failed_row,
    request_ended,
    row_of,
    session_ended,
)

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NO_JSON = Finding(code="no_json", path="", message="There is no JSON in the answer.")
SCHEMA = Finding(
    code="schema", path="/n", message="too small", expected=msgspec.Raw(b'{"minimum":1}')
)


def a_retry() -> list[Span]:
    return session_spans(session_ended(attempt(0, UNGROUNDED), attempt(1)), content=True)


def test_a_session_with_a_retry_is_one_tree():
    """Session, attempts, and below each what was done in it; every id once."""
    spans = a_retry()

    assert shape(spans) == {
        "outside": ["session"],
        "session": ["attempt 0", "attempt 1", "log append"],
        "attempt 0": ["generation 0", "extraction 0", "schema 0", "grounding 0"],
        "attempt 1": ["generation 1", "extraction 1", "schema 1", "grounding 1"],
    }
    assert len({span.span_id for span in spans}) == len(spans) == 12
    assert len({span.trace.trace_id for span in spans}) == 1


def test_the_session_hangs_below_its_request_and_the_request_below_its_caller():
    context = call_context([], [CALLER], ["vendor=1"])
    [session, *_] = session_spans(session_ended(attempt(0), context=context), content=False)
    request = request_span(request_ended(context))

    assert session.parent_span_id == request.span_id == raw_id(context.span_id)
    assert request.parent_span_id == raw_id("00f067aa0ba902b7")
    assert {session.trace.trace_id, request.trace.trace_id} == {"4bf92f3577b34da6a3ce929d0e0e4736"}
    assert (session.trace.flags, request.trace.flags) == (1, 1)
    assert (session.trace.tracestate, request.trace.tracestate) == ("vendor=1", "vendor=1")


def test_a_trace_of_our_own_links_to_the_callers():
    """The header decided, and named another trace."""
    request = request_span(request_ended(call_context(["workflow-42"], [CALLER])))
    assert request.parent_span_id is None
    assert request.link is not None
    assert request.link.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_session_without_a_request_is_the_root():
    context = session_context()
    [session, *_] = session_spans(session_ended(attempt(0), context=context), content=False)
    assert session.parent_span_id is None
    assert session.span_id == raw_id(context.span_id)


def test_times_are_those_that_were_measured():
    """Each check begins where the one before ended; the log append after the row's own time."""
    spans = by_label(a_retry())

    def offsets(name: str) -> tuple[float, float]:
        span = spans[name]
        return (span.start_ns - ENDED_NS) / MS, (span.end_ns - ENDED_NS) / MS

    assert offsets("session") == (-300, 2)
    assert offsets("attempt 0") == (-200, -100)
    assert offsets("generation 0") == (-200, -120)
    assert offsets("extraction 0") == (-120, -115)
    assert offsets("schema 0") == (-115, -110)
    assert offsets("grounding 0") == (-110, -100)
    assert offsets("attempt 1") == (-100, 0)
    assert offsets("log append") == (0, 2)


def test_a_check_says_whether_it_held_and_what_it_found():
    """A rejected answer is a warning, not an error: the service did well."""
    spans = by_label(a_retry())

    assert spans["schema 0"].all_attributes()["lakehouse.passed"] is True
    assert spans["grounding 0"].all_attributes()["lakehouse.passed"] is False
    assert spans["grounding 0"].all_attributes()["lakehouse.finding_codes"] == ("ungrounded",)
    assert spans["grounding 0"].all_attributes()["lakehouse.finding_paths"] == ("/code",)
    assert spans["attempt 0"].all_attributes()["langfuse.observation.level"] == "WARNING"
    assert spans["attempt 0"].all_attributes()["lakehouse.outcome"] == "rejected"
    assert "langfuse.observation.level" not in spans["attempt 1"].all_attributes()
    assert {span.error for span in spans.values()} == {None}


@pytest.mark.parametrize(
    ("rejected", "checks"),
    [
        (attempt(0, NO_JSON, artifact=NULL), {"extraction": False}),
        (attempt(0, SCHEMA), {"extraction": True, "schema": False}),
        (attempt(0, SCHEMA, artifact=NULL), {"extraction": True, "schema": False}),
        (attempt(0, UNGROUNDED), {"extraction": True, "schema": True, "grounding": False}),
        (attempt(0, artifact=NULL), {"extraction": True, "schema": True, "grounding": True}),
    ],
    ids=["no JSON", "schema", "schema, of a null", "grounding", "accepted null"],
)
def test_a_check_that_was_not_reached_is_no_span(rejected, checks):
    """Grounding and rules run only when the schema holds, the schema only on JSON."""
    spans = session_spans(session_ended(rejected), content=False)
    found = {
        span.part: span.all_attributes()["lakehouse.passed"]
        for span in spans
        if "lakehouse.passed" in span.all_attributes()
    }
    assert found == checks


def test_an_inline_schema_has_no_grounding():
    context = call_context((), ())
    row = row_of(context, attempt(0), kind=None, grounded=None, tables={})
    spans = session_spans(session_ended(context=context, row=row), content=False)
    assert "grounding" not in {span.part for span in spans}


def test_a_model_that_did_not_answer_is_an_attempt_that_failed():
    """It is in no row, and on the trace as an error from asking to giving up."""
    context = call_context((), ())
    row = failed_row(context, attempt(0, UNGROUNDED))
    unfinished = AttemptTimes("00f067aa0ba902b7", 1_200.0)
    spans = by_label(
        session_spans(session_ended(context=context, row=row, unfinished=unfinished), content=True)
    )

    assert shape(list(spans.values()))["attempt 1"] == ["generation 1"]
    for name in ("session", "attempt 1", "generation 1"):
        assert spans[name].error == "timeout: The model did not answer."
        assert spans[name].all_attributes()["error.type"] == "timeout"
    assert spans["attempt 1"].span_id == raw_id("00f067aa0ba902b7")
    assert spans["generation 1"].end_ns - spans["generation 1"].start_ns == 100 * MS
    assert spans["generation 0"].error is None


def test_trouble_after_the_answer_leaves_the_generation_alone():
    """A table that is away fails the attempt, not the model call."""
    context = call_context((), ())
    row = failed_row(context, code="table_unavailable")
    unfinished = AttemptTimes("00f067aa0ba902b7", 1_200.0, 1_250.0, 1_251.0, 1_252.0)
    spans = by_label(
        session_spans(session_ended(context=context, row=row, unfinished=unfinished), content=False)
    )
    assert spans["attempt 0"].error is not None
    assert spans["generation 0"].error is None
    assert spans["generation 0"].end_ns - spans["generation 0"].start_ns == 50 * MS


def test_a_row_that_is_not_durable_shows_on_the_append():
    spans = by_label(session_spans(session_ended(attempt(0), logged=False), content=False))
    assert spans["log append"].error is not None
    assert spans["log append"].all_attributes()["lakehouse.logged"] is False
    assert spans["session"].all_attributes()["lakehouse.logged"] is False


def test_a_generation_says_what_the_conventions_ask():
    """Provider, model, tokens, and why it stopped; what the caller set only where it still held."""
    spans = by_label(a_retry())

    first = spans["generation 0"]
    assert (first.template.name, first.template.kind) == ("chat tiny", "client")
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "tiny",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.conversation.id": "conversation-1",
        "langfuse.observation.type": "generation",
    }
    assert {name: first.all_attributes().get(name) for name in expected} == expected
    assert "gen_ai.request.seed" not in first.all_attributes()
    assert "gen_ai.request.temperature" not in spans["generation 1"].all_attributes()


def test_tokens_that_nobody_counted_are_not_sent():
    spans = by_label(
        session_spans(
            session_ended(attempt(0, usage=msgspec.convert({}, type(attempt(0).usage)))),
            content=False,
        )
    )
    assert not [name for name in spans["generation 0"].all_attributes() if "usage" in name]


@pytest.mark.parametrize("content", [True, False])
def test_prompts_and_outputs_leave_only_where_the_settings_allow_it(content: bool):
    """No text of caller or model is in any attribute, name or status; with content, all are."""
    ended = session_ended(attempt(0, UNGROUNDED), attempt(1))
    sent = repr(session_spans(ended, content=content)) + repr(
        resent_spans(ended.row, content=content)
    )
    for secret in ("prompt", "system", "told", "output", "artifact"):
        assert (f"secret-{secret}" in sent) is content, secret
    assert ("XXX" in sent) is content
    names = {
        name for span in session_spans(ended, content=content) for name in span.all_attributes()
    } & CONTENT
    assert names == (CONTENT if content else set())


@pytest.mark.parametrize("content", [True, False])
def test_a_path_is_content_and_a_code_is_not(content: bool):
    """The model may have made the member's name that a path holds."""
    made_up = Finding(code="schema", path="/secret-member", message="not allowed")
    ended = session_ended(attempt(0, made_up), attempt(1))
    for spans in (session_spans(ended, content=content), resent_spans(ended.row, content=content)):
        told = by_label(spans)["schema 0"].all_attributes()
        assert told["lakehouse.finding_codes"] == ("schema",)
        assert told.get("lakehouse.finding_paths") == (("/secret-member",) if content else None)
        assert ("secret-member" in repr(spans)) is content


def test_messages_have_the_form_of_the_conventions():
    """The caller's turns and what this attempt was told; the answer with its finish reason."""
    spans = by_label(a_retry())
    attributes = spans["generation 1"].all_attributes()
    told = msgspec.json.decode(str(attributes["gen_ai.input.messages"]))
    [answer] = msgspec.json.decode(str(attributes["gen_ai.output.messages"]))

    assert [turn["role"] for turn in told] == ["user", "user"]
    assert told[1]["parts"] == [{"type": "text", "content": "Findings: [secret-told]"}]
    assert answer == {
        "role": "assistant",
        "parts": [{"type": "text", "content": "secret-output"}],
        "finish_reason": "stop",
    }


def test_a_long_text_is_cut_to_what_an_attribute_may_hold():
    spans = session_spans(session_ended(attempt(0, output="é" * 100_000)), content=True)
    sent = by_label(spans)["generation 0"].all_attributes()["gen_ai.output.messages"]
    assert isinstance(sent, str)
    assert TRUNCATED_TEXT_BYTES_MAX < len(sent.encode()) < TRUNCATED_TEXT_BYTES_MAX + 200
    assert "…" in sent


@pytest.mark.parametrize("conversation", [None, "", "x" * 201, "Gespräch"])
def test_a_conversation_id_that_langfuse_would_drop_is_not_sent(conversation):
    """Nor is it cut: two conversations must not become one."""
    context = call_context((), ())
    row = row_of(context, attempt(0), conversation_id=conversation)
    spans = session_spans(session_ended(context=context, row=row), content=False)
    assert not [span for span in spans if "session.id" in span.all_attributes()]


def test_the_conversation_is_on_every_span_of_a_session_and_our_session_id_is_not_it():
    """A Langfuse session groups traces; our session is a trace."""
    for span in a_retry():
        assert span.all_attributes()["session.id"] == "conversation-1"
        assert span.all_attributes()["lakehouse.session_id"] != "conversation-1"


@pytest.mark.parametrize(
    "ended",
    [
        session_ended(attempt(0)),
        session_ended(attempt(0, UNGROUNDED), attempt(1)),
        session_ended(attempt(0, SCHEMA), attempt(1, NO_JSON, artifact=NULL)),
        session_ended(row=row_of(call_context((), ()), attempt(0), kind=None)),
        session_ended(row=row_of(call_context((), ()), attempt(0, UNGROUNDED), kind=None)),
        session_ended(
            row=failed_row(call_context((), ())), unfinished=AttemptTimes("0" * 15 + "1", 1.0)
        ),
    ],
    ids=["accepted", "retried", "exhausted", "inline", "inline and ungrounded", "failed"],
)
def test_spans_are_counted_without_being_made(ended: SessionEnded):
    """And none has an attribute twice: from its trace, its template and by itself."""
    spans = session_spans(ended, content=True)
    assert span_count(ended) == len(spans)
    for span in spans:
        names = [name for name, _ in (*span.trace.pairs, *span.template.pairs)]
        names += span.attributes
        assert len(names) == len(set(names)) == len(span.all_attributes())


OFFERED = tuple(
    Narrowed(path=path, column=f"t.{path[1:]}", mode=mode, candidates=count, digest="sha256:1")
    for path, mode, count in (("/code", "decode", 2), ("/name", "hint", 0))
)


@pytest.mark.parametrize("content", [True, False])
def test_an_attempt_says_what_it_was_offered_now_and_when_sent_again(content: bool):
    """The places and columns are the configuration's: they are no content. The prompt's hint is
    in no row, so the messages do not have it.
    """
    ended = session_ended(attempt(0, UNGROUNDED, narrowed=OFFERED), attempt(1))
    for spans in (session_spans(ended, content=content), resent_spans(ended.row, content=content)):
        told = by_label(spans)["attempt 0"].all_attributes()
        assert {name: value for name, value in told.items() if "offered" in name} == {
            "lakehouse.offered_paths": ("/code", "/name"),
            "lakehouse.offered_columns": ("t.code", "t.name"),
            "lakehouse.offered_modes": ("decode", "hint"),
            "lakehouse.offered_candidates": (2, 0),
        }
        assert "offered" not in repr(by_label(spans)["attempt 1"])


def test_every_attribute_is_in_the_table_and_every_one_there_is_sent():
    """On the spans that the table names, and on no other."""
    context = call_context((), ())
    failed = failed_row(context, attempt(0, UNGROUNDED))
    unfinished = AttemptTimes("00f067aa0ba902b7", 1_200.0)
    seeded = msgspec.structs.replace(row_of(context, attempt(0)).settings, seed=7)
    spans = [
        *a_retry(),
        *session_spans(session_ended(attempt(0, NO_JSON, artifact=NULL)), content=True),
        *session_spans(session_ended(attempt(0, SCHEMA, narrowed=OFFERED)), content=True),
        *session_spans(
            session_ended(row=row_of(context, attempt(0), settings=seeded)), content=True
        ),
        *session_spans(
            session_ended(context=context, row=failed, unfinished=unfinished), content=True
        ),
        *resent_spans(failed, content=True),
        request_span(request_ended(call_context([], []), status=502)),
    ]
    sent = {(name, span.part) for span in spans for name in span.all_attributes()}
    table = {(each.name, part) for each in ATTRIBUTES for part in each.spans}
    assert sent == table
