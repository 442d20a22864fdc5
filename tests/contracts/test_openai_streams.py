"""Streams of OpenAI's routes whose status went out before the outcome, over running daemons."""

from collections.abc import Iterator
from typing import Any

import pytest

from lakehouse.openai_api.parameters import ApiRoute
from support.openai_door import COMPACT, LARGE, Door, door_stack, formatted, text_of
from support.openai_outcomes import SESSIONS, Case
from support.openai_replies import events
from support.raw_stream import RawStream, Streamed

ROUTES = ("chat", "responses")
ANY: dict[str, Any] = {"type": "object"}
QUOTA = "quota_exceeded"  # after a 200 clients guess a status from the code


@pytest.fixture(scope="module", params=["in_process", "apart"])
def door(request, tmp_path_factory) -> Iterator[Door]:
    directory = tmp_path_factory.mktemp(request.param)
    with door_stack(directory, apart=request.param == "apart", stream_wait_ms=0) as running:
        yield running


def stream(door: Door, route: ApiRoute, model: str, prompt: str, **members: Any) -> Streamed:
    return RawStream(door.port, door.raw(route, model, prompt, **members)).rest()


def row_of(door: Door, told: Streamed) -> dict[str, Any]:
    [row] = door.rows(told.headers["x-request-id"])
    return row


@pytest.mark.parametrize("route", ROUTES)
def test_an_answer_comes_after_its_attempts(door, route: ApiRoute):
    """The opening, one comment line for each rejected attempt, and only then the answer."""
    told = stream(door, route, "event", "slow: delayed")

    assert (told.status, told.whole) == (200, True)
    assert told.headers["content-type"] == "text/event-stream"
    assert told.headers["x-accel-buffering"] == "no"
    assert "x-lakehouse-verdict" not in told.headers
    opening, line, rest = told.body.partition(b": attempt 1 rejected\n")
    assert line
    assert b"LHR" not in opening
    assert b"Oslo" not in told.body, "no part of a rejected answer is told"
    assert not any(each.startswith((b"id:", b"retry:")) for each in told.body.split(b"\n"))
    assert text_of(route, told.body, streamed=True) == COMPACT
    if route == "chat":
        assert rest.endswith(b"data: [DONE]\n\n")
        assert events(told.body)[-1]["choices"][0]["finish_reason"] == "stop"
    else:
        found = events(told.body)
        assert [one["sequence_number"] for one in found] == list(range(len(found)))
        assert found[-1]["type"] == "response.completed"
    assert row_of(door, told)["verdict"] == "accepted"


def test_tokens_come_last_where_they_are_asked_for(door):
    told = stream(door, "chat", "event", "retry: delayed", stream_options={"include_usage": True})

    *others, last = events(told.body)
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 14, "completion_tokens": 10, "total_tokens": 24}
    assert [one["usage"] for one in others] == [None] * len(others)


@pytest.mark.parametrize("route", ROUTES)
def test_a_large_answer_is_cut_at_characters(door, route: ApiRoute):
    """Pieces of at most 4 KiB, which joined are the artifact, whatever characters it has."""
    told = stream(door, route, "small", "large", **formatted(route, ANY))

    assert told.whole
    assert text_of(route, told.body, streamed=True) == LARGE
    pieces = [
        one["choices"][0]["delta"].get("content", "") if route == "chat" else one["delta"]
        for one in events(told.body)
        if route == "chat" or one["type"] == "response.output_text.delta"
    ]
    assert len(pieces) > 20
    assert max(len(piece.encode()) for piece in pieces) <= 4_096


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("case", SESSIONS.values(), ids=SESSIONS)
def test_a_failure_after_the_200_is_told_and_the_body_has_no_end(door, route: ApiRoute, case: Case):
    """One error event in the words that clients act on; no sign of success; one row."""
    told = stream(door, route, case.model_for(route, streamed=True), case.prompt, **case.members)

    assert told.status == 200
    assert not told.whole, "the connection closes without the body's last chunk"
    assert b"[DONE]" not in told.body
    assert b'"finish_reason":"' not in told.body
    assert b"response.completed" not in told.body
    last = events(told.body)[-1]
    error = last["error"]
    expected = QUOTA if case.code == "insufficient_quota" else case.code
    assert error["code"] == expected
    assert error["type"] == ("server_error" if case.repeat else "invalid_request_error")
    assert error["retryable"] is case.repeat
    row = row_of(door, told)
    assert error["row_id"] == row["row_id"]
    assert row["verdict"] == case.verdict
    if route == "responses":
        failed = events(told.body)[-2]
        assert failed["type"] == "response.failed"
        word = "server_error" if case.repeat else "invalid_prompt"
        assert failed["response"]["error"]["code"] == word
        assert (last["type"], last["code"]) == ("error", expected)
    else:
        assert list(last) == ["error"]
    rejected = case.iterations or 0
    assert told.body.count(b" rejected\n") == rejected
