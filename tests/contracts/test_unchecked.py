"""Requests without a contract under `unchecked = "pass"`, in one process and over two others.

Their answers say that nothing was checked; they leave no row.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.begun_stream import begun_stream
from support.endpoint import Answer, Endpoint, completion, endpoint, refusal
from support.openai_replies import events
from support.stack import call, running_stack

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
ASKED: dict[str, dict[str, Any]] = {
    CHAT: {"model": "m", "messages": [{"role": "user", "content": "Greet me."}]},
    RESPONSES: {"model": "m", "input": "Greet me."},
}
BOTH = pytest.mark.parametrize("apart", [False, True], ids=["one process", "apart"])
TOOL = {"name": "record", "parameters": {"type": "object"}}
SCHEMA = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}


@contextmanager
def stack_at(
    tmp_path: Path,
    answer: Callable[[dict[str, Any]], Answer],
    *,
    apart: bool,
    wait_ms: int = 20_000,
) -> Iterator[tuple[int, Endpoint]]:
    with endpoint(answer) as server:
        config = (
            '[log]\npath = "log"\n[models.m]\nprovider = "openai"\nmodel = "m-1"\n'
            f'base_url = "{server.base_url}"\n[gateway.openai]\nunchecked = "pass"\n'
            f"stream_wait_ms = {wait_ms}\n"
        )
        with running_stack(tmp_path, config, apart=apart) as processes:
            yield processes["gateway"].port, server


def text_of(path: str, body: Any) -> str:
    if path == CHAT:
        return str(body["choices"][0]["message"]["content"])
    return str(body["output"][0]["content"][0]["text"])


def streamed_text(path: str, told: list[Any]) -> str:
    if path == CHAT:
        pieces = [choice["delta"].get("content") for one in told for choice in one["choices"]]
        return "".join(filter(None, pieces))
    return "".join(one["delta"] for one in told if one["type"] == "response.output_text.delta")


def facts_of(told: list[Any]) -> Any:
    """The member `lakehouse`, which stands in one place of a stream."""
    holders = [one.get("response", one) for one in told]
    [facts] = [holder["lakehouse"] for holder in holders if "lakehouse" in holder]
    return facts


def rows(port: int) -> list[Any]:
    found: list[Any] = call(port, "GET", "/v1/sessions").json()["sessions"]
    return found


@BOTH
def test_every_form_is_one_unchecked_call(tmp_path: Path, *, apart: bool) -> None:
    """Whole and streamed, on both routes; the model is never asked to stream."""

    def answer(body: dict[str, Any]) -> Answer:
        asked = body["messages"][-1]["content"]
        return completion("Hel", "length") if asked == "Cut." else completion("Hello ✈.")

    with stack_at(tmp_path, answer, apart=apart) as (port, server):
        for path, body in ASKED.items():
            whole = call(port, "POST", path, {**body, "temperature": 0.5})
            stream = call(port, "POST", path, {**body, "stream": True})
            told = events(stream.body)
            for reply, facts in (
                (whole, whole.json()["lakehouse"]),
                (stream, facts_of(told)),
            ):
                assert (reply.status, reply.headers["x-lakehouse-verdict"]) == (200, "unchecked")
                assert facts == {
                    "verdict": "unchecked",
                    "session_id": reply.headers["x-request-id"],
                    "model": "m-1",
                }
            assert text_of(path, whole.json()) == streamed_text(path, told) == "Hello ✈."
            assert whole.json()["usage"]["total_tokens"] == 12

        cut = {"messages": [{"role": "user", "content": "Cut."}]}
        chat = call(port, "POST", CHAT, {**ASKED[CHAT], **cut}).json()
        response = call(port, "POST", RESPONSES, {**ASKED[RESPONSES], "input": "Cut."}).json()
        assert chat["choices"][0]["finish_reason"] == "length"
        assert response["incomplete_details"] == {"reason": "max_output_tokens"}
        assert (response["status"], text_of(RESPONSES, response)) == ("incomplete", "Hel")

        assert len(server.calls) == 6
        assert not any(sent.get("stream") for sent in server.calls)
        assert not any("response_format" in sent for sent in server.calls)
        assert server.calls[0]["temperature"] == 0.5
        assert rows(port) == []


@BOTH
def test_only_what_has_no_contract_passes(tmp_path: Path, *, apart: bool) -> None:
    """Tools that may not be called are none; a schema makes a session, and a row."""
    with stack_at(tmp_path, lambda _: completion('{"city": "Oslo"}'), apart=apart) as (port, _):
        tools = {"tools": [{"type": "function", "function": TOOL}], "tool_choice": "none"}
        passed = call(port, "POST", CHAT, {**ASKED[CHAT], **tools})
        assert passed.headers["x-lakehouse-verdict"] == "unchecked"
        assert rows(port) == []

        wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
        checked = call(port, "POST", CHAT, {**ASKED[CHAT], **tools, "response_format": wanted})
        assert checked.headers["x-lakehouse-verdict"] == "accepted"
        assert len(rows(port)) == 1

        told = {"metadata": {"team": "a"}, "lakehouse": {"max_iterations": 2}, "stream": True}
        ignoring = call(port, "POST", RESPONSES, {**ASKED[RESPONSES], **told})
        assert ignoring.headers["x-lakehouse-ignored"] == "metadata, lakehouse.max_iterations"


@BOTH
def test_a_key_is_refused_since_no_row_could_answer_it_again(
    tmp_path: Path, *, apart: bool
) -> None:
    with stack_at(tmp_path, lambda _: completion("Hello."), apart=apart) as (port, server):
        for path, body in ASKED.items():
            for stream in (False, True):
                sent = {**body, "stream": stream}
                refused = call(port, "POST", path, sent, {"Idempotency-Key": "k"})
                error = refused.json()["error"]
                assert (refused.status, error["code"]) == (400, "no_contract")
                assert error["message"].startswith("`Idempotency-Key` needs a session")
        assert server.calls == []


@BOTH
@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (refusal("No such model.", 404, code="model_not_found"), 502, "model_missing"),
        (refusal("Input is too long: maximum 9 input tokens."), 400, "context_length_exceeded"),
        (refusal("You have no credit.", 429, code="insufficient_quota"), 502, "insufficient_quota"),
    ],
    ids=["missing", "too long", "quota"],
)
def test_a_failure_of_the_model_is_told_as_that_of_a_session(
    tmp_path: Path, failure: Answer, status: int, code: str, *, apart: bool
) -> None:
    with stack_at(tmp_path, lambda _: failure, apart=apart) as (port, _):
        wanted = {"response_format": {"type": "json_object"}}
        session = call(port, "POST", CHAT, {**ASKED[CHAT], **wanted})
        assert (session.status, session.json()["error"]["code"]) == (status, code)
        for path, body in ASKED.items():
            for stream in (False, True):
                reply = call(port, "POST", path, {**body, "stream": stream})
                error = reply.json()["error"]
                assert (reply.status, error["code"]) == (status, code)
                assert reply.headers["x-should-retry"] == session.headers["x-should-retry"]
                for member in ("message", "type", "hint", "retryable"):
                    assert error[member] == session.json()["error"][member]


@BOTH
def test_a_late_answer_is_held_whole_and_a_late_failure_is_told(
    tmp_path: Path, *, apart: bool
) -> None:
    """The stream begins without its text; `unchecked` stands in its headers already."""
    begun = threading.Event()
    late: list[Answer] = [completion("Hello."), refusal("No such model.", 404)]

    def answer(_: dict[str, Any]) -> Answer:
        assert begun.wait(60)
        return late[0]

    with stack_at(tmp_path, answer, apart=apart, wait_ms=1) as (port, _):
        for path, body in ASKED.items():
            told = begun_stream(port, path, body, begun)
            assert told.verdict == "unchecked"
            assert streamed_text(path, events(told.body)) == "Hello."
            assert told.whole
        late.pop(0)
        for path, body in ASKED.items():
            told = begun_stream(port, path, body, begun)
            assert told.verdict == "unchecked"
            assert events(told.body)[-1]["error"]["code"] == "model_missing"
            assert not told.whole
