"""Chooses the sampling of the next attempt: changed only if the same sampling cannot help.

A model that repeats a rejected answer would go on doing so: after the first repetition the
temperature is raised and the seed changed; after the next the session stops. If the token limit
cut the answer off, the limit is raised.
"""

from typing import Final

import msgspec

from lakehouse.core.chat import ChatReply, Sampling

TEMPERATURE_CHANGED: Final = 0.8  # high enough to leave a repeated answer, low enough for JSON
TEMPERATURE_STEP: Final = 0.3  # added to a caller's own temperature above that
TOKENS_ASSUMED: Final = 512  # the assumed limit of a provider if none is set
TOKENS_GROWN_MAX: Final = 8_192


def later_sampling(sampling: Sampling, reply: ChatReply, *, repeated: bool) -> Sampling:
    """Return the sampling to use after a rejected answer."""
    if repeated:
        hotter = (sampling.temperature or 0.0) + TEMPERATURE_STEP
        sampling = msgspec.structs.replace(
            sampling,
            temperature=min(max(TEMPERATURE_CHANGED, hotter), 2.0),
            seed=None if sampling.seed is None else sampling.seed + 1,
        )
    if reply.finish_reason == "length":
        limit = sampling.max_tokens or reply.usage.completion_tokens or TOKENS_ASSUMED
        grown = max(limit, min(limit * 2, TOKENS_GROWN_MAX))
        sampling = msgspec.structs.replace(sampling, max_tokens=grown)
    return sampling
