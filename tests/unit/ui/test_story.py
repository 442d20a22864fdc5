"""The story of a row: everything that people look for, for rows of any version."""

from typing import Any

import msgspec
import pytest
from hypothesis import given

from lakehouse.core.finding import Finding, Repair, Truncated
from lakehouse.core.json_text import parse_form
from lakehouse.core.metadata import AFTER_MEMBER
from lakehouse.core.row import LoggedError, Row, RowMessage
from lakehouse.core.row_codec import encode_line
from lakehouse.core.session import Narrowed
from lakehouse.ui.attempt_story import LIST_MAX
from lakehouse.ui.shown_text import TEXT_CHARS_MAX
from lakehouse.ui.story import SessionStory, story_of
from lakehouse.ui.word_diff import Piece
from support.generated_rows import rows as any_rows
from support.rows import make_attempt, make_feedback, make_row

CUT = Truncated(True, 100_000, "ab" * 32)


def _story(row: Row, **facts: Any) -> SessionStory:
    return story_of(row, encode_line(row), gateway_url="http://127.0.0.1:4110", **facts)


@given(any_rows)
def test_any_row_has_a_story(row):
    """Also one with words of a later version: they stand as they are, and the row is whole."""
    story = _story(row, label=make_feedback())
    data: Any = parse_form(msgspec.json.encode(story), depth_max=100)
    assert msgspec.json.encode(story.row) == encode_line(row)
    assert len(story.attempts) == len(row.attempts)
    for told, attempt in zip(data["attempts"], row.attempts, strict=True):
        assert told["finish_reason"] == attempt.finish_reason
        assert [one["code"] for one in told["findings"]] == [one.code for one in attempt.findings]
        placed = [one for line in told["artifact"] or () for one in line["findings"]]
        assert len(placed) == (len(attempt.findings) if told["artifact"] is not None else 0)
    if row.error is not None:
        assert data["error"]["code"] == row.error.code
        assert data["error"]["hint"]


def test_a_rejected_answer_and_the_next_one():
    """What was offered, wrong, told and changed, each where it belongs."""
    finding = Finding(
        code="ungrounded",
        path="/airport",
        message='"QQQ" is not in airports.iata',
        got=msgspec.Raw(b'"QQQ"'),
        nearest=msgspec.Raw(b'["OSL"]'),
    )
    offer = Narrowed(
        path="/airport", column="airports.iata", mode="hint", candidates=2, digest="sha256:0"
    )
    quote = Narrowed(path="/q", column="source", mode="later_mode", candidates=1, digest="sha256:1")
    first = make_attempt(
        outcome="rejected",
        output='<think>hm</think>{"delay":1.10,"airport":"QQQ"}',
        thinking="hm",
        artifact=msgspec.Raw(b'{"delay":1.10,"airport":"QQQ"}'),
        findings=(finding,),
        narrowed=(offer, quote),
        repairs=(Repair("trailing_comma", 7, "removed a comma"),),
    )
    second = make_attempt(1, told="No. Use OSL.", duration_ms=1_250)
    row = make_row(attempts=(first, second), iterations=2, accepted_iteration=1)
    story = _story(row)
    assert story.sentence == "Answer 2 of at most 3 was accepted, in 12 ms."
    one, two = story.attempts
    assert [offered.sentence for offered in one.offered] == [
        "2 values of airports.iata, in the prompt",
        "1 quote of the text, later_mode",
    ]
    assert (one.sentence, one.told, one.change) == (
        "Rejected with 1 finding, in 12 ms.",
        None,
        None,
    )
    assert one.thinking is not None
    assert one.thinking.text == "hm"
    assert one.repairs == first.repairs
    assert one.artifact is not None
    [line] = [line for line in one.artifact if line.findings]
    assert (line.path, line.text) == ("/airport", '"QQQ"')
    assert one.findings[0].nearest == finding.nearest
    assert two.sentence == "Accepted, in 1.2 s."
    assert two.told is not None
    assert two.told.text == "No. Use OSL."
    assert two.change is not None
    assert two.change.of == "artifact"
    changed = [piece for piece in two.change.pieces if piece.change != "same"]
    assert changed == [Piece("removed", "QQQ"), Piece("added", "OSL")]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "The first answer was accepted, in 12 ms."),
        (
            {"verdict": "max_iter_exhausted", "iterations": 3, "accepted_iteration": None},
            "No answer was accepted: 3 answers were rejected, in 12 ms.",
        ),
        (
            {"verdict": "max_iter_exhausted", "accepted_iteration": None, "duration_ms": 61_000},
            "No answer was accepted: 1 answer was rejected, in 1.0 min.",
        ),
        (
            {
                "verdict": "infra_error",
                "iterations": 0,
                "accepted_iteration": None,
                "error": LoggedError("timeout", "too late"),
                "duration_ms": 2_500,
            },
            "It could not be judged (timeout), without an answer, in 2.5 s.",
        ),
    ],
)
def test_the_verdict_is_one_sentence(changes, sentence):
    """For each of the three."""
    assert _story(make_row(**changes)).sentence == sentence


