"""Cold starts: waited for within their own budget, shared, and never aborted."""

import asyncio

import pytest

from lakehouse.chatd.service import ChatService
from lakehouse.core.chat import CallLimits, ChatReply, ModelState
from lakehouse.core.errors import InfraError
from lakehouse.core.limits import BREAKER_FAILURES_MAX
from lakehouse.providers.provider import ModelSettings, ProviderFault
from lakehouse.providers.scripted import Script, ScriptedProvider, ScriptedSettings, Step
from support.chat import LIMITS, SCRIPTED, HeldTime, context, question
from support.steady_loop import LoopClock, run_steadily

PRELOADED = ScriptedSettings(model="script-1", preload=True)


def cold(load_ms: int, *steps: str | Step) -> ScriptedProvider:
    script = Script(load_ms=load_ms, steps=steps or ("hi",))
    return ScriptedProvider("small", SCRIPTED, script, per_session=False)


def service_of(provider: ScriptedProvider, settings: ModelSettings = SCRIPTED) -> ChatService:
    return ChatService({"small": provider}, {"small": settings}, clock=LoopClock())


async def ask(chat: ChatService, limits: CallLimits = LIMITS) -> ChatReply:
    return await chat.chat(question(), context=context(), limits=limits)


def test_a_load_longer_than_the_deadline_gives_an_answer() -> None:
    """The deadline stands still while the model loads, and the reply tells how long that was."""
    provider = cold(400)
    limits = CallLimits(deadline_ms=200, load_budget_ms=60_000)
    reply = run_steadily(ask(service_of(provider), limits))
    assert reply.text == "hi"
    assert reply.load_ms >= 390
    assert provider.loads == 1


def test_a_loaded_model_costs_nothing_more() -> None:
    """Only the first call waits."""
    provider = cold(50)
    chat = service_of(provider)

    async def run() -> list[int]:
        return [(await ask(chat)).load_ms for _ in range(2)]

    first, second = run_steadily(run())
    assert first >= 45
    assert second == 0
    assert provider.loads == 1


def test_all_callers_share_one_load() -> None:
    """Ten calls at once, one load."""
    provider = cold(100)
    chat = service_of(provider)

    async def run() -> list[ChatReply]:
        return await asyncio.gather(*(ask(chat) for _ in range(10)))

    replies = run_steadily(run())
    assert [reply.text for reply in replies] == ["hi"] * 10
    assert all(reply.load_ms >= 90 for reply in replies)
    assert provider.loads == 1


def test_neither_a_budget_nor_a_cancelled_caller_aborts_a_load() -> None:
    """Both leave; the load goes on, and the next call has its result."""
    provider = cold(400)
    chat = service_of(provider)

    async def run() -> None:
        gone = asyncio.create_task(ask(chat))
        with pytest.raises(InfraError) as raised:
            await ask(chat, CallLimits(deadline_ms=1_000, load_budget_ms=50))
        assert raised.value.code == "model_loading"
        assert "50 ms" in raised.value.public
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert [one.state for one in await chat.models()] == ["loading"]
        assert provider.requests == []
        assert (await ask(chat)).text == "hi"

    run_steadily(run())
    assert provider.loads == 1


def test_start_preloads_only_what_is_to_be_preloaded() -> None:
    """And does not wait for it."""
    eager, lazy = cold(50), cold(50)
    settings = {"a": PRELOADED, "b": SCRIPTED}
    chat = ChatService({"a": eager, "b": lazy}, settings, clock=LoopClock())

    async def run() -> list[ModelState]:
        await chat.start()
        await asyncio.sleep(0)
        states = [one.state for one in await chat.models()]
        await chat.close()
        return states

    assert run_steadily(run()) == ["loading", "ready"]
    assert (eager.loads, lazy.loads) == (1, 0)


def test_closing_ends_a_load_and_its_waiters() -> None:
    """A caller that waits for the load is told `shutdown`."""
    provider = cold(60_000)
    chat = service_of(provider)

    async def run() -> str:
        call = asyncio.create_task(ask(chat))
        while provider.loads == 0:
            await asyncio.sleep(0)
        await chat.close()
        with pytest.raises(InfraError) as raised:
            await call
        return raised.value.code

    assert run_steadily(run()) == "shutdown"


