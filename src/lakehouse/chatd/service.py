"""The `ChatModel` port over the providers of this process: the only place that retries.

Maps aliases to providers and has the only retry loop of the stack; `lane.py` makes one attempt. It
does not judge answers: a refusal, a cut-off or an empty answer is a reply.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Container, Mapping

import msgspec

from lakehouse.chatd.lane import CallTime, Lane, Slots, SlotsOf, backoff_ms
from lakehouse.core.chat import CallLimits, ChatReply, ChatRequest, ModelState, ModelStatus
from lakehouse.core.clock import Clock, SystemClock
from lakehouse.core.closing import close_all
from lakehouse.core.context import CallContext
from lakehouse.core.errors import InfraError, LakehouseError, Refusal
from lakehouse.core.limits import ATTEMPT_MS_MIN, RETRIES_MAX, RETRY_WAIT_MS_MAX, STATE_MS_MAX
from lakehouse.providers.provider import ModelSettings, Provider, ProviderFault

_LOG = logging.getLogger(__name__)


class ChatService:
    """Models by alias, in this process.

    Retries of a call and its waits for slots and cooldowns count against its deadline; its wait
    for a load counts against its load budget. Cost on top of the provider's: about 3 µs per call.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        settings: Mapping[str, ModelSettings],
        *,
        clock: Clock | None = None,
        propagate: bool = True,
        rng: random.Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        kept: Mapping[str, Lane] = {},
        slots_of: SlotsOf = Slots.of,
    ) -> None:
        """Take ownership of the providers: `close` closes them.

        Args:
            providers: By alias; those of kept lanes are not needed.
            settings: By alias, of all models.
            clock: Measures deadlines.
            propagate: Whether trace headers are sent to providers.
            rng: Source of the jitter.
            sleep: Waits a number of seconds.
            kept: Lanes of an earlier service, by alias: what is loaded stays, calls under way
                keep their slots, and a breaker that is open stays open.
            slots_of: Makes the slots of a model; by default this process's own.
        """
        self._clock = clock or SystemClock()
        self._propagate = propagate
        self._rng = rng or random.Random()
        self._sleep = sleep
        self._closed = False
        self._lanes = {
            name: kept.get(name)
            or Lane(
                *(name, providers[name], each, self._clock, sleep),
                slots=slots_of(name, each.call_slots()),
            )
            for name, each in settings.items()
        }

    @property
    def lanes(self) -> Mapping[str, Lane]:
        """The queues of its models, by alias."""
        return self._lanes

    def waiting(self) -> dict[str, int]:
        """The number of calls waiting for a slot, by model."""
        return {name: lane.waiting for name, lane in self._lanes.items()}

    async def start(self) -> None:
        """Start to load the models with `preload`; does not wait for them.

        A failed load is logged; the first call starts it again.
        """
        for name, lane in self._lanes.items():
            if lane.settings.preload and not lane.load.loaded:
                lane.load.start().add_done_callback(_log_failure(name))

    async def chat(
        self, request: ChatRequest, *, context: CallContext, limits: CallLimits
    ) -> ChatReply:
        """Call a model once; the `ChatModel` port documents the guarantees.

        Raises:
            InfraError: There was no answer.
            Refusal: `unknown_model`.
        """
        lane = self._lanes.get(request.model)
        if lane is None or self._closed:
            raise self._refusal(request.model)
        now_ms = self._clock.monotonic_ms()
        call = CallTime(
            limits.deadline_ms, limits.load_budget_ms, end_ms=now_ms + limits.deadline_ms
        )
        lane.retries.count_call(now_ms)
        trace = context.trace_headers() if self._propagate else {}
        retries = 0
        while True:
            try:
                reply = await lane.ask(request, trace, call, now_ms)
                break
            except ProviderFault as fault:
                delay_ms = self._retry_delay_ms(fault, retries, lane, call)
                if delay_ms is None:
                    raise
                retries += 1
                _LOG.info(
                    "model %r is called again in %.0f ms, retry %d of %d, after %s",
                    request.model,
                    delay_ms,
                    retries,
                    RETRIES_MAX,
                    fault.told,
                )
            await self._sleep(delay_ms / 1000)
            now_ms = self._clock.monotonic_ms()
        load_ms = int(call.load_ms)
        if load_ms == 0:
            return reply
        return msgspec.structs.replace(reply, load_ms=reply.load_ms + load_ms)

    async def models(self) -> tuple[ModelStatus, ...]:
        """Return every model's state within 2 s; asks all providers at once."""
        return tuple(
            await asyncio.gather(*(_status(name, lane) for name, lane in self._lanes.items()))
        )

    async def close(self, *, but: Container[Lane] = ()) -> None:
        """Cancel running loads and close the providers. Later calls fail with `shutdown`.

        `but`: the lanes that another service has taken over.
        """
        self._closed = True
        await asyncio.gather(
            *(
                close_all(
                    {
                        f"the load of model {name!r}": lane.load.close,
                        f"the provider of model {name!r}": lane.provider.close,
                    }
                )
                for name, lane in self._lanes.items()
                if lane not in but
            )
        )

    def _refusal(self, name: str) -> LakehouseError:
        if name in self._lanes:
            return InfraError("shutdown", "The daemon is stopping; the model was not called.")
        known = ", ".join(repr(known) for known in sorted(self._lanes)) or "none"
        return Refusal(
            "unknown_model",
            f"model is {name!r}; configured models: {known}.",
            hint="Name one of them, or add [models.NAME] to lakehouse.toml.",
        )

    def _retry_delay_ms(
        self, fault: ProviderFault, retries: int, lane: Lane, call: CallTime
    ) -> float | None:
        """Return how long to wait before the next attempt; None if the call is not retried."""
        if not fault.again or retries >= RETRIES_MAX:
            return None
        if (fault.retry_after_s or 0.0) * 1000 > RETRY_WAIT_MS_MAX:
            return None  # longer than we wait: the caller gets the time and may wait
        delay_ms = backoff_ms(retries, fault.retry_after_s, self._rng)
        now_ms = self._clock.monotonic_ms()
        if delay_ms > call.end_ms - now_ms - ATTEMPT_MS_MIN:
            return None
        return delay_ms if lane.retries.take(now_ms) else None


async def _status(name: str, lane: Lane) -> ModelStatus:
    state: ModelState = "loading"
    detail: str | None = None
    if not lane.load.loading:
        try:
            async with asyncio.timeout(STATE_MS_MAX / 1000):
                state, detail = await lane.provider.state()
        except TimeoutError:
            state, detail = "unreachable", f"did not report its state within {STATE_MS_MAX} ms"
    told = "; ".join(filter(None, (lane.suspension(), detail))) or None
    return ModelStatus(name, lane.settings.model, lane.settings.provider, state, told)


def _log_failure(name: str) -> Callable[[asyncio.Task[None]], None]:
    def log(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            told = error.told if isinstance(error, InfraError) else error
            _LOG.warning("model %r could not be loaded: %s", name, told)

    return log
