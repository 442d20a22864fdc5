"""What tests of model calls need: a held clock whose sleeps are instant, and requests."""

import msgspec

from lakehouse.core.chat import CallLimits, ChatRequest, Message
from lakehouse.core.clock import FixedClock
from lakehouse.core.context import CallContext, call_context
from lakehouse.core.json_text import NULL
from lakehouse.providers.scripted import ScriptedProvider, ScriptedSettings, Step

LIMITS = CallLimits(deadline_ms=120_000, load_budget_ms=180_000)
SCRIPTED = ScriptedSettings(model="script-1")


class HeldTime(FixedClock):
    """A clock that only its own `sleep` moves on; `slept_s` records every sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.slept_s: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.advance_ms(seconds * 1000)


def question(
    text: str = "hello", *, model: str = "small", schema: bytes | None = None
) -> ChatRequest:
    return ChatRequest(
        model=model,
        messages=(Message("user", text),),
        schema=NULL if schema is None else msgspec.Raw(schema),
    )


def context() -> CallContext:
    return call_context([], [])


def scripted(*steps: str | Step) -> ScriptedProvider:
    """All calls share one way through the steps."""
    return ScriptedProvider("small", SCRIPTED, steps, per_session=False)