def test_a_model_that_its_server_unloaded_is_loaded_again_once() -> None:
    """Not a retry: no backoff, and only once for a call."""
    provider = cold(0, "hi", Step(error="model_loading"), "again", Step(error="model_loading"))
    time = HeldTime()
    chat = ChatService({"small": provider}, {"small": SCRIPTED}, clock=time, sleep=time.sleep)

    async def run() -> list[str]:
        texts = [(await ask(chat)).text for _ in range(2)]
        with pytest.raises(InfraError) as raised:
            await ask(chat)
        return [*texts, raised.value.code]

    assert run_steadily(run()) == ["hi", "again", "model_loading"]
    assert len(provider.requests) == 5
    assert time.slept_s == []


class CountedLoads(ScriptedProvider):
    """Counts every request to load, also where there is nothing to do."""

    async def load(self) -> None:
        self.loads += 1


def test_an_unloaded_model_is_really_asked_to_load_again() -> None:
    """The second attempt of the call comes after a second load."""
    steps: list[str | Step] = [Step(error="model_loading"), "hi"]
    provider = CountedLoads("small", SCRIPTED, steps, per_session=False)
    assert run_steadily(ask(service_of(provider))).text == "hi"
    assert provider.loads == 2


def test_after_a_transport_fault_the_model_is_loaded_again() -> None:
    """Its server may have been started anew; an answer of the endpoint says that it was not."""
    time = HeldTime()
    steps: list[str | Step] = [Step(error="connect"), Step(error="upstream_status"), "hi"]
    provider = CountedLoads("small", SCRIPTED, steps, per_session=False)
    chat = ChatService({"small": provider}, {"small": SCRIPTED}, clock=time, sleep=time.sleep)
    assert run_steadily(ask(chat)).text == "hi"
    assert len(provider.requests) == 3
    assert provider.loads == 2


class BrokenLoad(ScriptedProvider):
    """Its loads fail with `connect` as often as it is told to."""

    def __init__(self, failures: int) -> None:
        super().__init__("small", SCRIPTED, ["hi"], per_session=False)
        self.failures = failures

    async def load(self) -> None:
        self.loads += 1
        # A pause, so that several callers can wait for one load.
        await asyncio.sleep(0.01)
        if self.loads <= self.failures:
            raise ProviderFault("connect", "refused", again=True, transport=True)


def test_a_failed_load_is_retried_like_a_failed_call() -> None:
    """By the same loop, with its backoff."""
    provider = BrokenLoad(2)
    time = HeldTime()
    chat = ChatService({"small": provider}, {"small": SCRIPTED}, clock=time, sleep=time.sleep)
    assert run_steadily(ask(chat)).text == "hi"
    assert provider.loads == 3
    assert len(time.slept_s) == 2


def test_loads_that_fail_open_the_breaker() -> None:
    """A server that cannot be reached to load is not asked for ever."""
    provider = BrokenLoad(100)
    time = HeldTime()
    chat = ChatService({"small": provider}, {"small": SCRIPTED}, clock=time, sleep=time.sleep)

    async def run() -> InfraError:
        for _ in range(4):
            with pytest.raises(InfraError) as raised:
                await ask(chat)
        return raised.value

    fault = run_steadily(run())
    assert fault.code == "connect"
    assert "could not be reached several times" in fault.public
    assert provider.loads == BREAKER_FAILURES_MAX
    assert provider.requests == []


def test_one_failed_load_counts_once_however_many_wait_for_it() -> None:
    """Ten waiting callers do not open the breaker over one failure."""
    provider = BrokenLoad(1)
    chat = service_of(provider)

    async def run() -> list[str]:
        calls = [ask(chat, CallLimits(deadline_ms=120, load_budget_ms=1_000)) for _ in range(10)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert any(isinstance(outcome, InfraError) for outcome in outcomes)
        return [(await ask(chat)).text]

    assert BREAKER_FAILURES_MAX < 10
    assert run_steadily(run()) == ["hi"]


def test_a_preload_that_fails_is_logged_and_begun_again_by_the_first_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A daemon that starts before its model server still serves."""
    provider = BrokenLoad(1)
    chat = service_of(provider, PRELOADED)

    async def run() -> str:
        await chat.start()
        while provider.loads == 0 or (await chat.models())[0].state == "loading":
            await asyncio.sleep(0.005)
        return (await ask(chat)).text

    assert run_steadily(run()) == "hi"
    assert provider.loads == 2
    assert [
        "'small' could not be loaded: connect: refused" in text for text in caplog.messages
    ] == [True]
