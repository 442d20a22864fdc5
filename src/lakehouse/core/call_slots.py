"""The slots of a model: how many calls run at once, and who waits for one."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque


class CallSlots(ABC):
    """The calls that may run at once; who waits for one gets it in the order of coming.

    A subclass counts what is free. Taking a free slot is a plain call, where `asyncio.Semaphore`
    makes a coroutine of it.
    """

    def __init__(self) -> None:
        self._turns: deque[asyncio.Future[None]] = deque()

    @abstractmethod
    def take(self) -> bool:
        """Take a slot, if one is free."""

    @abstractmethod
    def give_back(self) -> None:
        """Give a slot back."""

    async def wait(self) -> None:
        """Wait for a slot and take it; for when none is free."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        self._one_more_waits()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was given just before
                self.give_back()
            elif turn in self._turns:
                self._turns.remove(turn)
            raise

    def _one_more_waits(self) -> None:  # noqa: B027  a subclass may look whether one is free now
        pass

    def _is_waited_for(self) -> bool:
        while self._turns and self._turns[0].done():  # cancelled, and not removed yet
            self._turns.popleft()
        return bool(self._turns)

    def _give_turn(self) -> bool:
        """Give a slot that was taken to the one who has waited longest; False if none waits."""
        if not self._is_waited_for():
            return False
        self._turns.popleft().set_result(None)
        return True
