"""The OpenAI dialect: what is sent, what is read from an answer, how a state is told."""

import time
from typing import Any

import msgspec
import pytest

from lakehouse.core.chat import ChatReply, ChatRequest, Message, Usage
from lakehouse.core.errors import SetupError
from lakehouse.providers.access import Access
from lakehouse.providers.openai import OpenAiProvider, OpenAiSettings
from lakehouse.providers.provider import ProviderFault
from lakehouse.transport.client import HttpClient
from support.fault_server import FaultServer
from support.raw_server import Exchange, RawServer
from support.steady_loop import run_steadily

TRACEPARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
REQUEST = ChatRequest(model="alias", messages=(Message("user", "Hi"),))


def settings(base_url: str | None, **changes: Any) -> OpenAiSettings:
    return OpenAiSettings(model="qwen2.5", base_url=base_url, **changes)


def completion(message: object, **members: object) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": "stop"} | members]}


def asked(
    body: dict[str, Any], request: ChatRequest = REQUEST, key: str | None = None
) -> tuple[ChatReply, RawServer]:
    """Make one call to a server that answers `body`; gives the reply and what was sent."""

    async def case() -> tuple[ChatReply, RawServer]:
        async def handler(exchange: Exchange) -> None:
            await exchange.reply(body)

        async with RawServer(handler) as server:
            http = HttpClient()
            provider = OpenAiProvider(
                settings(server.url + "/v1/"), http, access=Access(api_key=key)
            )
            reply = await provider.complete(
                request, trace={"traceparent": TRACEPARENT}, deadline_ms=60_000
            )
            await provider.close()
            await http.close()
            return reply, server

    return run_steadily(case())


def test_a_request_carries_all_that_was_asked_and_nothing_else() -> None:
    """The schema goes out raw as a json_schema; the endpoint's own model name is sent."""
    request = ChatRequest(
        "alias",
        (Message("system", "Be brief."), Message("user", "Hi")),
        schema=msgspec.Raw(b'{"type":"object","n":1.10}'),
        temperature=0.0,
        max_tokens=64,
        seed=7,
    )
    _, server = asked(completion({"content": "{}"}), request, key="sk-1")
    sent = server.requests[0]
    assert (sent.method, sent.path) == ("POST", "/v1/chat/completions")
    assert sent.header("authorization") == "Bearer sk-1"
    assert sent.header("traceparent") == TRACEPARENT
    assert sent.header("content-type") == "application/json"
    assert sent.json() == {
        "model": "qwen2.5",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
        ],
        "stream": False,
        "temperature": 0.0,
        "max_tokens": 64,
        "seed": 7,
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "artifact",
                "schema": {"type": "object", "n": 1.1},
                "strict": False,
            },
        },
    }
    assert b'{"type":"object","n":1.10}' in sent.body


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (
            b'{"type":"object","properties":{"a":{}},"required":["a"],"additionalProperties":false}',
            True,
        ),
        (b'{"type":"object","properties":{"a":{}},"additionalProperties":false}', False),
        (b'{"type":"object","properties":{"a":{}},"required":["a"]}', False),
        (b'{"type":"array","items":{"type":"object"}}', False),
        (b'{"type":"string"}', True),
    ],
)
def test_strict_is_said_only_of_schemas_that_openai_takes_so(schema: bytes, strict: bool) -> None:
    """An open object or an optional property would be a 400 there."""
    request = ChatRequest("alias", (Message("user", "Hi"),), schema=msgspec.Raw(schema))
    _, server = asked(completion({"content": "{}"}), request)
    sent = server.requests[0].json()["response_format"]["json_schema"]
    assert sent["strict"] is strict


def test_what_was_not_asked_for_is_left_to_the_endpoint() -> None:
    """No key, no schema, no temperature: none of them is sent."""
    _, server = asked(completion({"content": "{}"}))
    assert set(server.requests[0].json()) == {"model", "messages", "stream"}
    assert server.requests[0].header("authorization") is None


