"""An event loop whose time stands still while the machine is busy: timers fire in their order."""

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from lakehouse.core.clock import SystemClock

_T = TypeVar("_T")
_TURN_S = 0.001  # of one turn of a loop that does not wait, at most


def run_steadily(main: Coroutine[Any, Any, _T]) -> _T:
    """Run as `asyncio.run` does, on a loop for which a pause of the process is no time."""
    with asyncio.Runner(loop_factory=SteadyLoop) as runner:
        return runner.run(main)


class LoopClock(SystemClock):
    """A clock of the machine but for durations and deadlines: they are of the running loop."""

    def monotonic_ms(self) -> float:
        return asyncio.get_running_loop().time() * 1000


class SteadyLoop(asyncio.SelectorEventLoop):
    """Counts only the time for which it meant to wait, and waited in vain.

    A pause of the process is no time to it. So a limit of 200 ms cannot pass while a task of the
    same loop sleeps for 100 ms. Only for tests whose both ends run in one loop.
    """

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_SteadySelector(self._pass))

    def time(self) -> float:
        """Give the time that has passed, in seconds."""
        return self._now_s

    def _pass(self, passed_s: float) -> None:
        self._now_s += passed_s


class _SteadySelector(selectors.DefaultSelector):
    """Tells how long each wait took: no more than was asked for, and little if it was ended."""

    def __init__(self, told: Callable[[float], None]) -> None:
        super().__init__()
        self._told = told
        self._last_s = time.monotonic()

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(timeout)
        now_s = time.monotonic()
        # With events, nobody knows when they came: a pause may have followed.
        most_s = _TURN_S if events or not timeout else max(timeout, _TURN_S)
        self._told(min(now_s - self._last_s, most_s))
        self._last_s = now_s
        return events
