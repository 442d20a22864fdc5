"""Decides when to stop calling a model's endpoint that does not answer, and when to try again.

Counts only faults of the way to the model; an answer, whatever its status, closes the breaker.
It does not know the time: every method is told what the clock says.
"""

from lakehouse.core.limits import BREAKER_FAILURES_MAX, BREAKER_OPEN_MS


class Breaker:
    """Closed until `BREAKER_FAILURES_MAX` failures in a row, then open for `BREAKER_OPEN_MS`.

    After that one call goes through as a probe: its success closes the breaker, its failure opens
    it for another period, and while it is under way all other calls are refused.
    """

    def __init__(self) -> None:
        self.failures = 0
        self._opened_ms: float | None = None
        self._probing = False

    @property
    def closed(self) -> bool:
        """Whether calls go without any question."""
        return self._opened_ms is None

    def refusal_ms(self, now_ms: float) -> float | None:
        """Return how long calls are still refused; None when a call may go now.

        Zero while a probe is under way: nobody knows when it ends.
        """
        if self._opened_ms is None:
            return None
        left_ms = self._opened_ms + BREAKER_OPEN_MS - now_ms
        if left_ms > 0:
            return left_ms
        return 0.0 if self._probing else None

    def enter(self) -> None:
        """Begin a call that `refusal_ms` allowed; one of the three below must follow."""
        self._probing = self._opened_ms is not None

    def succeeded(self) -> None:
        """The endpoint answered."""
        self.failures = 0
        self._opened_ms = None
        self._probing = False

    def failed(self, now_ms: float) -> None:
        """The endpoint could not be reached, or broke off."""
        self.failures += 1
        self._probing = False
        if self.failures >= BREAKER_FAILURES_MAX:
            self._opened_ms = now_ms

    def abandoned(self) -> None:
        """The call ended without telling anything, such as by its caller's cancellation."""
        self._probing = False
