"""What a session may still take: its deadline, which stands still while a model loads."""

import asyncio
from collections.abc import Awaitable, Callable

from lakehouse.core.chat import CallLimits
from lakehouse.core.errors import InfraError


class Budget:
    """Counts one session's time. `deadline_ms` excludes loading, which has its own budget.

    `started_ms` is when it began, in the clock's monotonic time.
    """

    __slots__ = ("_deadline_ms", "_load_budget_ms", "_loaded_ms", "started_ms")

    def __init__(self, started_ms: float, *, deadline_ms: int, load_budget_ms: int) -> None:
        self.started_ms = started_ms
        self._deadline_ms = deadline_ms
        self._load_budget_ms = load_budget_ms
        self._loaded_ms = 0

    def left_s(self, now_ms: float, *, grace_ms: int = 0) -> float:
        """Seconds left before the deadline, and at least `grace_ms`: also past the deadline."""
        left_ms = self._deadline_ms + self.started_ms + self._loaded_ms - now_ms
        return max(left_ms, grace_ms) / 1000

    def limits(self, now_ms: float) -> CallLimits:
        """Give the next model call what is left of both; its deadline may have passed."""
        left_ms = int(self._deadline_ms + self.started_ms + self._loaded_ms - now_ms)
        return CallLimits(left_ms, max(self._load_budget_ms - self._loaded_ms, 0))

    def exclude_load(self, load_ms: int) -> None:
        """Take time that a call spent waiting for a model to load out of the deadline."""
        self._loaded_ms += load_ms


class Bound:
    """A limit of time around an `async with`, whose end is an error of the caller's choice."""

    __slots__ = ("_error", "_timeout")

    def __init__(self, limit_s: float, error: Callable[[], InfraError]) -> None:
        self._timeout = asyncio.timeout(limit_s)
        self._error = error

    def __aenter__(self) -> Awaitable[object]:
        """Start the time."""
        return self._timeout.__aenter__()

    async def __aexit__(self, *raised: object) -> None:
        """Raise the error where the time is over; what was raised inside goes on otherwise."""
        try:
            await self._timeout.__aexit__(*raised)  # type: ignore[arg-type]  # as they came
        except TimeoutError:
            raise self._error() from None
