"""The deadlines of waits, with one timer of the event loop for all of them.

Nearly every wait ends in time, and a timer of its own costs it more than the wait itself. So waits
that end leave the timer alone: when it fires, it is set anew for the earliest deadline left.
"""

import asyncio
import math
import threading
from typing import Protocol


class Limited(Protocol):
    """A wait with a deadline."""

    def overdue(self) -> None:
        """Take note that the deadline has passed, and is forgotten; must not raise."""


class Deadlines:
    """The deadlines of the waits in one event loop, in the loop's time.

    `waits` has the deadline of each. A wait that ends takes itself out, with `pop`.

    Cost: two operations on a dictionary for a wait; a pass over those that wait when the timer
    fires, which is about as often as the shortest of their limits.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.waits: dict[Limited, float] = {}
        self.loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = math.inf

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> "Deadlines":
        """Return those of the loop that runs in this thread."""
        deadlines = _OF_THREAD.deadlines
        if deadlines is None or deadlines.loop is not loop:
            deadlines = _OF_THREAD.deadlines = cls(loop)
        return deadlines

    def set(self, wait: Limited, at: float) -> None:
        """Set the deadline of a wait, in place of its last one."""
        self.waits[wait] = at
        if at < self._fires_at:
            self._fire_at(at)

    def _fire_at(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires_at = at
        self._timer = self.loop.call_at(at, self._fire)

    def _fire(self) -> None:
        now = self.loop.time()
        passed = [wait for wait, at in self.waits.items() if at <= now]
        for wait in passed:
            del self.waits[wait]
        self._fires_at, self._timer = math.inf, None
        if self.waits:
            self._fire_at(min(self.waits.values()))
        for wait in passed:
            wait.overdue()


class _OfThread(threading.local):
    """A thread runs one loop at a time."""

    deadlines: Deadlines | None = None


_OF_THREAD = _OfThread()
