"""`openai` against a real server of its kind: llama.cpp's own, with the embedded model."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import msgspec
import pytest
import xllamacpp

from lakehouse.core.chat import Offer
from lakehouse.core.ids import new_id, new_span_id
from lakehouse.providers.access import Access
from lakehouse.providers.openai import OpenAiProvider, OpenAiSettings
from lakehouse.providers.provider import ProviderFault
from lakehouse.transport.client import HttpClient
from support.chat import question
from support.weights import pulled_weights

pytestmark = pytest.mark.model

SCHEMA = b"""{"type": "object", "additionalProperties": false, "required": ["delay"],
"properties": {"delay": {"enum": [10, 20]}}}"""
TRACEPARENT = f"00-{new_id()}-{new_span_id()}-01"


@contextlib.asynccontextmanager
async def served(*, key: str | None = None) -> AsyncIterator[OpenAiProvider]:
    """A provider of a running server, on a port that the system chose."""
    weights = pulled_weights()
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_ctx = 1024
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.verbosity = -1
    params.warmup = params.fit_params = params.ui = False
    params.n_threads_http = 4
    params.api_keys = ["right"]
    server = await asyncio.to_thread(xllamacpp.Server, params)
    settings = OpenAiSettings(
        model="smollm2",
        base_url=f"{server.listening_address}/v1",
    )
    http = HttpClient()
    provider = OpenAiProvider(settings, http, access=Access(api_key=key))
    try:
        yield provider
    finally:
        await provider.close()
        await http.close()


def test_it_answers_and_decodes_under_a_schema() -> None:
    """A free answer with its tokens counted, and one that only the schema explains."""

    async def run() -> None:
        async with served(key="right") as provider:
            assert (await provider.state())[0] == "ready"
            await provider.load()
            free = await provider.complete(
                msgspec.structs.replace(question("Say hello."), max_tokens=8, temperature=0.0),
                trace={"traceparent": TRACEPARENT},
                deadline_ms=60_000,
            )
            assert free.text
            assert (free.finish_reason, free.usage.completion_tokens) == ("length", 8)
            assert free.provider == "openai"
            bound = await provider.complete(
                msgspec.structs.replace(question("x", schema=SCHEMA), max_tokens=64, seed=1),
                trace={"traceparent": TRACEPARENT},
                deadline_ms=60_000,
            )
            text = bound.text.strip().removeprefix("```json").removesuffix("```")
            assert json.loads(text)["delay"] in {10, 20}

    asyncio.run(run())


def test_values_are_decoded_under_or_named_in_the_prompt() -> None:
    """The server's own refusal of a schema costs no call, and the own schema still binds."""

    async def run() -> None:
        async with served(key="right") as provider:
            for schema, offered, values in (
                (SCHEMA.replace(b"[10, 20]", b"[20]"), "decode", {20}),
                (b'{"$ref": "#/$defs/none", "enum": [20]}', "hint", {10, 20}),
            ):
                offer = Offer(msgspec.Raw(schema), "Delays that the text names: 20.")
                request = msgspec.structs.replace(
                    question("x", schema=SCHEMA), max_tokens=64, seed=1, offer=offer
                )
                reply = await provider.complete(request, trace={}, deadline_ms=60_000)
                assert reply.offered == offered
                text = reply.text.strip().removeprefix("```json").removesuffix("```")
                assert json.loads(text)["delay"] in values

    asyncio.run(run())


def test_what_it_refuses_is_a_fault_that_is_not_tried_again() -> None:
    """A prompt over the context, and a wrong key: statuses, told as such, without the key."""

    async def run() -> None:
        async with served(key="wrong-key") as provider:
            with pytest.raises(ProviderFault) as raised:
                await provider.complete(question(), trace={}, deadline_ms=60_000)
            assert (raised.value.code, raised.value.again) == ("upstream_status", False)
            assert "wrong-key" not in raised.value.public + raised.value.internal
        async with served(key="right") as provider:
            with pytest.raises(ProviderFault) as raised:
                await provider.complete(question("word " * 2_000), trace={}, deadline_ms=60_000)
            assert (raised.value.code, raised.value.again) == ("upstream_status", False)

    asyncio.run(run())


def test_a_cancelled_call_stops_the_server() -> None:
    """Closing the connection ends the generation: the server's one slot is free again."""

    async def run() -> None:
        async with served(key="right") as provider:
            numbers = b'{"type": "array", "items": {"type": "integer"}, "minItems": 300}'
            long = asyncio.create_task(
                provider.complete(
                    msgspec.structs.replace(question("Count.", schema=numbers), max_tokens=900),
                    trace={},
                    deadline_ms=60_000,
                )
            )
            await asyncio.sleep(0.3)
            assert not long.done()
            long.cancel()
            await asyncio.gather(long, return_exceptions=True)
            started = asyncio.get_running_loop().time()
            await provider.complete(
                msgspec.structs.replace(question("Say hello."), max_tokens=1),
                trace={},
                deadline_ms=60_000,
            )
            # 900 tokens take some ten seconds; the stopped slot is free at once.
            assert asyncio.get_running_loop().time() - started < 5

    asyncio.run(run())
