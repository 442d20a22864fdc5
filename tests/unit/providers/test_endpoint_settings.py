"""What the settings of a model send to its endpoint, and what they keep to themselves."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lakehouse.core.chat import ChatReply, ChatRequest, Message
from lakehouse.core.json_text import NULL
from lakehouse.providers.access import Access
from lakehouse.providers.model_clients import ModelClients
from lakehouse.providers.provider import ProviderFault
from lakehouse.transport.client import HttpClient
from support.dialect import provider_at
from support.raw_server import Exchange, RawServer, Request

CERTIFICATE = Path(__file__).parents[2] / "support" / "untrusted_localhost.pem"
SCHEMA = (
    b'{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],'
    b'"additionalProperties":false}'
)
GOOD: dict[str, dict[str, Any]] = {
    "openai": {"choices": [{"message": {"content": "{}"}, "finish_reason": "stop"}]},
    "ollama": {"message": {"content": "{}"}, "done": True, "done_reason": "stop"},
}


def asked(
    provider: str = "openai",
    *,
    schema: bytes | None = None,
    path: str = "/v1",
    access: Access | None = None,
    answer: tuple[int, Any] | None = None,
    request: dict[str, Any] | None = None,
    **settings: Any,
) -> tuple[ChatReply | ProviderFault, list[Request]]:
    """Ask once; gives what came of it and what the endpoint saw."""

    async def case() -> tuple[ChatReply | ProviderFault, list[Request]]:
        async def handler(exchange: Exchange) -> None:
            status, body = answer or (200, GOOD[provider])
            await exchange.reply(body, status)

        async with RawServer(handler) as server:
            http = HttpClient()
            url = server.url + (path if provider == "openai" else "")
            question = ChatRequest(
                "alias",
                (Message("user", "Hi"),),
                schema=NULL if schema is None else msgspec.Raw(schema),
                **(request or {}),
            )
            found: ChatReply | ProviderFault
            try:
                found = await provider_at(
                    provider, url, http, access=access or Access(), **settings
                ).complete(question, trace={}, deadline_ms=60_000)
            except ProviderFault as fault:
                found = fault
            await http.close()
            return found, server.requests

    return asyncio.run(case())


def test_an_azure_deployment_is_one_of_many_addresses() -> None:
    """A path of its own, the version as a query, the key in a header of its own."""
    _, [sent] = asked(
        path="/openai/deployments/gpt",
        access=Access(
            headers={"api-key": "canary"}, query={"api-version": "2024-10-21", "a": "b c"}
        ),
    )
    path = "/openai/deployments/gpt/chat/completions?api-version=2024-10-21&a=b+c"
    assert sent.path == path
    assert sent.header("api-key") == "canary"
    assert sent.header("authorization") is None


def test_defaults_of_a_model_hold_where_a_call_says_nothing() -> None:
    """And only there."""
    defaults: dict[str, Any] = {
        "temperature": 0.2, "top_p": 0.9, "max_tokens": 50, "seed": 1, "stop": ("###",),
    }  # fmt: skip
    _, [sent] = asked(**defaults, request={"temperature": 0.0, "max_tokens": 9})
    body = sent.json()
    found = {name: body[name] for name in defaults}
    assert found == {
        "temperature": 0.0, "top_p": 0.9, "max_tokens": 9, "seed": 1, "stop": ["###"],
    }  # fmt: skip
    _, [sent] = asked("ollama", **defaults)
    assert sent.json()["options"] == {
        "temperature": 0.2, "top_p": 0.9, "num_predict": 50, "seed": 1, "stop": ["###"],
    }  # fmt: skip


def test_the_name_of_the_length_may_be_set() -> None:
    """Then it is the only one."""
    _, [sent] = asked(max_tokens_field="max_completion_tokens", request={"max_tokens": 9})
    assert sent.json()["max_completion_tokens"] == 9
    assert "max_tokens" not in sent.json()


@pytest.mark.parametrize(
    ("setting", "kind"), [("json_schema", "json_schema"), ("json_object", "json_object")]
)
def test_how_a_schema_is_handed_over_may_be_set(setting: str, kind: str) -> None:
    """Nothing else is tried; what the endpoint says of it reaches the operator."""
    _, [sent] = asked(response_format=setting, schema=SCHEMA)
    assert sent.json()["response_format"]["type"] == kind
    fault, requests = asked(
        response_format=setting,
        schema=SCHEMA,
        answer=(400, {"error": {"message": "response_format is not supported"}}),
    )
    assert isinstance(fault, ProviderFault)
    assert "response_format is not supported" in fault.public
    assert {one.json()["response_format"]["type"] for one in requests} == {kind}


@pytest.mark.parametrize("provider", ["openai", "ollama"])
def test_a_schema_may_be_kept_from_an_endpoint(provider: str) -> None:
    """`none`: validated here, told to nobody."""
    _, [sent] = asked(provider, response_format="none", schema=SCHEMA)
    assert not {"response_format", "format"} & set(sent.json())


def test_an_extra_body_goes_along_whole() -> None:
    """What the API of one endpoint knows and nobody else's; ours stays ours."""
    extra = {"top_k": 5, "provider": {"order": ["a"]}, "reasoning_effort": "low"}
    _, [sent] = asked(extra_body=extra)
    assert {name: sent.json()[name] for name in extra} == extra
    _, [sent] = asked(
        "ollama",
        extra_body={"options": {"num_gpu": 1}, "truncate": False},
        context_tokens=99,
        request={"temperature": 0.5},
    )
    assert sent.json()["options"] == {"num_gpu": 1, "num_ctx": 99, "temperature": 0.5}
    assert sent.json()["truncate"] is False


