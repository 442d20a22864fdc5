"""The retry loop, the slots, the breaker and the deadline, through the port."""

import asyncio
import random
from collections.abc import Mapping

import msgspec
import pytest

from lakehouse.chatd.service import ChatService
from lakehouse.core.chat import CallLimits, ChatReply, ChatRequest
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.limits import BREAKER_FAILURES_MAX, BREAKER_OPEN_MS, RETRIES_MAX
from lakehouse.providers.provider import ModelSettings, Provider, ProviderFault
from lakehouse.providers.scripted import Step
from support.chat import LIMITS, SCRIPTED, HeldTime, context, question, scripted
from support.steady_loop import run_steadily

SHORT = CallLimits(deadline_ms=300, load_budget_ms=180_000)


def service(
    provider: Provider, *, time: HeldTime | None = None, settings: ModelSettings = SCRIPTED
) -> ChatService:
    held = time or HeldTime()
    return ChatService(
        {"small": provider},
        {"small": settings},
        clock=held,
        rng=random.Random(1),
        sleep=held.sleep,
    )


def ask(chat: ChatService, limits: CallLimits = LIMITS) -> ChatReply:
    return asyncio.run(chat.chat(question(), context=context(), limits=limits))


def fault_of(chat: ChatService, limits: CallLimits = LIMITS) -> InfraError:
    with pytest.raises(InfraError) as raised:
        ask(chat, limits)
    return raised.value


def test_an_unknown_alias_is_refused_naming_the_known_ones() -> None:
    """Nothing is asked, and the message tells what could have been."""
    provider = scripted("x")
    with pytest.raises(Refusal) as raised:
        asyncio.run(service(provider).chat(question(model="big"), context=context(), limits=LIMITS))
    assert raised.value.code == "unknown_model"
    assert "'big'" in raised.value.public
    assert "'small'" in raised.value.public
    assert provider.requests == []


def test_a_transport_fault_is_retried_and_the_answer_given() -> None:
    """Twice at most; the waits lie between nothing and a second, then two."""
    time = HeldTime()
    provider = scripted(Step(error="connect"), Step(error="connect"), "hi")
    assert ask(service(provider, time=time)).text == "hi"
    assert len(provider.requests) == 3
    assert len(time.slept_s) == 2
    assert 0 < time.slept_s[0] <= 1
    assert 0 < time.slept_s[1] <= 2


def test_retries_end() -> None:
    """One call and its retries, then the fault itself."""
    provider = scripted(Step(error="upstream_status"))
    assert fault_of(service(provider)).code == "upstream_status"
    assert len(provider.requests) == 1 + RETRIES_MAX


@pytest.mark.parametrize("code", ["model_missing", "timeout", "upstream_malformed"])
def test_what_would_not_get_better_is_not_retried(code: str) -> None:
    """The provider says what may be tried again; the loop keeps to it."""
    time = HeldTime()
    provider = scripted(msgspec.convert({"error": code}, Step))
    assert fault_of(service(provider, time=time)).code == code
    assert len(provider.requests) == 1
    assert time.slept_s == []


def test_retry_after_is_honoured() -> None:
    """The wait is what the provider asked for, and at most half a second more."""
    time = HeldTime()
    provider = scripted(Step(error="overloaded", retry_after_s=7), "hi")
    assert ask(service(provider, time=time)).text == "hi"
    assert len(provider.requests) == 2
    assert 7 <= sum(time.slept_s) <= 7.5


def test_retry_after_beyond_the_deadline_fails_at_once_and_is_told() -> None:
    """Nobody waits for what cannot happen any more."""
    time = HeldTime()
    provider = scripted(Step(error="overloaded", retry_after_s=500), "hi")
    fault = fault_of(service(provider, time=time))
    assert (fault.code, fault.retry_after_s) == ("overloaded", 500)
    assert len(provider.requests) == 1
    assert time.slept_s == []


