"""How often and how soon a failed model call may be tried again.

The numbers of the only retry loop in the stack, which is in `service.py`. Retries are bounded per
call and, against retry storms, per minute: while everything fails, an endpoint sees at most a
tenth more calls than were offered.
"""

import random

from lakehouse.core.limits import (
    RETRY_BACKOFF_MS_MAX,
    RETRY_BACKOFF_MS_MIN,
    RETRY_BUDGET_MIN,
    RETRY_BUDGET_SHARE,
)

_WINDOW_S = 60


class RetryBudget:
    """Counts the calls and retries of the last minute, in buckets of one second.

    Cost: constant, apart from clearing the buckets that time has passed over.
    """

    def __init__(self) -> None:
        self._calls = [0] * _WINDOW_S
        self._retries = [0] * _WINDOW_S
        self._calls_sum = 0
        self._retries_sum = 0
        self._second = 0

    def count_call(self, now_ms: float) -> None:
        """Count one call that was offered, whether it will be retried or not."""
        if now_ms // 1000 > self._second:
            self._advance(now_ms)
        self._calls[self._second % _WINDOW_S] += 1
        self._calls_sum += 1

    def take(self, now_ms: float) -> bool:
        """Take one retry out of the budget; says False and takes nothing when it is used up."""
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
    """Choose the wait before the next attempt, in milliseconds.

    Full jitter under a ceiling that doubles from one second to eight; or, where the provider said
    how long to wait, that and up to half a second more, so that all who were told the same do not
    return at once.

    Args:
        retries: Retries of this call so far.
        retry_after_s: What the provider asked for.
        rng: Source of the jitter.
    """
    if retry_after_s is not None:
        return max(0.0, retry_after_s) * 1000 + rng.uniform(0, RETRY_BACKOFF_MS_MIN)
    return rng.uniform(0, min(RETRY_BACKOFF_MS_MAX, RETRY_BACKOFF_MS_MIN << (retries + 1)))
