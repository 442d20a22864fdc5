"""A body becomes one request: its numbers keep what they mean, and the limits hold."""

import json
from typing import Any

import pytest

from lakehouse.core.json_text import NULL
from lakehouse.openai_api.chat_request import read_chat_request
from lakehouse.openai_api.fault import RequestFault
from lakehouse.openai_api.request import AskedModel, LakehouseOptions, OpenAiRequest
from lakehouse.openai_api.responses_request import read_responses_request

CHAT = {"model": "k", "messages": [{"role": "user", "content": "Ann"}]}
RESPONSES = {"model": "k", "input": "Ann"}


def chat(**members: Any) -> OpenAiRequest:
    return read_chat_request(json.dumps({**CHAT, **members}).encode())


def responses(**members: Any) -> OpenAiRequest:
    return read_responses_request(json.dumps({**RESPONSES, **members}).encode())


@pytest.mark.parametrize(
    ("text", "name", "alias"),
    [
        ("airport_event", "airport_event", None),
        ("airport_event@large", "airport_event", "large"),
        ("large", "large", None),
        ("airport_event@", "airport_event", ""),
        ("@large", "", "large"),
        ("a@b@c", "a", "b@c"),
    ],
)
def test_a_model_is_a_name_and_what_stands_after_the_at(text: str, name: str, alias: str | None):
    """Names that no configuration can have find nothing later."""
    assert chat(model=text).model == AskedModel(text, name, alias)
    assert responses(model=text).model == AskedModel(text, name, alias)


def test_what_is_not_said_has_no_value():
    for request in (chat(), responses()):
        assert request.temperature == NULL
        assert (request.top_p, request.max_tokens, request.seed, request.stop) == (None,) * 4
        assert (request.stream, request.include_usage) == (False, False)
        assert (request.metadata, request.user, request.ignored) == ({}, None, ())
        assert request.options == LakehouseOptions()


def test_null_is_as_if_it_were_not_said():
    names = {
        *("temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop", "stream"),
        *("stream_options", "metadata", "user", "lakehouse", "tools", "tool_choice", "functions"),
        *("function_call", "response_format", "n", "logprobs", "store", "service_tier", "audio"),
    }
    assert chat(**dict.fromkeys(names)) == chat()


def test_everything_that_is_used_arrives():
    request = chat(
        temperature=0.5,
        top_p=0.9,
        max_tokens=7,
        seed=11,
        stop=["a", "b"],
        stream=True,
        stream_options={"include_usage": True},
        metadata={"team": "x"},
        user="ann",
        lakehouse={
            "max_iterations": 2,
            "constrain": "off",
            "deadline_ms": 5_000,
            "conversation_id": "c",
        },
    )

    assert bytes(request.temperature) == b"0.5"
    assert (request.top_p, request.max_tokens, request.seed) == (0.9, 7, 11)
    assert request.stop == ("a", "b")
    assert (request.stream, request.include_usage) == (True, True)
    assert (request.metadata, request.user) == ({"team": "x"}, "ann")
    assert request.options == LakehouseOptions(2, "off", 5_000, "c")
    assert (request.route, request.ignored) == ("chat", ())


def test_the_temperature_keeps_its_bytes():
    body = json.dumps(CHAT).encode()[:-1] + b', "temperature": 1.10}'

    assert bytes(read_chat_request(body).temperature) == b"1.10"


def test_every_name_of_the_token_limit_means_one():
    assert chat(max_completion_tokens=7).max_tokens == 7
    assert chat(max_completion_tokens=7, max_tokens=7).max_tokens == 7
    assert responses(max_output_tokens=7).max_tokens == 7


@pytest.mark.parametrize(("stop", "found"), [("a", ("a",)), ([], None), (["a"], ("a",))])
def test_stop_is_one_text_or_several(stop: Any, found: tuple[str, ...] | None):
    assert chat(stop=stop).stop == found


@pytest.mark.parametrize(
    ("members", "code", "param"),
    [
        ({"model": ""}, "invalid_value", "model"),
        ({"model": None}, "invalid_type", "model"),
        ({"model": 5}, "invalid_type", "model"),
        ({"messages": "Ann"}, "invalid_type", "messages"),
        ({"temperature": 2.1}, "invalid_value", "temperature"),
        ({"temperature": -0.1}, "invalid_value", "temperature"),
        ({"temperature": 10**400}, "invalid_value", "temperature"),
        ({"temperature": True}, "invalid_type", "temperature"),
        ({"temperature": "1"}, "invalid_type", "temperature"),
        ({"top_p": -0.1}, "invalid_value", "top_p"),
        ({"top_p": 1.1}, "invalid_value", "top_p"),
        ({"max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"max_tokens": 2**20 + 1}, "invalid_value", "max_tokens"),
        ({"max_tokens": 2**64}, "invalid_value", "max_tokens"),
        ({"max_tokens": 1.5}, "invalid_type", "max_tokens"),
        ({"max_completion_tokens": 0}, "invalid_value", "max_completion_tokens"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "invalid_value", "max_tokens"),
        ({"seed": -1}, "invalid_value", "seed"),
        ({"stop": [""]}, "invalid_value", "stop"),
        ({"stop": ""}, "invalid_value", "stop"),
        ({"stop": ["x"] * 17}, "invalid_value", "stop"),
        ({"stop": [5]}, "invalid_type", "stop[0]"),
        ({"stream": "yes"}, "invalid_type", "stream"),
        ({"stream_options": True}, "invalid_type", "stream_options"),
        ({"metadata": {"a": 1}}, "invalid_type", "metadata"),
        ({"metadata": {str(n): "" for n in range(65)}}, "invalid_value", "metadata"),
        ({"user": 5}, "invalid_type", "user"),
        ({"lakehouse": {"max_iterations": 11}}, "invalid_value", "lakehouse.max_iterations"),
        ({"lakehouse": {"deadline_ms": 0}}, "invalid_value", "lakehouse.deadline_ms"),
        ({"lakehouse": {"constrain": "of"}}, "invalid_value", "lakehouse.constrain"),
        ({"lakehouse": []}, "invalid_type", "lakehouse"),
    ],
)
def test_a_value_out_of_its_limits_is_an_error_that_names_it(
    members: dict[str, Any], code: str, param: str
):
    with pytest.raises(RequestFault) as caught:
        chat(**members)

    assert (caught.value.api_code, caught.value.param) == (code, param)
    assert f"`{param}" in caught.value.public


def test_a_misspelt_word_gets_the_nearest_one():
    with pytest.raises(RequestFault) as caught:
        responses(lakehouse={"constrain": "of"})

    assert "did you mean 'off'?" in caught.value.public


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"model":"a","model":"b"}', "duplicate member 'model'"),
        (b'{"model":"\\ud800"}', "lone surrogate"),
        (b'{"temperature":NaN}', "NaN is not JSON"),
        (b"\xff", "invalid UTF-8"),
        (b'{"a":' + b"[" * 100, "nested deeper"),
    ],
)
def test_a_body_that_is_no_json_object_is_an_error(body: bytes, words: str):
    for read in (read_chat_request, read_responses_request):
        with pytest.raises(RequestFault, match=words) as caught:
            read(body)
        assert (caught.value.api_code, caught.value.param) == ("invalid_request", None)


def test_what_is_missing_is_named():
    for read, param in ((read_chat_request, "messages"), (read_responses_request, "input")):
        with pytest.raises(RequestFault) as caught:
            read(b'{"model":"k"}')
        assert (caught.value.api_code, caught.value.param) == ("missing_required_parameter", param)
