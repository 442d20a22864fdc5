"""The queue of one model: its loading, slots, breaker and cooldown.

One attempt runs through here from start to end. Retries are in `service.py`.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from lakehouse.chatd.breaker import Breaker
from lakehouse.chatd.loading import ModelLoad
from lakehouse.core.call_slots import CallSlots
from lakehouse.core.chat import ChatReply, ChatRequest
from lakehouse.core.clock import Clock
from lakehouse.core.limits import (
    ATTEMPT_MS_MIN,
    BREAKER_FAILURES_MAX,
    BREAKER_OPEN_MS,
    COOLDOWN_MS_MAX,
    RETRY_BACKOFF_MS_MAX,
    RETRY_BACKOFF_MS_MIN,
    RETRY_BUDGET_MIN,
    RETRY_BUDGET_SHARE,
    SLOT_QUEUE_MAX,
    SLOT_WAIT_MS_MAX,
)
from lakehouse.providers.provider import ModelSettings, Provider, ProviderFault

_LOG = logging.getLogger(__name__)
_WINDOW_S: Final = 60  # the period of the retry budget


class CallTime(msgspec.Struct):
    """One call's time, in monotonic milliseconds. `end_ms` is extended while the model loads."""

    deadline_ms: int
    load_budget_ms: int
    end_ms: float
    load_ms: float = 0.0
    reloaded: bool = False


SlotsOf = Callable[[str, int], CallSlots]
"""Makes the slots of a model, by alias and number."""


