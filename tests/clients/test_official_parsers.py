"""OpenAI's own Python package reads what we write: whole replies, streams and failures.

The package runs in a process of its own, as `tests/clients` runs older releases.
"""

import base64
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lakehouse.core.chat import Usage
from lakehouse.core.errors import InfraError
from lakehouse.core.session import SessionReply
from lakehouse.openai_api.chat_reply import chat_completion
from lakehouse.openai_api.chat_stream import ChatStream
from lakehouse.openai_api.failure import failure_of_reply
from lakehouse.openai_api.reply_form import ANY_FUNCTION, ReplyForm, session_answer
from lakehouse.openai_api.responses_reply import response_object
from lakehouse.openai_api.responses_stream import ResponsesStream
from lakehouse.openai_api.sse import HEARTBEAT, rejection_line
from lakehouse.openai_api.told_answer import ToldAnswer
from support.openai_replies import (
    FORM,
    ROW_ID,
    SESSION_ID,
    accepted,
    broken,
    exhausted,
    unchecked,
)

PROGRAM = Path(__file__).with_name("openai_program.py")
CALL = msgspec.structs.replace(FORM, function="record")
NAMED = msgspec.structs.replace(FORM, function=ANY_FUNCTION)
SCHEMA = msgspec.structs.replace(FORM, format="json_schema")
ARTIFACTS = (
    b"1",
    b'{"airport":"OSL","delay":1.10}',
    '["\u2028\u2029\u0085", "\\u2028 \\" \\\\ \\n", "日本 🛫 é\u0301"]'.encode(),
    json.dumps(["🛫é日" * 7_200], ensure_ascii=False).encode(),
)


def read(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the package makes of each case."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM)],
        input="".join(json.dumps(case) + "\n" for case in cases),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def case(route: str, body: bytes, *, stream: bool, function: bool = False) -> dict[str, Any]:
    kind = "text/event-stream" if stream else "application/json"
    return {
        "route": route,
        "status": 200,
        "headers": {"content-type": kind},
        "body": base64.b64encode(body).decode(),
        "stream": stream,
        "function": function,
    }


def stream_of(route: str, form: ReplyForm) -> ChatStream | ResponsesStream:
    if route == "responses":
        return ResponsesStream(form, session_id=SESSION_ID, row_id=ROW_ID)
    return ChatStream(form, session_id=SESSION_ID, row_id=ROW_ID, include_usage=True)


def streamed(route: str, form: ReplyForm, answer: ToldAnswer) -> bytes:
    """A whole stream, with comment lines wherever one may stand."""
    made = stream_of(route, form)
    return b"".join(
        event + HEARTBEAT + rejection_line(0) for event in (*made.opening(), *made.answered(answer))
    )


def whole(route: str, answer: ToldAnswer) -> bytes:
    make = response_object if route == "responses" else chat_completion
    return msgspec.json.encode(make(answer))


@pytest.mark.parametrize("route", ["chat", "responses"])
@pytest.mark.parametrize(
    "form", [FORM, SCHEMA, CALL, NAMED], ids=["text", "schema", "function", "named"]
)
@pytest.mark.parametrize("usage", [Usage(10, 20), Usage()], ids=["counted", "uncounted"])
def test_the_artifact_arrives_byte_for_byte(route: str, form: ReplyForm, usage: Usage):
    """Whole and streamed, as content and as arguments."""
    function = form.function is not None
    cases = []
    for artifact in ARTIFACTS:
        sent = b'{"arguments":%b,"name":"record"}' % artifact if form is NAMED else artifact
        answer = session_answer(form, accepted(sent, usage=usage))
        cases += [
            case(route, whole(route, answer), stream=False, function=function),
            case(route, streamed(route, form, answer), stream=True, function=function),
        ]

    seen = read(cases)

    assert [each["text"].encode() for each in seen] == [a for a in ARTIFACTS for _ in range(2)]
    tokens = 30 if usage.prompt_tokens else None
    assert [each["tokens"] for each in seen] == [tokens] * len(cases)
    if function:
        assert {(each["call"], each["name"]) for each in seen} == {(f"call_{ROW_ID}", "record")}


@pytest.mark.parametrize("text", ["", "Hel", "🛫é日" * 7_200], ids=["empty", "short", "long"])
def test_an_unchecked_text_arrives_with_why_it_ends(text: str):
    """The package's own helper for streams raises where a text was cut."""
    reasons = ("stop", "length", "content_filter")
    cases = [
        case(route, write(answer), stream=stream)
        for route in ("chat", "responses")
        for answer in (unchecked(text, reason) for reason in reasons)
        for stream, write in (
            (False, partial(whole, route)),
            (True, partial(streamed, route, FORM)),
        )
    ]

    seen = read(cases)

    assert [each.get("raised", each.get("finish")) for each in seen] == [
        *("stop", "stop"),
        *("length", "LengthFinishReasonError"),
        *("content_filter", "ContentFilterFinishReasonError"),
        *("completed", "completed", "incomplete", "incomplete", "incomplete", "incomplete"),
    ]
    told = [each for each in seen if "raised" not in each]
    assert {(each["text"], each["tokens"]) for each in told} == {(text, 30)}


@pytest.mark.parametrize("route", ["chat", "responses"])
@pytest.mark.parametrize(
    ("reply", "raised", "code", "requests"),
    [
        (exhausted(), "BadRequestError", "max_iter_exhausted", 1),
        (exhausted("refused"), "BadRequestError", "content_filter", 1),
        (broken(InfraError("connect", "No.")), "InternalServerError", "connect", 3),
        (broken(InfraError("timeout", "No.")), "InternalServerError", "timeout", 1),
        (broken(InfraError("model_missing", "No.")), "InternalServerError", "model_missing", 1),
    ],
)
def test_a_failure_is_raised_and_repeated_as_it_says(
    route: str, reply: SessionReply, raised: str, code: str, requests: int
):
    response = failure_of_reply(reply).response(1)
    assert isinstance(response.body, bytes)
    sent = case(route, response.body, stream=False)
    sent |= {
        "status": response.status,
        "headers": {name.decode(): value.decode() for name, value in response.headers},
    }

    [seen] = read([sent])

    assert (seen["raised"], seen["code"], seen["requests"]) == (raised, code, requests)


@pytest.mark.parametrize("route", ["chat", "responses"])
def test_a_failure_told_in_a_stream_is_raised(route: str):
    """Once: the client does not repeat a stream that began."""
    made = stream_of(route, FORM)
    body = b"".join((*made.opening(), *made.failed(failure_of_reply(exhausted()))))

    [seen] = read([case(route, body, stream=True)])

    assert seen == {
        "raised": "APIError",
        "code": "max_iter_exhausted",
        "type": "invalid_request_error",
        "requests": 1,
    }
