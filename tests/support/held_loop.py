"""For how long something held an event loop, as far as the machine had time for both."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_TICK_S = 0.005


class HeldLoop:
    """`worst_s`: the longest that the loop went without a turn, in seconds.

    A turn that took CPU of this process counts that; one that waited counts the ticks of a second
    thread meanwhile. Neither goes on while the machine has no time for the process.
    """

    def __init__(self) -> None:
        self.worst_s = 0.0
        self._ticks = 0
        self._over = threading.Event()

    def tick(self) -> None:
        """Tick until the watch is over, in a thread of its own."""
        while not self._over.wait(_TICK_S):
            self._ticks += 1

    async def watch(self) -> None:
        """Take turns until the watch is over."""
        while not self._over.is_set():
            ticks, cpu_s = self._ticks, time.process_time()
            await asyncio.sleep(_TICK_S)
            held_s = max((self._ticks - ticks) * _TICK_S, time.process_time() - cpu_s)
            self.worst_s = max(self.worst_s, held_s)

    def end(self) -> None:
        self._over.set()


@asynccontextmanager
async def watched_loop() -> AsyncIterator[HeldLoop]:
    """Watch the running loop; the result is whole after the block."""
    held = HeldLoop()
    thread = threading.Thread(target=held.tick)
    thread.start()
    watching = asyncio.create_task(held.watch())
    try:
        yield held
    finally:
        held.end()
        await watching
        thread.join()