class Lane:
    """The queue of one model. `retries` is the retry budget of its calls."""

    def __init__(
        self,
        name: str,
        provider: Provider,
        settings: ModelSettings,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
        *,
        slots: CallSlots,
    ) -> None:
        self.provider = provider
        self.settings = settings
        self.load = ModelLoad(provider, self._load_failed)
        self.retries = RetryBudget()
        self._name = name
        self._clock = clock
        self._sleep = sleep
        self._breaker = Breaker()
        self._slots = slots
        self.waiting = 0  # calls waiting for a slot
        self._cooldown_end_ms = 0.0

    async def ask(
        self, request: ChatRequest, trace: Mapping[str, str], call: CallTime, now_ms: float
    ) -> ChatReply:
        """Make one attempt, starting at `now_ms`.

        If the server has unloaded the model in the meantime, it is loaded again, once per call.

        Raises:
            InfraError: There was no answer.
        """
        while True:
            left_ms = call.end_ms - now_ms
            # The fast path: nothing to wait for, so `now_ms` is still right, and a breaker without
            # failures need not record the call. Every other case goes through `_admit`.
            if not (
                self.load.loaded
                and self._breaker.failures == 0
                and self._cooldown_end_ms == 0
                and left_ms >= ATTEMPT_MS_MIN
                and self._slots.take()
            ):
                left_ms = await self._admit(call)
            try:
                reply = await self.provider.complete(request, trace=trace, deadline_ms=int(left_ms))
            except ProviderFault as fault:
                self._note(fault)
                if fault.code != "model_loading" or call.reloaded:
                    raise
                call.reloaded = True
                self.load.forget()
            except BaseException:
                self._breaker.abandoned()
                raise
            else:
                if self._breaker.failures:
                    self._answered()
                return reply
            finally:
                self._slots.give_back()

    async def _admit(self, call: CallTime) -> float:
        """Check the breaker, wait for load, cooldown and a slot; returns the milliseconds left."""
        await self._wait_loaded(call)
        self._check_breaker()
        await self._cool_down(call)
        await self._take_slot(call)
        try:
            # Both may have changed while the call waited.
            await self._cool_down(call)
            self._check_breaker()
            left_ms = call.end_ms - self._clock.monotonic_ms()
            if left_ms < ATTEMPT_MS_MIN:
                raise ProviderFault(
                    "timeout",
                    f"Less than {ATTEMPT_MS_MIN} ms of the deadline of {call.deadline_ms} ms "
                    f"were left to call model {self._name!r}.",
                    again=False,
                    hint="Raise deadline_ms, or raise `slots` if calls wait for a slot.",
                )
        except BaseException:
            self._slots.give_back()
            raise
        self._breaker.enter()
        return left_ms

    async def _wait_loaded(self, call: CallTime) -> None:
        if self.load.loaded:
            return
        self._check_breaker()
        started_ms = self._clock.monotonic_ms()
        try:
            loaded = await self.load.wait(call.load_budget_ms - call.load_ms)
        finally:
            waited_ms = self._clock.monotonic_ms() - started_ms
            call.load_ms += waited_ms
            call.end_ms += waited_ms
        if not loaded:
            raise ProviderFault(
                "model_loading",
                f"Model {self._name!r} was still loading when the load budget of "
                f"{call.load_budget_ms} ms ended.",
                again=False,
                hint="Loading continues: retry shortly, or raise session.load_budget_ms.",
            )

    def _note(self, fault: ProviderFault) -> None:
        """Apply a failed call's consequences for later calls."""
        now_ms = self._clock.monotonic_ms()
        if fault.transport:
            self._unreachable(now_ms)
            # The server may have restarted, and then has to load the model again.
            self.load.forget()
            return
        self._answered()
        if fault.code == "overloaded" and fault.again:
            asked_ms = (fault.retry_after_s or 0.0) * 1000
            # Limited: one absurd header must not block a model for good.
            pause_ms = min(max(asked_ms, RETRY_BACKOFF_MS_MIN), COOLDOWN_MS_MAX)
            self._cooldown_end_ms = max(self._cooldown_end_ms, now_ms + pause_ms)

    def _load_failed(self, fault: ProviderFault) -> None:
        if fault.transport:
            self._unreachable(self._clock.monotonic_ms())

    def _answered(self) -> None:
        if not self._breaker.closed:
            _LOG.info("model %r answers again", self._name)
        self._breaker.succeeded()

    def _unreachable(self, now_ms: float) -> None:
        was_closed = self._breaker.closed
        self._breaker.failed(now_ms)
        if was_closed and not self._breaker.closed:
            _LOG.warning(
                "model %r could not be reached %d times in a row; no calls for %d s, then one "
                "call tests whether it is back",
                self._name,
                BREAKER_FAILURES_MAX,
                BREAKER_OPEN_MS // 1000,
            )

    def suspension(self) -> str | None:
        """Say for how long the breaker keeps calls away; None if it does not."""
        refused_ms = self._breaker.refusal_ms(self._clock.monotonic_ms())
        if refused_ms is None:
            return None
        until = f"for {refused_ms / 1000:.0f} s more" if refused_ms else "while one call tests it"
        return f"not called {until}: {self._breaker.failures} calls in a row did not reach it"

    def _check_breaker(self) -> None:
        if self._breaker.closed:
            return
        refused_ms = self._breaker.refusal_ms(self._clock.monotonic_ms())
        if refused_ms is not None:
            raise ProviderFault(
                "connect",
                f"Model {self._name!r} could not be reached several times in a row; it is not "
                f"called for the next {refused_ms / 1000:.1f} s.",
                again=False,
                hint="Restore the model's endpoint; the daemon's log says why calls were "
                "suspended.",
                retry_after_s=max(refused_ms / 1000, 1.0),
            )

    async def _take_slot(self, call: CallTime) -> None:
        if self._slots.take():
            return
        wait_ms = min(float(SLOT_WAIT_MS_MAX), call.end_ms - self._clock.monotonic_ms())
        if self.waiting >= SLOT_QUEUE_MAX:
            wait_ms = 0.0
        self.waiting += 1
        try:
            async with asyncio.timeout(wait_ms / 1000):
                await self._slots.wait()
        except TimeoutError:
            raise ProviderFault(
                "overloaded",
                f"All {self.settings.call_slots()} slots of model {self._name!r} were busy for "
                f"{wait_ms:.0f} ms, with {self.waiting - 1} other calls waiting.",
                again=False,
                hint="Send fewer requests at once, or raise `slots` of the model.",
            ) from None
        finally:
            self.waiting -= 1

    async def _cool_down(self, call: CallTime) -> None:
        """Wait as long as an overloaded endpoint asked; fail at once if the time is too short."""
        while self._cooldown_end_ms:
            now_ms = self._clock.monotonic_ms()
            rest_ms = self._cooldown_end_ms - now_ms
            if rest_ms <= 0:
                self._cooldown_end_ms = 0.0
            elif rest_ms > min(float(SLOT_WAIT_MS_MAX), call.end_ms - now_ms - ATTEMPT_MS_MIN):
                raise ProviderFault(
                    "overloaded",
                    f"The endpoint of model {self._name!r} asked for no more calls for another "
                    f"{rest_ms / 1000:.1f} s.",
                    again=False,
                    hint="Wait that long, and send fewer requests at once.",
                    retry_after_s=rest_ms / 1000,
                )
            else:
                await self._sleep(rest_ms / 1000)


