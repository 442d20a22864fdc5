"""What every `ChatModel` does, whichever adapter stands in front of the models.

An adapter is a name in `ADAPTERS` and an entry in `opened`: given providers and settings by alias
it opens the port over them. HTTP adapters are added there and nowhere else.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Mapping

import msgspec
import pytest
from msgspec.structs import replace

from lakehouse.chatd.client import ChatClient
from lakehouse.chatd.routes import chat_routes, model_routes
from lakehouse.chatd.service import ChatService
from lakehouse.core.chat import CallLimits, ChatReply, ChatRequest, ModelStatus, Offer, Usage
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.limits import OFFER_HINT_BYTES_MAX, OFFER_SCHEMA_BYTES_MAX
from lakehouse.core.ports import ChatModel
from lakehouse.providers.provider import Provider
from lakehouse.providers.scripted import Script, ScriptedProvider, Step
from lakehouse.transport.client import HttpClient
from lakehouse.transport.daemon import serve
from lakehouse.transport.listening import listen_on
from lakehouse.transport.server import Application, Calls
from support.chat import LIMITS, SCRIPTED, context, question
from support.steady_loop import LoopClock, run_steadily
from support.waiting import WAIT_S

ADAPTERS = ("in_process", "http")


@contextlib.asynccontextmanager
async def opened(adapter: str, providers: Mapping[str, Provider]) -> AsyncIterator[ChatModel]:
    service = ChatService(providers, dict.fromkeys(providers, SCRIPTED), clock=LoopClock())
    try:
        if adapter == "in_process":
            yield service
        else:
            async with _served(service) as client:
                yield client
    finally:
        await service.close()


@contextlib.asynccontextmanager
async def _served(service: ChatService) -> AsyncIterator[ChatModel]:
    """Put the service behind `chatd`'s own application, on a real socket."""
    calls, ready, http = Calls(), asyncio.Event(), HttpClient()
    listener = listen_on("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = Application((*chat_routes(service), *model_routes(service)), calls=calls, inner=True)
    daemon = asyncio.create_task(
        serve(app, listener, drain=calls.drain, drain_ms=3_000, on_ready=ready.set)
    )
    await ready.wait()
    try:
        yield ChatClient(http, url)
    finally:
        await http.close()
        signal.raise_signal(signal.SIGTERM)
        await daemon


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def script(*steps: str | Step, load_ms: int = 0) -> ScriptedProvider:
    return ScriptedProvider("small", SCRIPTED, Script(load_ms, steps), per_session=False)


def replies(
    adapter: str, provider: ScriptedProvider, count: int = 1, limits: CallLimits = LIMITS
) -> list[ChatReply]:
    async def run() -> list[ChatReply]:
        async with opened(adapter, {"small": provider}) as chat:
            return [
                await chat.chat(question(), context=context(), limits=limits) for _ in range(count)
            ]

    return run_steadily(run())


def test_an_answer_arrives_whole(adapter: str) -> None:
    """Every member of the reply, whatever characters are in it."""
    text = '{"quote": "Zürich ✈ \u2028 \\u0000"}'
    step = Step(text=text, thinking="hm", finish_reason="length", usage=Usage(3, None))
    _, reply = replies(adapter, script(step), count=2)  # the first may have waited for the load
    assert reply == ChatReply(text, "hm", "length", Usage(3, None), "script-1", "scripted")


def test_the_request_arrives_whole(adapter: str) -> None:
    """Schema bytes and all."""
    provider = script("x")
    asked = question("é \u2028", schema=b'{"const": 1.10}')

    async def run() -> None:
        async with opened(adapter, {"small": provider}) as chat:
            await chat.chat(asked, context=context(), limits=LIMITS)

    run_steadily(run())
    assert provider.requests == [asked]


def offered(
    adapter: str, *, text: str, schema_bytes: int, hint: str
) -> tuple[ChatRequest, str | None]:
    """Offer something; gives what the model got, and what the reply says of it."""
    provider = script("x")
    schema = b'{"const":"' + b"x" * (schema_bytes - 12) + b'"}'
    request = replace(question(text, schema=b"{}"), offer=Offer(msgspec.Raw(schema), hint))

    async def run() -> ChatReply:
        async with opened(adapter, {"small": provider}) as chat:
            return await chat.chat(request, context=context(), limits=LIMITS)

    reply = run_steadily(run())
    [got] = provider.requests
    return got, reply.offered


def test_an_offer_arrives_whole(adapter: str) -> None:
    """Its schema's bytes and its hint; the reply says how they reached the model."""
    size = OFFER_SCHEMA_BYTES_MAX
    got, mode = offered(adapter, text="Q", schema_bytes=size, hint="é" * 9)
    assert got.offer is not None
    assert (len(bytes(got.offer.schema)), got.offer.hint, mode) == (size, "é" * 9, "decode")
    assert got.messages == question("Q").messages


@pytest.mark.parametrize(
    ("text", "schema_bytes", "hint", "expected"),
    [
        ("Q", OFFER_SCHEMA_BYTES_MAX + 1, "Oslo", ("Q\n\nOslo", "hint")),
        ("Q", OFFER_SCHEMA_BYTES_MAX + 1, "", ("Q", None)),
        ("Q", 99, "x" * (OFFER_HINT_BYTES_MAX + 1), ("Q", None)),
        ("Q" * 1_000_000, 99_000, "Oslo", ("Q" * 1_000_000 + "\n\nOslo", "hint")),
        ("Q" * 1_000_000, 99_000, "x" * 60_000, ("Q" * 1_000_000, None)),
    ],
    ids=["schema", "no hint", "hint", "body", "body and hint"],
)
def test_an_offer_that_another_daemon_would_refuse_costs_no_call(
    text: str, schema_bytes: int, hint: str, expected: tuple[str, str | None]
) -> None:
    """It goes into the prompt, or is left out; the reply says so."""
    got, mode = offered("http", text=text, schema_bytes=schema_bytes, hint=hint)
    assert got.offer is None
    assert (got.messages[-1].content, mode) == expected


@pytest.mark.parametrize("finish", ["stop", "length", "content_filter", "tool_calls", "other"])
def test_a_bad_answer_is_an_answer(adapter: str, finish: str) -> None:
    """Nothing is raised for what a model says or does not say."""
    step = Step(text="", finish_reason=finish)  # type: ignore[arg-type]
    (reply,) = replies(adapter, script(step))
    assert (reply.text, reply.finish_reason) == ("", finish)


@pytest.mark.parametrize(
    "code", ["upstream_malformed", "upstream_status", "model_missing", "overloaded", "timeout"]
)
def test_no_answer_is_its_infra_error(adapter: str, code: str) -> None:
    """With the code, whether to try again, and a hint."""
    # A deadline that ends before the endpoint wants to be asked again: the fault is told at once.
    limits = CallLimits(deadline_ms=50_000, load_budget_ms=60_000)
    provider = script(Step(error=code, retry_after_s=60))  # type: ignore[arg-type]
    with pytest.raises(InfraError) as raised:
        replies(adapter, provider, limits=limits)
    assert raised.value.code == code
    assert raised.value.retryable is (code in {"overloaded", "timeout"})
    assert raised.value.hint
    assert len(provider.requests) == 1


def test_retry_after_is_told(adapter: str) -> None:
    """What the provider asked for reaches the caller."""
    with pytest.raises(InfraError) as raised:
        replies(adapter, script(Step(error="overloaded", retry_after_s=1_000)))
    assert raised.value.retry_after_s == 1_000


def test_retries_are_inside(adapter: str) -> None:
    """The caller never sees a fault that the next attempt mended."""
    provider = script(Step(error="overloaded", retry_after_s=0), "hi")
    assert replies(adapter, provider)[0].text == "hi"
    assert len(provider.requests) == 2


def test_a_deadline_ends_a_call(adapter: str) -> None:
    """At the limit, not before; the answer would come after a minute."""
    provider = script(Step(text="late", delay_ms=60_000))

    async def run() -> float:
        loop = asyncio.get_running_loop()
        async with opened(adapter, {"small": provider}) as chat:
            started = loop.time()
            with pytest.raises(InfraError) as raised:
                await chat.chat(
                    question(),
                    context=context(),
                    limits=CallLimits(deadline_ms=300, load_budget_ms=60_000),
                )
            assert raised.value.code == "timeout"
            return loop.time() - started

    assert 0.29 <= run_steadily(run()) < 30
    assert len(provider.requests) == 1


def test_a_cold_start_is_waited_for_outside_the_deadline(adapter: str) -> None:
    """Longer than the deadline, and answered; the reply says how long it took."""
    limits = CallLimits(deadline_ms=250, load_budget_ms=60_000)
    (reply,) = replies(adapter, script("hi", load_ms=500), limits=limits)
    assert reply.text == "hi"
    assert reply.load_ms >= 490


def test_a_load_budget_that_ends_is_model_loading(adapter: str) -> None:
    """And the load goes on: the next call finds it done."""
    provider = script("hi", load_ms=400)

    async def run() -> ChatReply:
        async with opened(adapter, {"small": provider}) as chat:
            with pytest.raises(InfraError) as raised:
                await chat.chat(
                    question(),
                    context=context(),
                    limits=CallLimits(deadline_ms=60_000, load_budget_ms=100),
                )
            assert (raised.value.code, raised.value.retryable) == ("model_loading", True)
            return await chat.chat(question(), context=context(), limits=LIMITS)

    assert run_steadily(run()).text == "hi"
    assert provider.loads == 1


def test_cancelling_stops_the_call(adapter: str) -> None:
    """Soon, and the next call is served."""
    provider = script(Step(text="slow", delay_ms=60_000), "hi")

    async def run() -> str:
        async with opened(adapter, {"small": provider}) as chat:
            call = asyncio.create_task(chat.chat(question(), context=context(), limits=LIMITS))
            async with asyncio.timeout(WAIT_S):
                while not provider.requests:
                    await asyncio.sleep(0.001)
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
            assert call.cancelled()
            return (await chat.chat(question(), context=context(), limits=LIMITS)).text

    assert run_steadily(run()) == "hi"


def test_an_unknown_alias_is_a_refusal(adapter: str) -> None:
    """Naming the alias and the known ones."""

    async def run() -> None:
        async with opened(adapter, {"small": script("x")}) as chat:
            await chat.chat(question(model="no/such"), context=context(), limits=LIMITS)

    with pytest.raises(Refusal) as raised:
        run_steadily(run())
    assert raised.value.code == "unknown_model"
    assert "'no/such'" in raised.value.public
    assert "'small'" in raised.value.public


def test_models_are_listed_with_their_states(adapter: str) -> None:
    """Every configured model, without asking any."""
    first, second = script("x"), script("y", load_ms=60_000)

    async def run() -> tuple[ModelStatus, ...]:
        async with opened(adapter, {"small": first, "cold": second}) as chat:
            call = asyncio.create_task(
                chat.chat(question(model="cold"), context=context(), limits=LIMITS)
            )
            async with asyncio.timeout(WAIT_S):
                while second.loads == 0:
                    await asyncio.sleep(0.001)
                states = await chat.models()
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            return states

    states = {one.name: one for one in run_steadily(run())}
    assert states["small"] == ModelStatus("small", "script-1", "scripted", "ready")
    assert states["cold"].state == "loading"
    assert first.requests == second.requests == []