def test_no_attempt_starts_with_hardly_any_time_left() -> None:
    """A deadline under the minimum is a timeout before anything is asked."""
    provider = scripted("hi")
    fault = fault_of(service(provider), CallLimits(deadline_ms=99, load_budget_ms=1000))
    assert fault.code == "timeout"
    assert provider.requests == []


def test_a_call_that_is_not_made_gives_its_slot_back() -> None:
    """With a single slot the next call is asked."""
    provider = scripted("hi")
    chat = service(provider, settings=msgspec.structs.replace(SCRIPTED, slots=1))
    assert ask(chat).text == "hi"
    assert fault_of(chat, CallLimits(deadline_ms=99, load_budget_ms=1000)).code == "timeout"
    assert ask(chat).text == "hi"


def test_a_retry_that_would_miss_the_deadline_is_not_made() -> None:
    """The fault that happened is told, not the deadline that did not."""
    time = HeldTime()
    provider = scripted(Step(error="overloaded", retry_after_s=0.25), "hi")
    assert fault_of(service(provider, time=time), SHORT).code == "overloaded"
    assert len(provider.requests) == 1


def test_retries_cannot_storm() -> None:
    """While an endpoint fails for a minute it sees at most a tenth more calls, and three."""
    time = HeldTime()
    provider = scripted(Step(error="upstream_status"))
    chat = service(provider, time=time)

    async def run() -> None:
        for _ in range(200):
            with pytest.raises(InfraError):
                await chat.chat(question(), context=context(), limits=LIMITS)
            time.advance_ms(100)

    run_steadily(run())
    assert time.monotonic_ms() < 60_000
    assert 200 < len(provider.requests) <= 200 * 1.1 + 3


def test_the_breaker_opens_fails_fast_and_closes_after_a_probe() -> None:
    """Five transport faults in a row, ten seconds of nothing, one probe."""
    time = HeldTime()
    provider = scripted(*[Step(error="connect")] * BREAKER_FAILURES_MAX, "hi")
    chat = service(provider, time=time)
    while len(provider.requests) < BREAKER_FAILURES_MAX:
        assert fault_of(chat).code == "connect"
    refused = fault_of(chat)
    assert refused.code == "connect"
    assert refused.retry_after_s is not None
    assert len(provider.requests) == BREAKER_FAILURES_MAX
    told = "not called for 10 s more: 5 calls in a row did not reach it"
    assert asyncio.run(chat.models())[0].detail == told
    time.advance_ms(BREAKER_OPEN_MS)
    assert asyncio.run(chat.models())[0].detail is None
    assert ask(chat).text == "hi"
    assert ask(chat).text == "hi"


def test_an_answer_that_was_under_way_closes_the_breaker() -> None:
    """It began before the failures, and tells as much as a probe would."""
    time = HeldTime()
    failures = [Step(error="connect")] * BREAKER_FAILURES_MAX
    provider = scripted(Step(text="slow", delay_ms=100), *failures, "hi")
    chat = service(provider, time=time)

    async def run() -> list[str]:
        slow = asyncio.create_task(chat.chat(question(), context=context(), limits=LIMITS))
        while len(provider.requests) <= BREAKER_FAILURES_MAX:
            await asyncio.sleep(0)
            if provider.requests:
                with pytest.raises(InfraError):
                    await chat.chat(question(), context=context(), limits=LIMITS)
        with pytest.raises(InfraError) as raised:
            await chat.chat(question(), context=context(), limits=LIMITS)
        assert "could not be reached several times" in raised.value.public
        assert not slow.done()
        last = await slow, await chat.chat(question(), context=context(), limits=LIMITS)
        return [reply.text for reply in last]

    assert run_steadily(run()) == ["slow", "hi"]


def test_statuses_do_not_open_the_breaker() -> None:
    """An endpoint that answers, however badly, is there."""
    provider = scripted(*[Step(error="upstream_status")] * 12, "hi")
    chat = service(provider)
    while len(provider.requests) < 12:
        assert fault_of(chat).code == "upstream_status"
    assert ask(chat).text == "hi"