@pytest.mark.parametrize(
    ("message", "text", "thinking", "finish_reason"),
    [
        ({"content": "hi"}, "hi", None, "stop"),
        ({"content": "hi", "reasoning_content": "hm"}, "hi", "hm", "stop"),
        ({"content": "hi", "reasoning": "hm", "reasoning_content": ""}, "hi", "hm", "stop"),
        ({"content": "hi", "reasoning": {"x": 1}}, "hi", None, "stop"),
        ({"content": "<think>hm</think>hi"}, "<think>hm</think>hi", None, "stop"),
        ({"content": "cut \ud83d"}, "cut �", None, "stop"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "thinking"}, 5,
                      {"type": "text", "text": "b"}]}, "ab", None, "stop"),
        ({"content": []}, "", None, "stop"),
        ({}, "", None, "stop"),
        ({"content": "", "refusal": "No."}, "", None, "content_filter"),
        ({"content": "hi", "refusal": ""}, "hi", None, "stop"),
        ({"content": None, "tool_calls": [{}]}, "", None, "tool_calls"),
        ({"content": "hi", "tool_calls": []}, "hi", None, "stop"),
    ],
)  # fmt: skip
def test_an_answer_is_read_from_what_the_message_holds(
    message: dict[str, Any], text: str, thinking: str | None, finish_reason: str
) -> None:
    """Text, thinking and refusals are told apart; text that is merely bad is still an answer."""
    reply, _ = asked(completion(message))
    assert (reply.text, reply.thinking, reply.finish_reason) == (text, thinking, finish_reason)
    assert (reply.model, reply.provider) == ("qwen2.5", "openai")


@pytest.mark.parametrize(
    ("word", "finish_reason"),
    [
        ("length", "length"),
        ("max_output_tokens", "length"),
        ("MAX_NEW_TOKENS", "length"),
        ("model_context_window_exceeded", "length"),
        ("function_call", "tool_calls"),
        ("eos", "other"),
        (None, "other"),
        (["stop"], "other"),
    ],
)
def test_unknown_reasons_to_stop_are_other(word: object, finish_reason: str) -> None:
    """Endpoints make up words; none of them is an error."""
    reply, _ = asked(completion({"content": "hi"}, finish_reason=word))
    assert reply.finish_reason == finish_reason


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, Usage(3, 4)),
        ({"prompt_tokens": 3}, Usage(3, None)),
        ({"prompt_tokens": "3", "completion_tokens": -1}, Usage()),
        ({"prompt_tokens": True, "completion_tokens": 1.5}, Usage()),
        ([], Usage()),
        (None, Usage()),
    ],
)
def test_usage_is_taken_where_it_is_told_and_null_where_not(usage: object, expected: Usage) -> None:
    """A missing or odd count never costs the answer."""
    reply, _ = asked(completion({"content": "hi"}) | {"usage": usage})
    assert reply.usage == expected


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": None},
        {"choices": {}},
        {"choices": [None]},
        {"choices": [{"text": "hi"}]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": 5}}]},
    ],
)
def test_another_shape_is_malformed(body: dict[str, Any]) -> None:
    """Never an empty answer in place of one that could not be read."""
    with pytest.raises(ProviderFault) as caught:
        asked(body)
    assert (caught.value.code, caught.value.again) == ("upstream_malformed", False)


def test_a_key_that_no_header_may_hold_stops_the_start() -> None:
    """A key with a line break would be two headers; it is refused, and not repeated."""
    for key in ("sk-1\n", "sk\r\nx: y", "sk-→"):
        with pytest.raises(SetupError) as caught:
            OpenAiProvider(settings("http://h/v1"), HttpClient(), access=Access(api_key=key))
        assert "sk" not in str(caught.value)


@pytest.mark.parametrize("base_url", [None, "", "localhost:8000/v1", "http://u:p@h/v1"])
def test_a_base_url_that_cannot_be_called_stops_the_start(base_url: str | None) -> None:
    """Named in the message, with the field to mend."""
    with pytest.raises(SetupError, match="base_url"):
        OpenAiProvider(settings(base_url), HttpClient())


