"""An accepted reply has its own bytes, the same from the log; a rejected answer is never told."""

import json
import time
from typing import Any

import msgspec
import pytest

from lakehouse.core.chat import Usage
from lakehouse.core.errors import InfraError
from lakehouse.core.ids import new_id
from lakehouse.core.row import Row
from lakehouse.core.session import SessionReply
from lakehouse.engine.run import session_reply
from lakehouse.openai_api.chat_reply import chat_completion
from lakehouse.openai_api.failure import DoorFailure
from lakehouse.openai_api.reply_form import (
    ANY_FUNCTION,
    ReplyForm,
    session_answer,
    session_outcome,
    stored_answer,
)
from lakehouse.openai_api.responses_reply import response_object
from lakehouse.openai_api.told_answer import created_s
from support.openai_replies import (
    CREATED_S,
    FORM,
    ROW_ID,
    SESSION_ID,
    accepted,
    accepted_row,
    broken,
    exhausted,
    unchecked,
)

CALL = msgspec.structs.replace(FORM, function="record")
FACTS = {
    "session_id": SESSION_ID,
    "row_id": ROW_ID,
    "verdict": "accepted",
    "iterations": 1,
    "accepted_iteration": 0,
    "grounded": True,
    "model": "smollm2-135m-instruct",
}


def body(value: object) -> Any:
    return json.loads(msgspec.json.encode(value))


def test_a_chat_completion_has_the_artifact_and_what_is_known_of_it():
    assert body(chat_completion(session_answer(FORM, accepted(b'{"delay":1.10}')))) == {
        "id": f"chatcmpl-{SESSION_ID}",
        "object": "chat.completion",
        "created": CREATED_S,
        "model": "airport_event@large",
        "system_fingerprint": "fp_111111111111",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": '{"delay":1.10}', "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
        "lakehouse": FACTS,
    }


def test_a_forced_function_gets_the_artifact_as_its_arguments():
    [choice] = body(chat_completion(session_answer(CALL, accepted(b'{"delay":1.10}'))))["choices"]

    function = {"name": "record", "arguments": '{"delay":1.10}'}
    call = {"id": f"call_{ROW_ID}", "function": function, "type": "function"}
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [call],
    }


def test_the_older_form_of_a_call_is_answered_in_its_form_also_from_the_log():
    form = msgspec.structs.replace(CALL, legacy=True)
    row = accepted_row(b'{"delay":1.10}', metadata=form.metadata())
    answer = session_answer(form, session_reply(row, None))
    [choice] = body(chat_completion(answer))["choices"]

    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "record", "arguments": '{"delay":1.10}'}
    assert "tool_calls" not in choice["message"]
    assert stored_answer(row) == answer


@pytest.mark.parametrize(
    "artifact",
    [b'{"name":"land","arguments":{"at":1.10}}', b'{"arguments":{"at":1.10},"name":"l\\u0061nd"}'],
)
def test_one_function_of_several_is_named_by_the_artifact(artifact: bytes):
    """Its arguments keep their bytes."""
    form = msgspec.structs.replace(FORM, function=ANY_FUNCTION)
    answer = session_answer(form, accepted(artifact))

    [choice] = chat_completion(answer).choices
    [item] = body(response_object(answer))["output"]

    assert isinstance(choice.message.tool_calls, tuple)
    [call] = choice.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("land", '{"at":1.10}')
    assert (item["name"], item["arguments"]) == ("land", '{"at":1.10}')


def test_a_response_has_every_member_that_strict_clients_require():
    assert body(response_object(session_answer(FORM, accepted(b'{"delay":1.10}')))) == {
        "id": f"resp_{SESSION_ID}",
        "object": "response",
        "created_at": CREATED_S,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": None,
        "model": "airport_event@large",
        "output": [
            {
                "type": "message",
                "id": f"msg_{ROW_ID}",
                "status": "completed",
                "role": "assistant",
                "content": [
                    {
                        "type": "output_text",
                        "text": '{"delay":1.10}',
                        "annotations": [],
                        "logprobs": [],
                    }
                ],
            }
        ],
        "parallel_tool_calls": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 20,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 30,
        },
        "lakehouse": FACTS,
    }


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("json_object", {"type": "json_object"}),
        ("json_schema", {"type": "json_schema", "name": "", "schema": {}}),
    ],
)
def test_a_response_says_which_format_was_asked_for(asked: Any, told: dict[str, Any]):
    """LangChain parses a streamed answer only where it sees that."""
    form = msgspec.structs.replace(FORM, format=asked)

    assert body(response_object(session_answer(form, accepted())))["text"] == {"format": told}


