"""Ollama's native API, against a double that behaves as its documentation says (no Ollama here)."""

import asyncio
from typing import Any

import msgspec
import pytest

from lakehouse.core.chat import ChatReply, ChatRequest, Message, Usage
from lakehouse.core.errors import SetupError
from lakehouse.providers.ollama import OllamaProvider, OllamaSettings
from lakehouse.providers.provider import ProviderFault
from lakehouse.transport.client import HttpClient, HttpLimits
from support.ollama_server import OllamaServer
from support.raw_server import Exchange, RawServer
from support.steady_loop import run_steadily
from support.waiting import WAIT_S

TRACEPARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
REQUEST = ChatRequest(model="alias", messages=(Message("user", "Hi"),))


def settings(base_url: str | None, **changes: Any) -> OllamaSettings:
    return OllamaSettings(model="m", base_url=base_url, **changes)


def asked(
    body: dict[str, Any], request: ChatRequest = REQUEST, **changes: Any
) -> tuple[ChatReply, RawServer]:
    async def case() -> tuple[ChatReply, RawServer]:
        async def handler(exchange: Exchange) -> None:
            await exchange.reply(body)

        async with RawServer(handler) as server:
            http = HttpClient()
            provider = OllamaProvider(settings(server.url, **changes), http)
            reply = await provider.complete(
                request, trace={"traceparent": TRACEPARENT}, deadline_ms=60_000
            )
            await provider.close()
            await http.close()
            return reply, server

    return run_steadily(case())


def test_a_request_carries_the_schema_and_ollamas_own_settings() -> None:
    """`format`, `think`, `keep_alive` and the options, `num_ctx` among them."""
    request = ChatRequest(
        "alias",
        (Message("user", "Hi"),),
        schema=msgspec.Raw(b'{"n":1.10}'),
        temperature=0.5,
        max_tokens=64,
        seed=7,
    )
    _, server = asked(
        {"message": {"content": "{}"}, "done": True},
        request,
        think=False,
        keep_alive="10m",
        context_tokens=8192,
    )
    sent = server.requests[0]
    assert (sent.method, sent.path) == ("POST", "/api/chat")
    assert sent.header("traceparent") == TRACEPARENT
    assert sent.json() == {
        "model": "m",
        "stream": False,
        "keep_alive": "10m",
        "messages": [{"role": "user", "content": "Hi"}],
        "think": False,
        "format": {"n": 1.1},
        "options": {"num_ctx": 8192, "temperature": 0.5, "seed": 7, "num_predict": 64},
    }
    assert b'"format":{"n":1.10}' in sent.body


def test_what_was_not_asked_for_is_left_to_ollama() -> None:
    """No option of ours overrides a model's own."""
    _, server = asked({"message": {"content": "{}"}, "done": True})
    assert set(server.requests[0].json()) == {"model", "stream", "messages"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"message": {"content": "hi", "thinking": "hm"}, "done": True, "done_reason": "stop",
             "prompt_eval_count": 3, "eval_count": 4},
            ("hi", "hm", "stop", Usage(3, 4)),
        ),
        ({"message": {"content": "cut \ud83d"}, "done": True}, ("cut �", None, "other", Usage())),
        (
            {"message": {"content": "", "thinking": "hm"}, "done": True, "done_reason": "length"},
            ("", "hm", "length", Usage()),
        ),
        (
            {"message": {"content": "", "tool_calls": [{}]}, "done": True, "done_reason": "stop"},
            ("", None, "tool_calls", Usage()),
        ),
    ],
)  # fmt: skip
def test_an_answer_is_read_from_what_the_message_holds(
    body: dict[str, Any], expected: tuple[str, str | None, str, Usage]
) -> None:
    """Content and thinking stay apart; all tokens spent on thinking is an empty answer."""
    reply, _ = asked(body)
    assert (reply.text, reply.thinking, reply.finish_reason, reply.usage) == expected
    assert (reply.model, reply.provider) == ("m", "ollama")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": {"content": "hi"}},
        {"message": {"content": "hi"}, "done": False},
        {"message": {"content": 5}, "done": True},
        {"response": "hi", "done": True},
    ],
)
def test_an_answer_that_is_not_whole_is_malformed(body: dict[str, Any]) -> None:
    """`done` must be there and true: else it is the first line of a stream."""
    with pytest.raises(ProviderFault) as caught:
        asked(body)
    assert (caught.value.code, caught.value.again) == ("upstream_malformed", False)


def test_the_double_aborts_a_load_whose_client_leaves() -> None:
    """The double can show the failure that the provider must not cause."""

    async def case() -> None:
        async with OllamaServer(load_s=120) as server:
            http = HttpClient()
            limits = HttpLimits(60_000, 60_000, 60_000, 60_000, 1_000)
            call = http.post(
                server.url + "/api/generate", headers={}, body=b'{"model":"m"}', limits=limits
            )
            task = asyncio.create_task(call)
            await server.load_begun.wait()
            task.cancel()
            await asyncio.wait({task})
            async with asyncio.timeout(WAIT_S):
                while not server.loads_aborted:
                    await asyncio.sleep(0.01)
            assert server.loaded == set()

    run_steadily(case())


