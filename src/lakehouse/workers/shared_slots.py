"""The slots of one model, counted over all workers."""

import asyncio
from typing import Final

from lakehouse.core.call_slots import CallSlots
from lakehouse.workers.shared_counts import SharedCounts

_AGAIN_S: Final = 0.005


class SharedSlots(CallSlots):
    """The slots of all workers together.

    Where calls wait in several workers, a slot that is given back goes to another worker first, so
    that none waits for ever.
    """

    def __init__(self, counts: SharedCounts, name: str, count: int) -> None:
        super().__init__()
        self._counts = counts
        self._name = name
        self._count = count
        self._told = False  # the others know that calls wait here

    def take(self) -> bool:
        """Take a slot, if one is free and no call of this worker waits."""
        return not self._turns and self._counts.take(self._name, self._count)

    def give_back(self) -> None:
        """Give a slot back."""
        others_wait = self._counts.give_back(self._name, self._count)
        if not self._turns:
            return
        if others_wait:  # they have the first chance, but need not use it
            asyncio.get_running_loop().call_later(_AGAIN_S, self.look_again)
        else:
            self.look_again()

    def look_again(self) -> None:
        """Give free slots to the calls that wait here; called when another worker gives back."""
        while self._is_waited_for():
            if not self._counts.take(self._name, self._count, wait=True):
                self._told = True
                return
            self._give_turn()
        if self._told:
            self._counts.stop_waiting(self._name)
            self._told = False

    def _one_more_waits(self) -> None:
        self.look_again()
