"""The embedded model, loaded for one test."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from lakehouse.core.chat import ChatReply, Offer
from lakehouse.providers.llama_cpp import LlamaCppProvider, LlamaCppSettings
from lakehouse.providers.weights import SMOLLM2
from support.chat import question
from support.weights import pulled_weights

SETTINGS = LlamaCppSettings(model=SMOLLM2)
SCHEMA = b"""{"type": "object", "additionalProperties": false, "required": ["iata", "delay"],
"properties": {"iata": {"type": "string", "maxLength": 3}, "delay": {"enum": [10, 20]}}}"""


def with_model(
    work: Callable[[LlamaCppProvider], Awaitable[None]], *, slots: int = 1, **settings: object
) -> None:
    """Run `work` on a loaded model and close it."""
    pulled_weights()

    async def run() -> None:
        provider = LlamaCppProvider(
            "small", msgspec.structs.replace(SETTINGS, slots=slots, **settings)
        )
        try:
            await provider.load()
            await work(provider)
        finally:
            await provider.close()

    asyncio.run(run())


async def ask(
    provider: LlamaCppProvider,
    text: str,
    *,
    schema: bytes | None = None,
    max_tokens: int | None = 16,
    deadline_ms: int = 60_000,
    offer: Offer | None = None,
) -> ChatReply:
    request = msgspec.structs.replace(
        question(text, schema=schema), max_tokens=max_tokens, temperature=0.0, seed=1, offer=offer
    )
    return await provider.complete(request, trace={}, deadline_ms=deadline_ms)
