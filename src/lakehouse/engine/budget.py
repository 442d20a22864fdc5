"""What a session may still take: its deadline, which stands still while a model loads."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from lakehouse.core.chat import CallLimits
from lakehouse.core.clock import Clock
from lakehouse.core.errors import InfraError


class Budget:
    """Counts one session's time. `deadline_ms` excludes loading, which has its own budget."""

    def __init__(self, clock: Clock, *, deadline_ms: int, load_budget_ms: int) -> None:
        self._clock = clock
        self._started_ms = clock.monotonic_ms()
        self._deadline_ms = deadline_ms
        self._load_budget_ms = load_budget_ms
        self._loaded_ms = 0

    @property
    def started_ms(self) -> float:
        """When the session began, in the clock's monotonic time."""
        return self._started_ms

    def elapsed_ms(self) -> int:
        """Whole milliseconds since the session began, loading included, rounded down."""
        return int(self._clock.monotonic_ms() - self._started_ms)

    def left_ms(self) -> int:
        """Milliseconds left before the deadline; zero or less when it has passed."""
        spent = self._clock.monotonic_ms() - self._started_ms - self._loaded_ms
        return int(self._deadline_ms - spent)

    @asynccontextmanager
    async def bound(
        self, error: Callable[[], InfraError], *, grace_ms: int = 0
    ) -> AsyncIterator[None]:
        """End what is awaited inside when the deadline passes, as what `error` makes.

        It has at least `grace_ms`, also past the deadline.
        """
        scope = asyncio.timeout(max(self.left_ms(), grace_ms, 0) / 1000)
        try:
            async with scope:
                yield
        except TimeoutError:
            if not scope.expired():
                raise  # another timeout, of what ran inside
            raise error() from None

    def limits(self) -> CallLimits:
        """Give the next model call what is left of both."""
        return CallLimits(
            deadline_ms=max(self.left_ms(), 0),
            load_budget_ms=max(self._load_budget_ms - self._loaded_ms, 0),
        )

    def exclude_load(self, load_ms: int) -> None:
        """Take time that a call spent waiting for a model to load out of the deadline."""
        self._loaded_ms += load_ms
