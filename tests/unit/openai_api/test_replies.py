"""An accepted reply has its own bytes, the same from the log; a rejected answer is never told."""

import json
import time
from typing import Any

import msgspec
import pytest

from lakehouse.core.chat import Usage
from lakehouse.core.ids import new_id
from lakehouse.core.row import Row
from lakehouse.engine.run import session_reply
from lakehouse.openai_api.chat_reply import chat_completion, stored_chat_completion
from lakehouse.openai_api.reply_form import ANY_FUNCTION, created_s
from lakehouse.openai_api.responses_reply import response_object, stored_response
from support.openai_replies import (
    CREATED_S,
    FORM,
    ROW_ID,
    SESSION_ID,
    accepted,
    accepted_row,
    exhausted,
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
    assert body(chat_completion(FORM, accepted(b'{"delay":1.10}'))) == {
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
    [choice] = body(chat_completion(CALL, accepted(b'{"delay":1.10}')))["choices"]

    function = {"name": "record", "arguments": '{"delay":1.10}'}
    call = {"id": f"call_{ROW_ID}", "function": function, "type": "function"}
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [call],
    }


@pytest.mark.parametrize(
    "artifact",
    [b'{"name":"land","arguments":{"at":1.10}}', b'{"arguments":{"at":1.10},"name":"l\\u0061nd"}'],
)
def test_one_function_of_several_is_named_by_the_artifact(artifact: bytes):
    """Its arguments keep their bytes."""
    form = msgspec.structs.replace(FORM, function=ANY_FUNCTION)
    reply = accepted(artifact)

    [choice] = chat_completion(form, reply).choices
    [item] = body(response_object(form, reply))["output"]

    assert isinstance(choice.message.tool_calls, tuple)
    [call] = choice.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("land", '{"at":1.10}')
    assert (item["name"], item["arguments"]) == ("land", '{"at":1.10}')


def test_a_response_has_every_member_that_strict_clients_require():
    assert body(response_object(FORM, accepted(b'{"delay":1.10}'))) == {
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


def test_a_response_to_a_forced_function_is_a_function_call():
    [item] = body(response_object(CALL, accepted(b'{"delay":1.10}')))["output"]

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
    assert "usage" not in body(make(FORM, accepted(usage=usage)))


@pytest.mark.parametrize("make", [chat_completion, response_object])
def test_a_rejected_answer_is_never_told(make: Any):
    with pytest.raises(ValueError, match="max_iter_exhausted"):
        make(FORM, exhausted())


@pytest.mark.parametrize(
    ("make", "stored"),
    [(chat_completion, stored_chat_completion), (response_object, stored_response)],
)
@pytest.mark.parametrize("function", [None, "record", ANY_FUNCTION])
def test_the_reply_from_the_log_has_the_same_bytes(make: Any, stored: Any, function: str | None):
    """After the row was written as JSON and read again."""
    form = msgspec.structs.replace(FORM, function=function)
    artifact = b'{"name":"land","arguments":{"at":1.10}}'
    row = accepted_row(artifact, metadata={"user": "ana", **form.metadata()})
    read = msgspec.json.decode(msgspec.json.encode(row), type=Row)

    sent = msgspec.json.encode(make(form, session_reply(row, None)))

    assert msgspec.json.encode(stored(read)) == sent


@pytest.mark.parametrize("stored", [stored_chat_completion, stored_response])
def test_a_row_of_another_door_or_without_an_answer_has_no_reply(stored: Any):
    rejected = accepted_row(verdict="max_iter_exhausted", metadata=FORM.metadata())

    assert stored(accepted_row()) is None
    assert stored(rejected) is None
    assert stored(accepted_row(metadata=FORM.metadata())) is not None


def test_a_session_was_created_when_its_row_id_was():
    before_s = int(time.time())
    created = created_s(new_id())
    assert before_s <= created <= time.time()
