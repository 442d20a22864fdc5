"""CPU of what stands between a call and its model: ours, and libraries that do parts of it.

Usage: python benchmarks/bench_model_call.py [--output benchmarks/runs]

The libraries are no dependencies of ours: install tenacity, stamina, purgatory and pybreaker
beside. The model answers at once, so that nothing is retried and no breaker opens: this is what
every call pays. The ways take turns; a figure is the median of its turns, less the bare call.
"""

import argparse
import asyncio
import importlib
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lakehouse.chatd.service import ChatService
from lakehouse.core.chat import CallLimits, ChatReply, ChatRequest, Message, ModelState, Usage
from lakehouse.core.context import call_context
from lakehouse.providers.provider import ProviderFault
from lakehouse.providers.scripted import ScriptedSettings
from rig import heading, write_result

TURNS, TIMES = 15, 5_000
LIMITS = CallLimits(deadline_ms=120_000, load_budget_ms=180_000)
QUESTION = ChatRequest("small", (Message("user", "hello"),))
LIBRARIES = ("tenacity", "stamina", "purgatory", "pybreaker")
BARE = "the bare call"


class Instant:
    """A provider that answers at once."""

    reply = ChatReply("hi", None, "stop", Usage(), "m", "scripted")

    async def complete(
        self, request: ChatRequest, *, trace: Mapping[str, str], deadline_ms: int
    ) -> ChatReply:
        """Answer."""
        del request, trace, deadline_ms
        return self.reply

    async def load(self) -> None:
        """Be loaded."""

    async def state(self) -> tuple[ModelState, str | None]:
        """Be ready."""
        return "ready", None

    async def close(self) -> None:
        """Hold nothing."""


async def ways() -> dict[str, Callable[[], Awaitable[Any]]]:
    """Give every way to make the call, the bare one first."""
    tenacity, stamina, purgatory, pybreaker = map(importlib.import_module, LIBRARIES)
    provider = Instant()
    chat = ChatService({"small": provider}, {"small": ScriptedSettings(model="m")})
    context = call_context((), ())

    async def bare() -> ChatReply:
        return await provider.complete(QUESTION, trace={}, deadline_ms=120_000)

    retrying = tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(3) | tenacity.stop_after_delay(120),
        wait=tenacity.wait_random_exponential(1, 8),
        retry=tenacity.retry_if_exception_type(ProviderFault),
        reraise=True,
    )
    caller = stamina.AsyncRetryingCaller(attempts=3, timeout=120.0).on(ProviderFault)
    circuits = purgatory.AsyncCircuitBreakerFactory(default_threshold=5, default_ttl=10)
    fused = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=10)

    async def with_purgatory() -> ChatReply:
        async with await circuits.get_breaker("small"):
            return await bare()

    async def with_pybreaker() -> ChatReply:
        with fused.calling():
            return await bare()

    return {
        BARE: bare,
        "ChatService: ids, deadline, load, slots, cooldown, breaker, retries": lambda: chat.chat(
            QUESTION, context=context, limits=LIMITS
        ),
        "tenacity: retries": lambda: retrying(bare),
        "stamina: retries": lambda: caller(bare),
        "purgatory: breaker": with_purgatory,
        "pybreaker: breaker": with_pybreaker,
    }


async def measure() -> dict[str, float]:
    """Give the median microseconds of CPU of each way."""
    every = await ways()
    found: dict[str, list[float]] = {name: [] for name in every}
    for _ in range(TURNS):
        for name, way in every.items():
            started_s = time.process_time()
            for _ in range(TIMES):
                await way()
            found[name].append((time.process_time() - started_s) / TIMES * 1e6)
    return {name: statistics.median(each) for name, each in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "runs")
    options = parser.parse_args()
    found = asyncio.run(measure())
    bare_us = found.pop(BARE)
    lines = heading("A model call", "python benchmarks/bench_model_call.py", "memory only")
    lines += [", ".join(f"{name} {version(name)}" for name in LIBRARIES) + ".", ""]
    lines += [f"µs of CPU over the bare call, which takes {bare_us:.2f}:", ""]
    lines += ["| what | µs |", "| --- | --- |"]
    lines += [f"| {name} | {us - bare_us:.2f} |" for name, us in found.items()]
    write_result(options.output, "model-call", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