class Slots(CallSlots):
    """The slots of one process."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._free = count

    @classmethod
    def of(cls, model: str, count: int) -> "Slots":  # noqa: ARG003  a `SlotsOf`
        """Make the slots of a model."""
        return cls(count)

    def take(self) -> bool:
        """Take a slot, if one is free."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    def give_back(self) -> None:
        """Give a slot back, to the one who has waited longest."""
        if not (self._turns and self._give_turn()):
            self._free += 1


class RetryBudget:
    """Limits a model's retries, against retry storms.

    While everything fails, an endpoint gets at most a tenth more calls than were made. Counts the
    calls and retries of the last minute, in buckets of one second.

    Cost: constant, apart from clearing expired buckets.
    """

    def __init__(self) -> None:
        self._calls = [0] * _WINDOW_S
        self._retries = [0] * _WINDOW_S
        self._calls_sum = 0
        self._retries_sum = 0
        self._second = 0

    def count_call(self, now_ms: float) -> None:
        """Count one call, whether it will be retried or not."""
        if now_ms // 1000 > self._second:
            self._advance(now_ms)
        self._calls[self._second % _WINDOW_S] += 1
        self._calls_sum += 1

    def take(self, now_ms: float) -> bool:
        """Take one retry out of the budget; returns False and takes nothing if it is used up."""
        self._advance(now_ms)
        if self._retries_sum + 1 > max(RETRY_BUDGET_MIN, RETRY_BUDGET_SHARE * self._calls_sum):
            return False
        self._retries[self._second % _WINDOW_S] += 1
        self._retries_sum += 1
        return True

    def _advance(self, now_ms: float) -> None:
        second = int(now_ms // 1000)
        for passed in range(max(self._second + 1, second - _WINDOW_S + 1), second + 1):
            bucket = passed % _WINDOW_S
            self._calls_sum -= self._calls[bucket]
            self._retries_sum -= self._retries[bucket]
            self._calls[bucket] = self._retries[bucket] = 0
        self._second = max(self._second, second)


def backoff_ms(retries: int, retry_after_s: float | None, rng: random.Random) -> float:
    """Return the wait before the next attempt, in milliseconds.

    Full jitter under a ceiling that doubles from one second to eight; or, if the provider sent a
    wait, that plus up to half a second, so that calls with the same wait do not all return at
    once.

    Args:
        retries: Retries of this call so far.
        retry_after_s: The wait that the provider asked for.
        rng: Source of the jitter.
    """
    if retry_after_s is not None:
        return max(0.0, retry_after_s) * 1000 + rng.uniform(0, RETRY_BACKOFF_MS_MIN)
    return rng.uniform(0, min(RETRY_BACKOFF_MS_MAX, RETRY_BACKOFF_MS_MIN << (retries + 1)))
