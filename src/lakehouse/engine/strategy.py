"""How the next attempt is asked: unchanged as a rule, otherwise when that cannot help.

A model that repeats a rejected answer would go on doing so: after the first repetition it is
asked hotter and with another seed; after the next the session stops. An answer cut off by its
token limit gets a larger one.
"""

from typing import Final

import msgspec

from lakehouse.core.chat import ChatReply
from lakehouse.engine.task import SessionTask

TEMPERATURE_CHANGED: Final = 0.8  # hot enough to leave a repeated answer, cold enough for JSON
TEMPERATURE_STEP: Final = 0.3  # on top of a caller's own temperature above that
TOKENS_ASSUMED: Final = 512  # the limit a provider is taken to have where nobody says
TOKENS_GROWN_MAX: Final = 8_192


class Strategy(msgspec.Struct, frozen=True):
    """The sampling of the next attempt. `changed` after the model repeated itself once."""

    temperature: float | None
    max_tokens: int | None
    seed: int | None
    changed: bool = False

    def after(self, reply: ChatReply, *, repeated: bool) -> "Strategy":
        """Give the sampling to use after a rejected answer."""
        following = self.after_repetition() if repeated else self
        if reply.finish_reason == "length":
            following = following.after_truncation(reply.usage.completion_tokens)
        return following

    def after_repetition(self) -> "Strategy":
        """Change what makes a model repeat itself: temperature and seed."""
        hotter = (self.temperature or 0.0) + TEMPERATURE_STEP
        return msgspec.structs.replace(
            self,
            temperature=min(max(TEMPERATURE_CHANGED, hotter), 2.0),
            seed=None if self.seed is None else self.seed + 1,
            changed=True,
        )

    def after_truncation(self, completion_tokens: int | None) -> "Strategy":
        """Double the token limit that cut the answer off, up to a bound."""
        limit = self.max_tokens or completion_tokens or TOKENS_ASSUMED
        grown = max(limit, min(limit * 2, TOKENS_GROWN_MAX))
        return msgspec.structs.replace(self, max_tokens=grown)


def first_strategy(task: SessionTask) -> Strategy:
    """Start from what is set: by the request, the kind or the model."""
    sampling = task.sampling
    return Strategy(sampling.temperature, sampling.max_tokens, sampling.seed)