def test_an_error_says_what_to_do():
    """Message and cause as logged, and the hint of the code; none for a later version's."""
    row = make_row(verdict="infra_error", error=LoggedError("connect", "No one there.", "refused"))
    error = _story(row).error
    assert error is not None
    assert (error.message, error.detail) == ("No one there.", "refused")
    assert "lakehouse doctor" in error.hint
    later = _story(make_row(verdict="infra_error", error=LoggedError("later", "x"))).error
    assert later is not None
    assert "later version" in later.hint


def test_texts_that_the_log_cut_say_so():
    """Each with its size before; also lists and artifacts."""
    attempt = make_attempt(
        output="abc",
        output_truncated=CUT,
        artifact=msgspec.Raw(b"null"),
        artifact_truncated=CUT,
        findings_truncated=CUT,
        repairs_truncated=CUT,
    )
    row = make_row(prompt="ä", prompt_truncated=CUT, attempts=(attempt, make_attempt(1)))
    story = _story(row)
    told, after = story.attempts
    assert "first 2 of 100,000 bytes" in story.conversation[-1].content.note
    assert "first 3 of 100,000 bytes" in told.output.note
    assert "left this artifact out (100,000 bytes)" in told.artifact_note
    assert "first 0 findings" in told.findings_note
    assert "first 0 repairs" in told.repairs_note
    assert after.change is not None
    assert after.change.of == "output"
    assert "only the rest is compared" in after.change.note


def test_a_page_has_a_bound():
    """A long text is shown up to a length that is said; the row has all of it."""
    story = _story(make_row(prompt="x" * 100_000))
    content = story.conversation[-1].content
    assert (len(content.text), content.left_out_chars) == (TEXT_CHARS_MAX, 100_000 - TEXT_CHARS_MAX)
    assert "65,536 of 100,000 characters" in content.note
    assert len(bytes(story.row)) > 100_000


def test_many_findings_have_a_bound_too():
    """The first ones, in the tree and beside it, and how many there are."""
    finding = Finding(code="schema", path="/a", message="no")
    attempt = make_attempt(outcome="rejected", findings=(finding,) * 1_000)
    [told] = _story(make_row(attempts=(attempt,))).attempts
    assert len(told.findings) == LIST_MAX
    assert "200 of 1,000 findings" in told.findings_note
    assert told.artifact is not None
    assert sum(len(line.findings) for line in told.artifact) == LIST_MAX


def test_all_messages_are_told_in_order():
    """The system's text first; what Python checks said is no text of the user."""
    messages = (
        RowMessage("user", "one"),
        RowMessage("assistant", "two"),
        RowMessage("user", "wrong: x"),
    )
    row = make_row(messages=messages, prompt="one", metadata={AFTER_MEMBER: "r" * 32})
    turns = _story(row).conversation
    assert [(turn.role, turn.content.text) for turn in turns] == [
        ("system", "Extract the event as JSON."),
        ("user", "one"),
        ("assistant", "two"),
        ("user", "wrong: x"),
    ]
    assert [bool(turn.note) for turn in turns] == [False, False, False, True]


def test_a_label_shows_what_was_corrected():
    """Who said it, when, and the difference to the answer."""
    feedback = make_feedback(artifact=msgspec.Raw(b'{"airport":"OSL","delay":2}'))
    label = _story(make_row(), label=feedback).label
    assert label is not None
    assert (label.sentence, label.author) == ("A person corrected the answer.", "ana")
    assert label.change is not None
    changed = [piece.text for piece in label.change.pieces if piece.change != "same"]
    assert changed == ["1.10", "2"]


def test_a_trace_has_a_link_where_its_receiver_is_known():
    """The id cannot leave its place in the address."""
    template = "https://traces.example/trace/{trace_id}"
    row = make_row(trace_id="a/../b?c")
    assert _story(row).trace_url is None
    assert (
        _story(row, trace_page=template).trace_url == "https://traces.example/trace/a%2F..%2Fb%3Fc"
    )
