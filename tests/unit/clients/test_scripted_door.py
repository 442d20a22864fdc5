"""The server of the client matrix: what it answers on the wire, and what it counts."""

import asyncio
import http.client
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from clients.scripted_door import ScriptedDoor
from clients.situations import OBJECT, SITUATIONS

FORM = {"type": "json_schema", "json_schema": {"name": "Delay", "schema": {"type": "object"}}}
CHAT = "/chat/completions"


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool  # the body came to its end


def post(base: str, path: str, body: dict[str, Any], key: str, **headers: str) -> Reply:
    host, _, prefix = base.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=10)
    sent = {"Authorization": f"Bearer {key}", **headers}
    connection.request("POST", f"/{prefix}{path}", json.dumps(body), sent)
    answer = connection.getresponse()
    try:
        data, whole = answer.read(), True
    except http.client.IncompleteRead as cut:
        data, whole = cut.partial, False
    finally:
        connection.close()
    return Reply(answer.status, {k.lower(): v for k, v in answer.headers.items()}, data, whole)


def with_door(case: Callable[[ScriptedDoor, str], Any]) -> Any:
    """Run a case in a thread, beside the server."""

    async def run() -> Any:
        async with ScriptedDoor() as door:
            return await asyncio.to_thread(case, door, door.base_url(SITUATIONS[0]))

    return asyncio.run(run())


def asked(model: str, **others: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "[mark] late"}]
    return {"model": model, "messages": messages, "response_format": FORM, **others}


def data_lines(body: bytes) -> list[str]:
    lines = body.decode().split("\n")
    return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]


@pytest.mark.parametrize(
    ("model", "status", "code", "again", "after"),
    [
        ("exhausted", 400, "max_iter_exhausted", "false", None),
        ("down", 502, "connect", "true", None),
        ("loading", 504, "model_loading", "true", "1"),
        ("timeout", 504, "timeout", "false", None),
        ("over-limit", 429, "rate_limited", "true", "1"),
    ],
)
def test_a_refusal_has_its_status_code_and_headers(model, status, code, again, after):
    """The same for a client that streams: the headers are held until then."""

    def case(door: ScriptedDoor, base: str) -> list[Reply]:
        return [post(base, CHAT, asked(model, stream=one), door.key) for one in (False, True)]

    for reply in with_door(case):
        assert (reply.status, json.loads(reply.body)["error"]["code"]) == (status, code)
        assert reply.headers["x-should-retry"] == again
        assert reply.headers.get("retry-after") == after


def test_a_wrong_key_and_a_request_without_a_contract_are_refused():
    def case(door: ScriptedDoor, base: str) -> list[Reply]:
        bare = {"model": "accepted", "input": "[mark]"}
        return [
            post(base, CHAT, asked("accepted"), "sk-unknown"),
            post(base, "/responses", bare, door.key),
            post(base, "/embeddings", bare, door.key),
        ]

    replies = with_door(case)
    codes = [json.loads(reply.body)["error"]["code"] for reply in replies]
    assert [reply.status for reply in replies] == [401, 400, 404]
    assert codes == ["invalid_api_key", "no_contract", "not_found"]


def test_the_pieces_of_a_chat_stream_are_the_whole_answer():
    """With a comment in between, and no line of a kind that breaks a client."""
    body = asked("second-try", stream=True, stream_options={"include_usage": True})
    reply = with_door(lambda door, base: post(base, CHAT, body, door.key))
    lines = data_lines(reply.body)
    chunks = [json.loads(line) for line in lines[:-1]]
    text = "".join(one["choices"][0]["delta"].get("content", "") for one in chunks[:-1])
    assert json.loads(text) == OBJECT
    assert (lines[-1], reply.whole) == ("[DONE]", True)
    assert b": attempt 1 rejected\n" in reply.body
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 908
    assert b"\nid:" not in reply.body
    assert b"\nretry:" not in reply.body


def test_the_pieces_of_a_responses_stream_are_the_whole_answer():
    """As text, or as the arguments of the function that was asked for."""
    tool = {"type": "function", "name": "Delay", "parameters": {"type": "object"}}
    forms: list[dict[str, Any]] = [{"text": {"format": {"type": "json_object"}}}, {"tools": [tool]}]
    shared = {"model": "accepted", "input": "[mark]", "stream": True}

    def case(door: ScriptedDoor, base: str) -> list[Reply]:
        return [post(base, "/responses", shared | form, door.key) for form in forms]

    text, call = [[json.loads(line) for line in data_lines(one.body)] for one in with_door(case)]
    for events in (text, call):
        assert [one["sequence_number"] for one in events] == list(range(len(events)))
        assert json.loads("".join(one.get("delta", "") for one in events)) == OBJECT
        assert events[-1]["type"] == "response.completed"
    [message], [function] = text[-1]["response"]["output"], call[-1]["response"]["output"]
    assert json.loads(message["content"][0]["text"]) == OBJECT
    assert (function["name"], json.loads(function["arguments"])) == ("Delay", OBJECT)


@pytest.mark.parametrize(
    ("model", "kind", "code"),
    [
        ("exhausted-late", "invalid_request_error", "invalid_prompt"),
        ("down-late", "server_error", "server_error"),
    ],
)
def test_a_stream_that_fails_ends_with_the_error_and_without_its_last_chunk(model, kind, code):
    def case(door: ScriptedDoor, base: str) -> tuple[Reply, Reply]:
        responses = {"model": model, "input": "[mark]", "stream": True}
        responses["text"] = {"format": {"type": "json_object"}}
        chat = post(base, CHAT, asked(model, stream=True), door.key)
        return chat, post(base, "/responses", responses, door.key)

    chat, responses = with_door(case)
    assert (chat.status, chat.whole, responses.whole) == (200, False, False)
    assert json.loads(data_lines(chat.body)[-1])["error"]["type"] == kind
    assert b'finish_reason": "' not in chat.body
    failed, error = map(json.loads, data_lines(responses.body)[-2:])
    assert failed["response"]["error"]["code"] == code
    assert (error["type"], error["error"]["type"]) == ("error", kind)


def test_sessions_are_counted_by_the_mark_in_the_prompt():
    """Requests with one idempotency key are one session; those with another mark are not it."""

    def case(door: ScriptedDoor, base: str) -> list[int]:
        counted = [door.rows("[mark]")]
        for _ in range(2):
            post(base, CHAT, asked("down"), door.key)
        counted.append(door.rows("[mark]"))
        for _ in range(3):
            post(base, CHAT, asked("timeout"), door.key, **{"Idempotency-Key": "k"})
        return [*counted, door.rows("[mark]"), door.rows("[other]")]

    assert with_door(case) == [0, 2, 3, 0]


def test_a_fault_of_the_server_itself_fails_the_run():
    """The client sees a broken connection; the run does not end well."""

    def case(door: ScriptedDoor, base: str) -> None:
        with pytest.raises(http.client.HTTPException):
            post(base, CHAT, asked("no such model"), door.key)

    with pytest.raises(ExceptionGroup, match="scripted door"):
        with_door(case)