async def state_told_by(handler: Any) -> tuple[str, str | None]:
    async with RawServer(handler) as server:
        http = HttpClient()
        try:
            return await OpenAiProvider(settings(server.url + "/v1"), http).state()
        finally:
            await http.close()


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (200, {"data": [{"id": "other"}, {"id": "qwen2.5"}]}, "ready"),
        (200, {"data": [{"id": "qwen2.5:latest"}]}, "ready"),
        (200, {"data": [{"id": "models/qwen2.5"}]}, "ready"),
        (200, {"data": []}, "ready"),
        (200, {"data": [{"id": "other"}]}, "missing"),
        (200, {"data": [{"id": "/w/x.gguf", "owned_by": "llamacpp", "meta": {"n": 1}}]}, "ready"),
        (200, {"data": [{"id": "/w/x.gguf", "owned_by": "llamacpp", "meta": None}]}, "loading"),
        (200, {"models": 5}, "unreachable"),
        (200, "<html>", "unreachable"),
        (404, {"detail": "Not Found"}, "ready"),
        (503, {"error": {"message": "Loading model"}}, "loading"),
        (503, {"error": {"message": "busy"}}, "unreachable"),
        (401, {}, "unreachable"),
        (302, {}, "unreachable"),
    ],
)
def test_the_state_is_told_from_the_list_of_models(status: int, body: Any, state: str) -> None:
    """A list that names others only is `missing`; what cannot be read is `unreachable`."""

    async def handler(exchange: Exchange) -> None:
        assert (exchange.request.method, exchange.request.path) == ("GET", "/v1/models")
        await exchange.reply(body, status)

    told, detail = run_steadily(state_told_by(handler))
    assert told == state
    assert detail is not None or state in {"ready", "loading"}


def test_an_endpoint_that_hangs_is_unreachable_within_two_seconds() -> None:
    """Readiness never waits for an endpoint for longer."""

    async def hang(exchange: Exchange) -> None:
        await exchange.client_gone()

    began = time.monotonic()
    told, _ = run_steadily(state_told_by(hang))
    assert told == "unreachable"
    assert 1.9 < time.monotonic() - began < 30  # its answer would end after 60 s


def test_loading_is_waited_for_only_when_the_endpoint_said_so() -> None:
    """`load` asks nothing until a call was told 503 loading; then it returns when that is over."""
    loading = True

    async def handler(exchange: Exchange) -> None:
        nonlocal loading
        if exchange.request.method == "GET":
            meta = None if loading else {"n_params": 1}
            loading = False  # over by the second look
            await exchange.reply({"data": [{"id": "x", "owned_by": "llamacpp", "meta": meta}]})
        elif loading:
            await exchange.reply({"error": {"message": "Loading model"}}, 503)
        else:
            await exchange.reply(completion({"content": "hi"}))

    async def case() -> None:
        async with RawServer(handler) as server:
            http = HttpClient()
            provider = OpenAiProvider(settings(server.url + "/v1"), http)
            await provider.load()
            assert server.requests == []
            with pytest.raises(ProviderFault) as caught:
                await provider.complete(REQUEST, trace={}, deadline_ms=60_000)
            assert (caught.value.code, caught.value.again) == ("model_loading", True)
            await provider.load()
            assert len(server.requests) == 3
            reply = await provider.complete(REQUEST, trace={}, deadline_ms=60_000)
            assert reply.text == "hi"
            await provider.load()
            assert len(server.requests) == 4
            await http.close()

    run_steadily(case())


def test_a_load_that_does_not_end_is_model_loading_and_one_that_dies_is_connect() -> None:
    """Waiting is bounded by `load_timeout_ms`, and ends when nobody is there any more."""

    async def case() -> None:
        http = HttpClient()
        async with FaultServer("44_loading", "openai") as server:
            short = settings(server.base_url, load_timeout_ms=600)
            provider = OpenAiProvider(short, http)
            patient = OpenAiProvider(settings(server.base_url), http)
            for each in (provider, patient):
                with pytest.raises(ProviderFault, match="still loading"):
                    await each.complete(REQUEST, trace={}, deadline_ms=60_000)
            with pytest.raises(ProviderFault, match="600 ms") as caught:
                await provider.load()
            assert (caught.value.code, caught.value.again) == ("model_loading", False)
        await http.close()
        with pytest.raises(ProviderFault, match="stopped responding") as caught:
            await patient.load()
        assert (caught.value.code, caught.value.transport) == ("connect", True)

    run_steadily(case())
