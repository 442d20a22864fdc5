"""Messages of every shape become a system text and turns of text."""

import json
from typing import Any

import pytest

from lakehouse.core.chat import Message
from lakehouse.core.limits import MESSAGES_MAX
from lakehouse.openai_api.chat_request import read_chat_request
from lakehouse.openai_api.fault import RequestFault
from lakehouse.openai_api.request import OpenAiRequest
from lakehouse.openai_api.responses_request import read_responses_request

ROW = "0190" + "a" * 28
OURS = f"call_{ROW}"
USER = {"role": "user", "content": "Ann"}


def chat(*messages: dict[str, Any], **members: Any) -> OpenAiRequest:
    return read_chat_request(json.dumps({"model": "k", "messages": messages, **members}).encode())


def responses(given: Any, **members: Any) -> OpenAiRequest:
    return read_responses_request(json.dumps({"model": "k", "input": given, **members}).encode())


def call(arguments: Any = '{"a":1}', name: str = "f", **members: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": "call_1", "type": "function", "function": function, **members}


def test_system_and_developer_texts_are_joined_wherever_they_stand():
    request = chat(
        {"role": "system", "content": "One."},
        USER,
        {"role": "developer", "content": [{"type": "text", "text": "Two."}]},
        {"role": "system", "content": ""},
    )

    assert request.system == "One.\n\nTwo."
    assert request.messages == (Message("user", "Ann"),)


def test_without_a_system_text_a_kind_keeps_its_own():
    assert chat({"role": "system", "content": ""}, USER).system is None
    assert responses("Ann", instructions="").system is None


def test_instructions_come_before_system_messages():
    request = responses([{"role": "developer", "content": "Two."}, USER], instructions="One.")

    assert request.system == "One.\n\nTwo."
    assert request.messages == (Message("user", "Ann"),)


@pytest.mark.parametrize(
    ("message", "turn"),
    [
        ({"role": "user",
          "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
         ("user", "a\nb")),
        ({"role": "assistant", "content": "yes"}, ("assistant", "yes")),
        ({"role": "assistant", "content": None, "refusal": "Never."}, ("assistant", "Never.")),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
         ("assistant", "No.")),
        ({"role": "assistant", "content": None, "tool_calls": [call()]}, ("assistant", '{"a":1}')),
        ({"role": "assistant", "content": "Here:", "tool_calls": [call(), call('{"a":2}')]},
         ("assistant", 'Here:\n{"a":1}\n{"a":2}')),
        ({"role": "assistant", "tool_calls": [call(None)]}, ("assistant", "{}")),
        ({"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": "{}"}},
         ("assistant", "{}")),
        ({"role": "tool", "tool_call_id": "call_1", "content": "found"}, ("user", "found")),
        ({"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "found"}]},
         ("user", "found")),
        ({"role": "function", "name": "f", "content": "found"}, ("user", "found")),
    ],
)  # fmt: skip
def test_a_chat_message_becomes_a_turn(message: dict[str, Any], turn: tuple[Any, str]):
    assert chat(USER, message).messages == (Message("user", "Ann"), Message(*turn))


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": [], "tool_calls": []},
        {"role": "user", "content": ""},
        {"role": "tool", "tool_call_id": "x", "content": None},
    ],
)
def test_a_message_without_text_has_no_turn(message: dict[str, Any]):
    assert chat(USER, message).messages == (Message("user", "Ann"),)


@pytest.mark.parametrize(
    ("item", "turns"),
    [
        ({"role": "assistant", "content": "yes"}, [("assistant", "yes")]),
        ({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
          "content": [{"type": "output_text", "text": "yes", "annotations": [], "logprobs": []}]},
         [("assistant", "yes")]),
        ({"type": "message", "role": "assistant",
          "content": [{"type": "refusal", "refusal": "No."}]}, [("assistant", "No.")]),
        ({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f",
          "arguments": '{"a":1}'}, [("assistant", '{"a":1}')]),
        ({"type": "function_call_output", "call_id": "call_1", "output": "found"},
         [("user", "found")]),
        ({"type": "function_call_output", "call_id": "call_1",
          "output": [{"type": "input_text", "text": "found"}]}, [("user", "found")]),
        ({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "x"}],
          "content": [{"type": "reasoning_text", "text": "y"}], "encrypted_content": "z"}, []),
    ],
)  # fmt: skip
def test_an_input_item_becomes_a_turn(item: dict[str, Any], turns: list[tuple[Any, str]]):
    request = responses([USER, item])

    assert request.messages == (Message("user", "Ann"), *(Message(*turn) for turn in turns))