def test_a_load_outlives_every_caller_that_waited_for_it() -> None:
    """Callers give up one after another; one load begins, none is aborted, the model is there."""

    async def case() -> None:
        async with OllamaServer(load_s=0.3) as server:
            http = HttpClient()
            provider = OllamaProvider(settings(server.url), http)
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await provider.load()
            await asyncio.gather(*(provider.load() for _ in range(5)))
            assert (server.loads_begun, server.loads_aborted) == (1, 0)
            assert server.loaded == {"m:latest"}
            reply = await provider.complete(REQUEST, trace={}, deadline_ms=60_000)
            assert reply.finish_reason == "stop"
            await provider.close()
            await http.close()

    run_steadily(case())


def test_a_load_says_what_the_calls_will_say() -> None:
    """Another `num_ctx` would make Ollama load the model anew at the first call."""

    async def case() -> None:
        async with OllamaServer(load_s=0) as server:
            http = HttpClient()
            provider = OllamaProvider(
                settings(server.url, context_tokens=2048, keep_alive="-1"), http
            )
            await provider.load()
            await provider.load()  # loaded: answered at once, and kept alive anew
            assert [request.path for request in server.requests] == ["/api/generate"] * 2
            assert server.requests[0].json() == {
                "model": "m",
                "stream": False,
                "keep_alive": "-1",
                "options": {"num_ctx": 2048},
            }
            assert server.loads_begun == 1
            await http.close()

    run_steadily(case())


def test_a_load_that_takes_too_long_is_model_loading() -> None:
    """`load_timeout_ms` bounds it, not the first-byte limit of calls."""

    async def case() -> None:
        async with OllamaServer(load_s=120) as server:
            http = HttpClient()
            provider = OllamaProvider(
                settings(server.url, load_timeout_ms=300, first_byte_timeout_ms=50), http
            )
            with pytest.raises(ProviderFault, match="300 ms") as caught:
                await provider.load()
            assert (caught.value.code, caught.value.again) == ("model_loading", False)

    run_steadily(case())


def test_a_model_that_was_not_pulled_is_missing() -> None:
    """To the load, to a call, and in the state, with what to do."""

    async def case() -> None:
        async with OllamaServer(pulled=("other:latest",)) as server:
            http = HttpClient()
            provider = OllamaProvider(settings(server.url), http)
            with pytest.raises(ProviderFault) as caught:
                await provider.load()
            assert caught.value.code == "model_missing"
            with pytest.raises(ProviderFault) as caught:
                await provider.complete(REQUEST, trace={}, deadline_ms=60_000)
            assert (caught.value.code, caught.value.again) == ("model_missing", False)
            assert await provider.state() == ("missing", "pull it: ollama pull m")
            await http.close()

    run_steadily(case())


def test_the_state_is_loading_while_our_load_runs() -> None:
    """Ready before and after, loading once a load has taken a second, unreachable when gone."""

    async def case() -> None:
        http = HttpClient()
        async with OllamaServer(load_s=1.3) as server:
            provider = OllamaProvider(settings(server.url), http)
            assert await provider.state() == ("ready", None)
            load = asyncio.create_task(provider.load())
            await server.load_begun.wait()
            await asyncio.sleep(1.05)
            assert await provider.state() == ("loading", None)
            await load
            assert await provider.state() == ("ready", None)
        await http.close()
        state, detail = await provider.state()
        assert state == "unreachable"
        assert detail is not None

    run_steadily(case())


@pytest.mark.parametrize(("status", "body"), [(500, {}), (200, {"models": 5}), (200, "<html>")])
def test_a_list_of_models_that_cannot_be_read_is_unreachable(status: int, body: Any) -> None:
    """Whatever listens there is not an Ollama."""

    async def case() -> None:
        async def handler(exchange: Exchange) -> None:
            await exchange.reply(body, status)

        async with RawServer(handler) as server:
            http = HttpClient()
            state, detail = await OllamaProvider(settings(server.url), http).state()
            await http.close()
            assert state == "unreachable"
            assert detail is not None

    run_steadily(case())


def test_closing_the_provider_ends_its_load() -> None:
    """Nothing is left running when the daemon stops, whether or not anybody waited."""

    async def case() -> None:
        async with OllamaServer(load_s=120) as server:
            http = HttpClient()
            provider = OllamaProvider(settings(server.url), http)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await provider.load()
            await provider.close()
            async with asyncio.timeout(WAIT_S):
                while not server.loads_aborted:
                    await asyncio.sleep(0.01)
            await http.close()

    run_steadily(case())


def test_a_bad_base_url_stops_the_start() -> None:
    """The default is the local Ollama; what is set must be a URL."""
    OllamaProvider(settings(None), HttpClient())
    with pytest.raises(SetupError, match="base_url"):
        OllamaProvider(settings("localhost:11434"), HttpClient())