def test_a_cooldown_holds_other_calls_back_too() -> None:
    """After a 429 the next call waits for the rest of the pause before it asks."""
    time = HeldTime()
    provider = scripted(Step(error="overloaded", retry_after_s=20), "hi")
    chat = service(provider, time=time)
    assert fault_of(chat, CallLimits(deadline_ms=5_000, load_budget_ms=0)).retry_after_s == 20
    short = fault_of(chat, CallLimits(deadline_ms=5_000, load_budget_ms=0))
    assert (short.code, short.retry_after_s) == ("overloaded", 20)
    assert len(provider.requests) == 1
    assert ask(chat).text == "hi"
    assert time.slept_s == [20]


def test_a_cooldown_is_told_before_a_slot_is_waited_for() -> None:
    """With the only slot busy, a call that cannot outlast the pause fails at once."""
    time = HeldTime()
    slow = Step(text="slow", delay_ms=10_000)
    provider = scripted(slow, Step(error="overloaded", retry_after_s=20))
    chat = service(provider, time=time, settings=msgspec.structs.replace(SCRIPTED, slots=2))

    async def run() -> InfraError:
        held = [asyncio.create_task(chat.chat(question(), context=context(), limits=LIMITS))]
        while not provider.requests:
            await asyncio.sleep(0)
        with pytest.raises(InfraError):
            await chat.chat(question(), context=context(), limits=SHORT)
        # Both slots are taken now: waiting for one would take the whole deadline.
        assert chat._lanes["small"]._slots.take()
        with pytest.raises(InfraError) as raised:
            await asyncio.wait_for(chat.chat(question(), context=context(), limits=SHORT), 0.2)
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        return raised.value

    fault = run_steadily(run())
    assert (fault.code, fault.retry_after_s) == ("overloaded", 20)


def test_cancelled_calls_do_not_open_the_breaker() -> None:
    """A caller that goes away says nothing about the endpoint."""
    slow = [Step(text="slow", delay_ms=10_000)] * (BREAKER_FAILURES_MAX + 1)
    provider = scripted(*slow, "hi")
    chat = service(provider)

    async def run() -> str:
        for number in range(1, len(slow) + 1):
            call = asyncio.create_task(chat.chat(question(), context=context(), limits=LIMITS))
            while len(provider.requests) < number:
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        return (await chat.chat(question(), context=context(), limits=LIMITS)).text

    assert run_steadily(run()) == "hi"


def test_an_absurd_retry_after_does_not_take_the_model_out() -> None:
    """The pause imposed on others is bounded."""
    time = HeldTime()
    provider = scripted(Step(error="overloaded", retry_after_s=1e9), "hi")
    chat = service(provider, time=time)
    fault_of(chat)
    time.advance_ms(60_000)
    assert ask(chat).text == "hi"


def test_slots_bound_the_calls_at_once_and_waiting_is_bounded() -> None:
    """One slot, two calls: the second is overloaded when the first holds it too long."""
    provider = scripted(Step(text="slow", delay_ms=10_000))
    settings = msgspec.structs.replace(SCRIPTED, slots=1)
    chat = service(provider, settings=settings)

    async def run() -> InfraError:
        first = asyncio.create_task(chat.chat(question(), context=context(), limits=LIMITS))
        while not provider.requests:
            await asyncio.sleep(0)
        with pytest.raises(InfraError) as raised:
            await chat.chat(question(), context=context(), limits=SHORT)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        return raised.value

    fault = run_steadily(run())
    assert fault.code == "overloaded"
    assert "1 slots" in fault.public
    assert len(provider.requests) == 1