@pytest.mark.parametrize("think", ["low", "medium", "high", True, False])
def test_ollama_is_told_how_much_to_think(think: object) -> None:
    """A level or a yes or no, as it stands."""
    _, [sent] = asked("ollama", think=think)
    assert sent.json()["think"] == think


def test_what_came_from_the_environment_is_cut_out_of_what_an_endpoint_quotes() -> None:
    """Keys, header values, query values: whatever it repeats."""
    secrets = ("canary-key-1", "canary-header-2", "canary-query-3")
    access = Access(
        api_key=secrets[0],
        headers={"x-auth": secrets[1]},
        query={"sig": secrets[2]},
        read=secrets[1:],
    )
    message = f"bad {' and '.join(secrets)}"
    for status in (400, 401, 500):
        fault, _ = asked(access=access, answer=(status, {"error": {"message": message}}))
        assert isinstance(fault, ProviderFault)
        assert "bad" in fault.public
        assert "canary" not in fault.public + fault.internal + fault.hint


@pytest.mark.parametrize("known", [True, False])
def test_authorities_of_a_model_are_trusted_beside_the_systems(known: bool) -> None:
    """With the file the endpoint is reached; without it its certificate is not trusted."""

    async def case() -> ChatReply | ProviderFault:
        async def handler(exchange: Exchange) -> None:
            await exchange.reply(GOOD["openai"])

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        async with RawServer(handler, tls=context) as server:
            clients = ModelClients({})
            ca_file = CERTIFICATE if known else None
            http = clients.client("models.m", proxy=None, ca_file=ca_file)
            url = f"https://localhost:{server.port}/v1"
            question = ChatRequest("alias", (Message("user", "Hi"),))
            try:
                return await provider_at("openai", url, http).complete(
                    question, trace={}, deadline_ms=60_000
                )
            except ProviderFault as fault:
                return fault
            finally:
                await clients.close()

    found = asyncio.run(case())
    if known:
        assert isinstance(found, ChatReply), found
    else:
        assert isinstance(found, ProviderFault)
        assert "not trusted" in found.public
        assert "ca_file" in found.hint