def test_a_response_to_a_forced_function_is_a_function_call():
    [item] = body(response_object(session_answer(CALL, accepted(b'{"delay":1.10}'))))["output"]

    assert item == {
        "type": "function_call",
        "id": f"fc_{ROW_ID}",
        "call_id": f"call_{ROW_ID}",
        "name": "record",
        "arguments": '{"delay":1.10}',
        "status": "completed",
    }


@pytest.mark.parametrize("usage", [Usage(), Usage(10, None), Usage(None, 20)])
@pytest.mark.parametrize("make", [chat_completion, response_object])
def test_usage_is_left_out_where_a_part_is_not_known(make: Any, usage: Usage):
    assert "usage" not in body(make(session_answer(FORM, accepted(usage=usage))))
    assert "usage" not in body(make(unchecked(usage=usage)))


@pytest.mark.parametrize("reply", [exhausted(), broken(InfraError("connect", "Away."))])
@pytest.mark.parametrize("form", [FORM, CALL])
def test_a_rejected_answer_is_never_told(form: ReplyForm, reply: SessionReply):
    """There is no value from which a reply or a stream could be written."""
    with pytest.raises(ValueError, match=reply.verdict):
        session_answer(form, reply)
    assert isinstance(session_outcome(form, reply), DoorFailure)


@pytest.mark.parametrize("make", [chat_completion, response_object])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"function": "record"},
        {"function": ANY_FUNCTION},
        {"format": "json_schema"},
        {"format": "json_object"},
    ],
)
def test_the_reply_from_the_log_has_the_same_bytes(make: Any, changes: dict[str, Any]):
    """After the row was written as JSON and read again."""
    form = msgspec.structs.replace(FORM, **changes)
    artifact = b'{"name":"land","arguments":{"at":1.10}}'
    row = accepted_row(artifact, metadata={"user": "ana", **form.metadata()})
    read = msgspec.json.decode(msgspec.json.encode(row), type=Row)

    sent = msgspec.json.encode(make(session_answer(form, session_reply(row, None))))

    stored = stored_answer(read)
    assert stored is not None
    assert msgspec.json.encode(make(stored)) == sent


def test_a_row_of_another_door_or_without_an_answer_has_no_reply():
    rejected = accepted_row(verdict="max_iter_exhausted", metadata=FORM.metadata())

    assert stored_answer(accepted_row()) is None
    assert stored_answer(rejected) is None
    assert stored_answer(accepted_row(metadata=FORM.metadata())) is not None


def test_an_unchecked_reply_says_so_and_names_no_row():
    facts = {"verdict": "unchecked", "session_id": SESSION_ID, "model": "smollm2-135m-instruct"}
    completion = body(chat_completion(unchecked("Hello.")))
    response = body(response_object(unchecked("Hello.")))

    assert completion["lakehouse"] == response["lakehouse"] == facts
    assert completion["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello.", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert completion["usage"]["total_tokens"] == response["usage"]["total_tokens"] == 30
    assert "system_fingerprint" not in completion
    assert (response["status"], response["output"][0]["status"]) == ("completed", "completed")
    assert response["output"][0]["content"][0]["text"] == "Hello."


@pytest.mark.parametrize(
    ("finish_reason", "told", "details"),
    [
        ("length", "length", {"reason": "max_output_tokens"}),
        ("content_filter", "content_filter", {"reason": "content_filter"}),
        ("tool_calls", "stop", None),
        ("other", "stop", None),
        ("of a later version", "stop", None),
    ],
)
def test_an_unchecked_text_that_is_not_whole_says_why(
    finish_reason: str, told: str, details: dict[str, str] | None
):
    answer = unchecked("Hel", finish_reason)
    [choice] = body(chat_completion(answer))["choices"]
    response = body(response_object(answer))

    assert choice["finish_reason"] == told
    assert response["incomplete_details"] == details
    status = "completed" if details is None else "incomplete"
    assert response["status"] == response["output"][0]["status"] == status


def test_a_session_was_created_when_its_row_id_was():
    before_s = int(time.time())
    created = created_s(new_id())
    assert before_s <= created <= time.time()
