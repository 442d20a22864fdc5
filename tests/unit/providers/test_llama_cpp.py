"""The embedded model: what needs no weights first, then the real model."""

import asyncio
import importlib.util
import json
import os
import signal
import time
from pathlib import Path

import msgspec
import pytest

from lakehouse.core.chat import ChatRequest, Message
from lakehouse.providers.llama_cpp import LlamaCppProvider, LlamaCppSettings
from lakehouse.providers.provider import ProviderFault
from lakehouse.providers.weights import SMOLLM2
from support.chat import question
from support.embedded import SCHEMA, SETTINGS, ask, with_model
from support.held_loop import watched_loop
from support.waiting import WAIT_S
from support.weights import pulled_weights

ENDLESS = "Write the numbers from one to a thousand, one on each line."


def load_fault(settings: LlamaCppSettings) -> ProviderFault:
    async def run() -> ProviderFault:
        provider = LlamaCppProvider("small", settings)
        with pytest.raises(ProviderFault) as raised:
            await provider.load()
        state, detail = await provider.state()
        assert state == "missing" or "gguf" in settings.model
        assert state == "ready" or detail
        await provider.close()
        return raised.value

    return asyncio.run(run())


def test_missing_weights_name_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`model_missing`, with the command that fixes it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fault = load_fault(SETTINGS)
    assert fault.code == "model_missing"
    assert "lakehouse models pull smollm2" in fault.hint
    assert not fault.retryable


def test_a_missing_file_names_the_field(tmp_path: Path) -> None:
    """And what may stand there."""
    fault = load_fault(msgspec.structs.replace(SETTINGS, model=str(tmp_path / "no.gguf")))
    assert fault.code == "model_missing"
    assert "models.small.model" in fault.public
    assert SMOLLM2 in fault.public


def test_a_missing_engine_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra `local` there is no engine."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    fault = load_fault(SETTINGS)
    assert fault.code == "model_missing"
    assert "lakehouse-stack[local]" in fault.hint


@pytest.mark.parametrize("content", [b"", b"hello", b"GGUF", b"GGUF" + bytes(2_000)])
def test_a_file_that_is_no_model_is_a_fault_and_not_a_crash(tmp_path: Path, content: bytes) -> None:
    """With the path, and the process alive."""
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    fault = load_fault(msgspec.structs.replace(SETTINGS, model=str(path)))
    assert fault.code == "model_missing"
    assert str(path) in fault.public


def test_asked_before_its_load_it_says_so() -> None:
    """`chatd` takes that as: load it first."""

    async def run() -> None:
        provider = LlamaCppProvider("small", SETTINGS)
        with pytest.raises(ProviderFault) as raised:
            await provider.complete(question(), trace={}, deadline_ms=60_000)
        assert raised.value.code == "model_loading"
        await provider.close()
        with pytest.raises(ProviderFault) as raised:
            await provider.load()
        assert raised.value.code == "shutdown"

    asyncio.run(run())


@pytest.mark.model
def test_it_answers() -> None:
    """Text, a reason for the end, and counted tokens."""

    async def work(provider: LlamaCppProvider) -> None:
        assert await provider.state() == ("ready", None)
        reply = await ask(provider, "Say hello.", max_tokens=8)
        assert reply.text
        assert reply.finish_reason == "length"
        assert reply.usage.completion_tokens == 8
        assert (reply.usage.prompt_tokens or 0) > 8
        assert (reply.model, reply.provider) == (SMOLLM2, "llama_cpp")

    with_model(work)


@pytest.mark.model
def test_it_decodes_under_a_schema() -> None:
    """The schema's own members and values come out, which the tiny model never hits by itself."""

    async def work(provider: LlamaCppProvider) -> None:
        reply = await ask(provider, "DEN has a delay.", schema=SCHEMA, max_tokens=64)
        artifact = json.loads(reply.text.strip().removeprefix("```json").removesuffix("```"))
        assert set(artifact) == {"iata", "delay"}
        assert artifact["delay"] in {10, 20}
        assert len(artifact["iata"]) <= 3

    with_model(work)


@pytest.mark.model
@pytest.mark.parametrize(
    "schema",
    [
        b'{"$ref": "#/$defs/none"}',
        b'{"type": "string", "minLength": 100000}',
        b'{"enum": []}',
        b'{"$ref": "#"}',
    ],
)
def test_a_schema_that_the_engine_refuses_is_left_out(schema: bytes) -> None:
    """The answer comes without it, and the engine is not asked to refuse it twice."""

    async def work(provider: LlamaCppProvider) -> None:
        assert (await ask(provider, "Say hello.", schema=schema, max_tokens=4)).text
        assert list(provider._schemas_refused) == [schema]
        assert (await ask(provider, "Say hello.", schema=schema, max_tokens=4)).text

    with_model(work)


@pytest.mark.model
def test_a_prompt_longer_than_the_context_is_a_fault_of_the_request() -> None:
    """Not retried, not blamed on the schema, and the next call is served."""

    async def work(provider: LlamaCppProvider) -> None:
        with pytest.raises(ProviderFault) as raised:
            await ask(provider, "word " * 1_000, schema=SCHEMA)
        assert raised.value.code == "upstream_status"
        assert not raised.value.again
        assert "context" in raised.value.public
        assert not provider._schemas_refused
        assert (await ask(provider, "Say hello.", max_tokens=2)).text

    with_model(work, context_tokens=512)