def test_among_several_functions_an_earlier_call_has_the_form_of_an_answer():
    """The model repeats the form that it sees."""
    tools = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
    earlier = {"role": "assistant", "content": None, "tool_calls": [call(name='g"')]}
    request = chat(USER, earlier, tools=tools, tool_choice="required")

    assert json.loads(request.messages[1].content) == {"name": 'g"', "arguments": {"a": 1}}


def test_our_own_calls_are_linked_once_each_and_others_are_not():
    earlier = {
        "role": "assistant",
        "content": None,
        "tool_calls": [call(id=OURS), call(id="call_2")],
    }
    request = chat(USER, earlier, {"role": "tool", "tool_call_id": OURS, "content": "x"})
    item = {"type": "function_call", "call_id": OURS, "name": "f", "arguments": "{}"}

    assert request.row_ids == (ROW,)
    assert responses([USER, item]).row_ids == (ROW,)
    assert chat(USER, {"role": "tool", "tool_call_id": OURS + "0", "content": "x"}).row_ids == ()


@pytest.mark.parametrize(
    ("read", "given", "code", "param"),
    [
        (chat, {"role": "user", "content": [{"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]},
         "unsupported_content", "messages[1].content[1].type"),
        (chat, {"role": "user", "content": [{"image_url": {"url": "x"}, "type": "image_url"}]},
         "unsupported_content", "messages[1].content[0].type"),
        (chat, {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]},
         "unsupported_content", "messages[1].content[0].type"),
        (chat, {"role": "user", "content": [{"type": "file", "file": {}}]},
         "unsupported_content", "messages[1].content[0].type"),
        (chat, {"role": "assistant", "audio": {"id": "audio_1"}},
         "unsupported_content", "messages[1].audio"),
        (chat, {"role": "assistant", "tool_calls": [{"type": "custom", "custom": {}, "id": "x"}]},
         "unsupported_content", "messages[1].tool_calls[0].type"),
        (chat, {"role": "user", "content": [{"text": "a"}]},
         "missing_required_parameter", "messages[1].content[0].type"),
        (chat, {"role": "usr", "content": "a"}, "unsupported_value", "messages[1].role"),
        (chat, {"content": "a"}, "missing_required_parameter", "messages[1].role"),
        (chat, {"role": "user", "content": 5}, "invalid_type", "messages[1].content"),
        (chat, {"role": "user", "content": ["a"]}, "invalid_type", "messages[1].content[0]"),
        (chat, {"role": "user", "contents": "a"}, "unknown_parameter", "messages[1].contents"),
        (responses, {"role": "user", "content": [{"type": "input_image", "file_id": "x"}]},
         "unsupported_content", "input[1].content[0].type"),
        (responses, {"role": "user", "content": [{"type": "input_file", "file_id": "x"}]},
         "unsupported_content", "input[1].content[0].type"),
        (responses, {"type": "function_call_output", "call_id": "x",
                     "output": [{"type": "input_image", "file_id": "x"}]},
         "unsupported_content", "input[1].output[0].type"),
        (responses, {"type": "item_reference", "id": "msg_1"},
         "unsupported_content", "input[1].type"),
        (responses, {"type": "web_search_call", "id": "x", "action": {}},
         "unsupported_content", "input[1].type"),
        (responses, {"id": "msg_1"}, "missing_required_parameter", "input[1].role"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_an_error_at_its_place(read: Any, given: Any, code: str, param: str):
    with pytest.raises(RequestFault) as caught:
        read(USER, given) if read is chat else read([USER, given])

    assert (caught.value.api_code, caught.value.param) == (code, param)


def test_a_reference_to_a_kept_item_gets_a_hint():
    with pytest.raises(RequestFault) as caught:
        responses([USER, {"type": "item_reference", "id": "msg_1"}])

    assert "send the item itself" in caught.value.hint


@pytest.mark.parametrize(
    "messages", [[], [{"role": "system", "content": "x"}], [{"role": "user", "content": " "[:0]}]]
)
def test_a_conversation_without_a_users_text_is_an_error(messages: list[dict[str, Any]]):
    with pytest.raises(RequestFault) as caught:
        chat(*messages)

    assert (caught.value.api_code, caught.value.param) == ("invalid_value", "messages")
    assert "role `user`" in caught.value.hint


def test_the_number_of_turns_has_the_limit_of_every_session():
    assert len(chat(*[USER] * MESSAGES_MAX).messages) == MESSAGES_MAX
    with pytest.raises(RequestFault) as caught:
        responses([USER] * (MESSAGES_MAX + 1))

    assert (caught.value.api_code, caught.value.param) == ("invalid_value", "input")
