"""The events of a stream: their order, their bytes, and that the pieces joined are the answer."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.core.chat import Usage
from lakehouse.core.errors import InfraError
from lakehouse.openai_api.chat_reply import chat_completion
from lakehouse.openai_api.chat_stream import ChatStream
from lakehouse.openai_api.failure import failure_of_reply
from lakehouse.openai_api.reply_form import ReplyForm, session_answer
from lakehouse.openai_api.responses_reply import response_object
from lakehouse.openai_api.responses_stream import ResponsesStream
from lakehouse.openai_api.sse import DONE, HEARTBEAT, PIECE_BYTES_MAX, pieces, rejection_line
from support.openai_replies import (
    CREATED_S,
    FORM,
    ROW_ID,
    SESSION_ID,
    accepted,
    broken,
    events,
    exhausted,
    unchecked,
)

CALL = msgspec.structs.replace(FORM, function="record")
ANY_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=300)


def chat_events(form: ReplyForm, reply: Any, *, include_usage: bool = False) -> list[bytes]:
    stream = ChatStream(form, session_id=SESSION_ID, row_id=ROW_ID, include_usage=include_usage)
    return [*stream.opening(), *stream.answered(session_answer(form, reply))]


def response_events(form: ReplyForm, reply: Any) -> list[bytes]:
    stream = ResponsesStream(form, session_id=SESSION_ID, row_id=ROW_ID)
    return [*stream.opening(), *stream.answered(session_answer(form, reply))]


def deltas(sent: list[bytes]) -> list[Any]:
    return [choice["delta"] for chunk in events(b"".join(sent)) for choice in chunk["choices"]]


@st.composite
def artifacts(draw: st.DrawFn) -> bytes:
    """JSON of 1 byte to 64 KiB, with any character at any place of a piece."""
    text = draw(ANY_TEXT)
    times = draw(st.integers(0, 64 << 10)) // len(text.encode()) + 1
    artifact = json.dumps("." * draw(st.integers(0, 9)) + text * times, ensure_ascii=False)
    return draw(st.sampled_from([artifact.encode(), b"1"]))


@settings(max_examples=60)
@given(artifacts())
def test_the_pieces_joined_are_the_unstreamed_answer(artifact: bytes):
    """In both APIs, as content and as arguments."""
    reply = accepted(artifact)
    content = deltas(chat_events(FORM, reply))
    arguments = deltas(chat_events(CALL, reply))
    text = events(b"".join(response_events(FORM, reply)))
    called = events(b"".join(response_events(CALL, reply)))

    parts = [
        [each["content"] for each in content if each.get("content")],
        [each["tool_calls"][0]["function"]["arguments"] for each in arguments[1:-1]],
        [each["delta"] for each in text if each["type"] == "response.output_text.delta"],
        [each["delta"] for each in called if each["type"].endswith("arguments.delta")],
    ]

    for part in parts:
        assert "".join(part).encode() == artifact
        assert max(len(each.encode()) for each in part) <= PIECE_BYTES_MAX


@given(ANY_TEXT)
def test_a_text_is_cut_at_characters_only(text: str):
    whole = text * (3 * PIECE_BYTES_MAX // len(text.encode()) + 1)
    cut = list(pieces(whole))
    assert "".join(cut) == whole
    assert all(len(each.encode()) >= PIECE_BYTES_MAX - 3 for each in cut[:-1])
    assert max(len(each.encode()) for each in cut) <= PIECE_BYTES_MAX


@given(st.text(st.characters(codec="utf-8")))
def test_an_event_is_one_line_for_every_client(text: str):
    """Some split at all line ends of Unicode, which JSON leaves as they are."""
    reply = accepted(json.dumps("\x85\u2028\u2029\x0b\x1c" + text, ensure_ascii=False).encode())
    for event in chat_events(FORM, reply):
        assert event.endswith(b"\n\n")
        assert event.decode().splitlines() == [event.decode().strip("\n"), ""]
    for event in response_events(FORM, reply):
        assert len(event.decode().splitlines()) == 3


def test_a_chat_stream_opens_with_the_role_and_ends_with_the_reason():
    sent = chat_events(FORM, accepted(b'{"delay":1.10}'))
    chunks = events(b"".join(sent))

    assert [each["choices"][0] for each in chunks] == [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None},
        {"index": 0, "delta": {"content": '{"delay":1.10}'}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    ]
    assert {(e["id"], e["object"], e["created"], e["model"]) for e in chunks} == {
        (f"chatcmpl-{SESSION_ID}", "chat.completion.chunk", CREATED_S, "airport_event@large")
    }
    assert [each.get("lakehouse", {}).get("row_id") for each in chunks] == [None, None, ROW_ID]
    assert not any("usage" in each for each in chunks)
    assert sent[-1] == DONE


def test_a_chat_stream_of_a_function_names_it_once():
    sent = deltas(chat_events(CALL, accepted(b'{"delay":1.10}')))

    assert sent == [
        {"role": "assistant", "content": None},
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": f"call_{ROW_ID}",
                    "type": "function",
                    "function": {"name": "record", "arguments": ""},
                }
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"delay":1.10}'}}]},
        {},
    ]


def test_a_chat_stream_of_the_older_form_joins_to_the_whole_call():
    form = msgspec.structs.replace(CALL, legacy=True)
    artifact = json.dumps(["x" * 9_000]).encode()
    sent = [each.get("function_call", {}) for each in deltas(chat_events(form, accepted(artifact)))]

    assert [each["name"] for each in sent if "name" in each] == ["record"]
    assert "".join(each.get("arguments", "") for each in sent) == artifact.decode()


def test_usage_comes_in_a_chunk_of_its_own_where_it_was_asked_for():
    *chunks, last = events(b"".join(chat_events(FORM, accepted(), include_usage=True)))
    assert [each["usage"] for each in chunks] == [None] * 3
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}


def test_usage_that_is_not_known_has_no_chunk():
    sent = chat_events(FORM, accepted(usage=Usage()), include_usage=True)
    chunks = events(b"".join(sent))
    assert [each["usage"] for each in chunks] == [None] * 3
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_failed_chat_stream_has_one_error_and_no_end():
    stream = ChatStream(FORM, session_id=SESSION_ID, row_id=ROW_ID, include_usage=True)
    [opening] = stream.opening()
    [error] = stream.failed(failure_of_reply(exhausted()))

    [told] = events(error)
    assert set(told) == {"error"}
    assert (told["error"]["type"], told["error"]["code"]) == (
        "invalid_request_error",
        "max_iter_exhausted",
    )
    assert b'"finish_reason":null' in opening
    assert b"finish_reason" not in error


TEXT_ORDER = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]
CALL_ORDER = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
    "response.completed",
]


@pytest.mark.parametrize(("form", "order"), [(FORM, TEXT_ORDER), (CALL, CALL_ORDER)])
def test_a_response_stream_has_the_documented_order(form: ReplyForm, order: list[str]):
    """Numbered from 0, and each event's name is its type."""
    reply = accepted(b'{"delay":1.10}')
    sent = response_events(form, reply)
    told = events(b"".join(sent))

    assert [each["type"] for each in told] == order
    assert [each["sequence_number"] for each in told] == list(range(len(order)))
    assert [each.split(b"\n")[0].decode() for each in sent] == [f"event: {n}" for n in order]
    whole = json.loads(msgspec.json.encode(response_object(session_answer(form, reply))))
    assert told[-1]["response"] == whole
    assert told[-2]["item"] == whole["output"][0]
    assert told[0]["response"]["status"] == told[1]["response"]["status"] == "in_progress"
    assert told[0]["response"]["output"] == []
    assert {each.get("item_id", whole["output"][0]["id"]) for each in told} == {
        whole["output"][0]["id"]
    }


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (exhausted(), "invalid_prompt"),
        (broken(InfraError("timeout", "Late.")), "invalid_prompt"),
        (broken(InfraError("connect", "Away.")), "server_error"),
    ],
)
def test_a_failed_response_stream_tells_it_twice(reply: Any, word: str):
    """As OpenAI's event of a failed response, and as an error in both shapes that clients read."""
    stream = ResponsesStream(FORM, session_id=SESSION_ID, row_id=ROW_ID)
    _, _, failed, error = events(
        b"".join((*stream.opening(), *stream.failed(failure_of_reply(reply))))
    )

    assert (failed["type"], failed["sequence_number"]) == ("response.failed", 2)
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"]["code"] == word
    assert (error["type"], error["sequence_number"]) == ("error", 3)
    assert error["error"]["session_id"] == SESSION_ID
    for member in ("code", "message", "param"):
        assert error[member] == error["error"][member]