def test_a_cancelled_call_gives_its_slot_back() -> None:
    """Whether it was asking or waiting."""
    provider = scripted(Step(text="slow", delay_ms=10_000), "hi")
    chat = service(provider, settings=msgspec.structs.replace(SCRIPTED, slots=1))

    async def run() -> str:
        calls = [
            asyncio.create_task(chat.chat(question(), context=context(), limits=LIMITS))
            for _ in range(3)
        ]
        while not provider.requests:
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        return (await chat.chat(question(), context=context(), limits=LIMITS)).text

    assert run_steadily(run()) == "hi"
    assert len(provider.requests) == 2


def test_a_cancelled_probe_lets_another_one_go() -> None:
    """A probe that tells nothing must not leave the breaker waiting for it."""
    time = HeldTime()
    failures = [Step(error="connect")] * BREAKER_FAILURES_MAX
    provider = scripted(*failures, Step(text="slow", delay_ms=10_000), "hi")
    chat = service(provider, time=time)
    while len(provider.requests) < BREAKER_FAILURES_MAX:
        fault_of(chat)
    time.advance_ms(BREAKER_OPEN_MS)

    async def run() -> str:
        probe = asyncio.create_task(chat.chat(question(), context=context(), limits=LIMITS))
        while len(provider.requests) == BREAKER_FAILURES_MAX:
            await asyncio.sleep(0)
        with pytest.raises(InfraError) as raised:
            await chat.chat(question(), context=context(), limits=LIMITS)
        assert raised.value.code == "connect"
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        return (await chat.chat(question(), context=context(), limits=LIMITS)).text

    assert run_steadily(run()) == "hi"


@pytest.mark.parametrize("propagate", [True, False])
def test_the_span_of_the_call_goes_to_the_provider_unless_switched_off(propagate: bool) -> None:
    """The attempt's own span is the parent."""
    provider = scripted("hi")
    seen: list[Mapping[str, str]] = []
    inner = provider.complete

    async def complete(
        request: ChatRequest, *, trace: Mapping[str, str], deadline_ms: int
    ) -> ChatReply:
        seen.append(trace)
        return await inner(request, trace=trace, deadline_ms=deadline_ms)

    provider.complete = complete  # type: ignore[method-assign]
    chat = ChatService({"small": provider}, {"small": SCRIPTED}, propagate=propagate)
    here = msgspec.structs.replace(context(), tracestate="a=1")
    asyncio.run(chat.chat(question(), context=here, limits=LIMITS))
    assert seen == [{"traceparent": here.traceparent(), "tracestate": "a=1"} if propagate else {}]


def test_a_closed_service_says_shutdown() -> None:
    """Later calls end at once with the code that tells why."""
    provider = scripted("hi")
    chat = service(provider)

    async def run() -> None:
        await chat.close()
        with pytest.raises(InfraError) as raised:
            await chat.chat(question(), context=context(), limits=LIMITS)
        assert raised.value.code == "shutdown"

    run_steadily(run())
    assert provider.requests == []


def test_states_are_asked_all_at_once_and_a_silent_one_is_unreachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two providers that never answer cost one limit, not two."""
    monkeypatch.setattr("lakehouse.chatd.service.STATE_MS_MAX", 100)
    silent = [scripted("x"), scripted("x")]

    async def never() -> None:
        await asyncio.Event().wait()

    for provider in silent:
        provider.state = never  # type: ignore[method-assign,assignment]
    chat = ChatService(
        {"a": silent[0], "b": silent[1], "c": scripted("x")},
        dict.fromkeys("abc", SCRIPTED),
    )

    async def run() -> tuple[list[str], float]:
        started = asyncio.get_running_loop().time()
        states = await chat.models()
        return [f"{one.name} {one.state}" for one in states], (
            asyncio.get_running_loop().time() - started
        )

    states, seconds = run_steadily(run())
    assert states == ["a unreachable", "b unreachable", "c ready"]
    assert seconds < 0.19


def test_a_fault_keeps_its_kind() -> None:
    """The retry loop raises what the provider raised, unchanged."""
    fault = fault_of(service(scripted(Step(error="model_missing"))))
    assert isinstance(fault, ProviderFault)
    assert fault.retryable is False
