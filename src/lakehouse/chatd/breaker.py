"""Decides when to stop calling a model's failing endpoint, and when to try it again.

Counts only transport faults; an answer with any status closes the breaker. It has no clock: the
caller passes the time to each method.
"""

from lakehouse.core.limits import BREAKER_FAILURES_MAX, BREAKER_OPEN_MS


class Breaker:
    """Closed until `BREAKER_FAILURES_MAX` failures in a row, then open for `BREAKER_OPEN_MS`.

    After that one call goes through as a probe: its success closes the breaker, its failure opens
    it for another period, and all other calls are refused while it runs.
    """

    def __init__(self) -> None:
        self.failures = 0
        self._opened_ms: float | None = None
        self._probing = False

    @property
    def closed(self) -> bool:
        """Whether calls need no check."""
        return self._opened_ms is None

    def refusal_ms(self, now_ms: float) -> float | None:
        """Return how long calls are still refused; None if a call may go now.

        Zero while a probe runs: its end is not known.
        """
        if self._opened_ms is None:
            return None
        left_ms = self._opened_ms + BREAKER_OPEN_MS - now_ms
        if left_ms > 0:
            return left_ms
        return 0.0 if self._probing else None

    def enter(self) -> None:
        """Start a call that `refusal_ms` allowed; one of the three methods below must follow."""
        self._probing = self._opened_ms is not None

    def succeeded(self) -> None:
        """Record that the endpoint answered."""
        self.failures = 0
        self._opened_ms = None
        self._probing = False

    def failed(self, now_ms: float) -> None:
        """Record that the endpoint was unreachable or cut the connection."""
        self.failures += 1
        self._probing = False
        if self.failures >= BREAKER_FAILURES_MAX:
            self._opened_ms = now_ms

    def abandoned(self) -> None:
        """Record a call that ended without a result, for example because it was cancelled."""
        self._probing = False