@pytest.mark.model
def test_the_event_loop_goes_on_while_it_loads_and_answers() -> None:
    """Neither holds the interpreter for long."""
    pulled_weights()

    async def run() -> float:
        provider = LlamaCppProvider("small", msgspec.structs.replace(SETTINGS, slots=1))
        async with watched_loop() as held:
            await provider.load()
            await ask(provider, "Say hello.")
        await provider.close()
        return held.worst_s

    assert asyncio.run(run()) < 0.2  # far below a load, which takes 0.5 s and more


@pytest.mark.model
def test_two_slots_answer_at_once() -> None:
    """Neither waits for the other to end."""

    async def work(provider: LlamaCppProvider) -> None:
        long = asyncio.create_task(ask(provider, ENDLESS, schema=LONG, max_tokens=3_000))
        short = await ask(provider, "Say hello.", max_tokens=2)
        assert short.text
        assert not long.done()
        long.cancel()
        await asyncio.gather(long, return_exceptions=True)

    with_model(work, slots=2)


# No end before 300 items: a tiny model left alone may stop at any time.
LONG = b'{"type": "array", "items": {"type": "integer"}, "minItems": 300, "maxItems": 300}'


@pytest.mark.model
def test_a_cancelled_call_frees_its_worker() -> None:
    """The only worker stops in the middle of its answer and takes the next call."""

    async def work(provider: LlamaCppProvider) -> None:
        long = asyncio.create_task(ask(provider, ENDLESS, schema=LONG, max_tokens=3_000))
        async with asyncio.timeout(WAIT_S):
            while not any(generation.began for generation in provider._running):
                await asyncio.sleep(0.005)
        waiting = asyncio.create_task(ask(provider, "Say hello.", max_tokens=2))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        long.cancel()
        reply = await asyncio.wait_for(waiting, WAIT_S)
        assert reply.text
        assert long.cancelled()

    with_model(work)


@pytest.mark.model
def test_a_deadline_ends_an_answer_and_frees_its_worker() -> None:
    """Not before the limit, and long before it would be whole."""

    async def work(provider: LlamaCppProvider) -> None:
        started = time.monotonic()
        with pytest.raises(ProviderFault) as raised:
            await ask(provider, ENDLESS, schema=LONG, max_tokens=3_000, deadline_ms=700)
        assert raised.value.code == "timeout"
        assert time.monotonic() - started >= 0.69
        assert (await ask(provider, "Say hello.", max_tokens=2, deadline_ms=60_000)).text

    with_model(work)


@pytest.mark.model
def test_a_models_own_length_and_stop_hold_where_a_call_says_nothing() -> None:
    """The engine ends at the comma, and at the length that the call sets over the model's."""

    async def work(provider: LlamaCppProvider) -> None:
        stopped = await ask(provider, ENDLESS, schema=LONG)
        assert stopped.finish_reason == "stop"
        assert stopped.text.startswith("[")
        assert "," not in stopped.text
        cut = await ask(
            provider, "Count.", schema=b'{"type":"string","minLength":99}', max_tokens=3
        )
        assert (cut.finish_reason, cut.usage.completion_tokens) == ("length", 3)

    with_model(work, stop=(",",), max_tokens=40)


@pytest.mark.model
def test_closing_ends_an_answer_under_way() -> None:
    """Its caller is told `shutdown`, soon."""

    async def work(provider: LlamaCppProvider) -> None:
        long = asyncio.create_task(ask(provider, ENDLESS, schema=LONG, max_tokens=3_000))
        async with asyncio.timeout(WAIT_S):
            while not any(generation.began for generation in provider._running):
                await asyncio.sleep(0.005)
        await asyncio.wait_for(provider.close(), WAIT_S)
        with pytest.raises(ProviderFault) as raised:
            await long
        assert raised.value.code == "shutdown"

    with_model(work)


@pytest.mark.model
def test_turns_of_every_role_are_taken() -> None:
    """A re-prompt's conversation, with characters of every kind."""

    async def work(provider: LlamaCppProvider) -> None:
        turns = (
            Message("system", "Be brief. \u2028 ✈"),
            Message("user", 'He said: "Zürich"\\ \x00'),
            Message("assistant", "{}"),
            Message("user", "Again."),
        )
        request = ChatRequest(model="small", messages=turns, max_tokens=3, seed=2**62)
        assert (await provider.complete(request, trace={}, deadline_ms=60_000)).text

    with_model(work)


@pytest.mark.model
def test_an_engine_that_dies_is_replaced() -> None:
    """Its caller is told `connect`, may try again, and the next load starts another one."""

    async def work(provider: LlamaCppProvider) -> None:
        long = asyncio.create_task(ask(provider, ENDLESS, schema=LONG, max_tokens=3_000))
        async with asyncio.timeout(WAIT_S):
            while not any(generation.began for generation in provider._running):
                await asyncio.sleep(0.005)
        (engine,) = provider._live
        os.kill(engine.process_id, signal.SIGKILL)
        with pytest.raises(ProviderFault) as raised:
            await asyncio.wait_for(long, WAIT_S)
        assert (raised.value.code, raised.value.again, raised.value.transport) == (
            "connect",
            True,
            True,
        )
        assert "-9" in raised.value.internal
        await provider.load()
        assert (await ask(provider, "Say hello.", max_tokens=2)).text

    with_model(work)