@pytest.mark.parametrize("finish_reason", ["stop", "length", "content_filter"])
def test_an_unchecked_stream_ends_as_the_whole_reply_does(finish_reason: str):
    answer = unchecked("Hel", finish_reason)
    chat = ChatStream(FORM, session_id=SESSION_ID, row_id=ROW_ID, include_usage=True)
    responses = ResponsesStream(FORM, session_id=SESSION_ID, row_id=ROW_ID)

    *_, end, usage = events(b"".join((*chat.opening(), *chat.answered(answer))))
    *_, item, last = events(b"".join((*responses.opening(), *responses.answered(answer))))

    completion = json.loads(msgspec.json.encode(chat_completion(answer)))
    response = json.loads(msgspec.json.encode(response_object(answer)))
    assert end["choices"][0]["finish_reason"] == completion["choices"][0]["finish_reason"]
    assert end["choices"][0]["finish_reason"] == finish_reason
    assert (end["lakehouse"], usage["usage"]) == (completion["lakehouse"], completion["usage"])
    assert end["lakehouse"]["verdict"] == "unchecked"
    assert last["response"] == response
    assert last["type"] == f"response.{response['status']}"
    assert item["item"] == response["output"][0]


def test_comment_lines_end_with_one_newline():
    """Two would dispatch an empty event in some clients."""
    assert rejection_line(0) == b": attempt 1 rejected\n"
    for line in (HEARTBEAT, rejection_line(9)):
        assert line.startswith(b": ")
        assert line.count(b"\n") == 1


@given(st.text(st.characters(codec="utf-8"), max_size=50))
def test_the_streamed_and_the_whole_reply_say_the_same(text: str):
    reply = accepted(json.dumps(text).encode())
    whole = json.loads(msgspec.json.encode(chat_completion(session_answer(FORM, reply))))
    chunks = events(b"".join(chat_events(FORM, reply, include_usage=True)))
    for member in ("id", "created", "model"):
        assert {each[member] for each in chunks} == {whole[member]}
    prints = [each.get("system_fingerprint") for each in chunks]
    assert prints == [None, *[whole["system_fingerprint"]] * (len(chunks) - 1)]
    assert chunks[-1]["usage"] == whole["usage"]
    assert chunks[-2]["lakehouse"] == whole["lakehouse"]
