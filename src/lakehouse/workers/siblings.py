"""The other workers, as one worker sees them: shared limits, and questions to all."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Final
from weakref import WeakSet

import msgspec

from lakehouse.core.config_state import ConfigState
from lakehouse.core.errors import SetupError
from lakehouse.workers.channel import ChannelClosed, WorkerChannel
from lakehouse.workers.shared_counts import SharedCounts
from lakehouse.workers.shared_slots import SharedSlots

Answer = Callable[[bytes], Awaitable[bytes]]

_SESSIONS: Final = "sessions"
_CONNECTIONS: Final = "connections"
_WAKES_BYTES: Final = 4_096
_PASSED_MAX: Final = 4


class Descriptors(msgspec.Struct, frozen=True):
    """What a worker inherits of its group. `wakes` has the end of a pipe for each worker."""

    listener: int
    control: int
    counts: int
    woken: int
    wakes: tuple[int, ...]


class Siblings:
    """One worker's way to the others, through the process that started all.

    `answers` has what this worker says of itself, by the word that the others ask with.
    """

    def __init__(self, descriptors: Descriptors, worker: int, wanted: int) -> None:
        """Take over what was inherited.

        Args:
            descriptors: Of this worker.
            worker: Its number, from 0.
            wanted: How many workers there are when all run.
        """
        self.worker = worker
        self.wanted = wanted
        self.answers: dict[str, Answer] = {}
        self._counts = SharedCounts(descriptors.counts, worker, descriptors.wakes)
        self._woken = descriptors.woken
        self._control = socket.socket(fileno=descriptors.control)
        self._channel = WorkerChannel(self._answer)
        self._slots: WeakSet[SharedSlots] = WeakSet()
        self._passed = 0
        self._connections = 0

    async def run(self) -> None:
        """Serve the channel; when the process that started this one is gone, end as by SIGTERM."""
        loop = asyncio.get_running_loop()
        os.set_blocking(self._woken, False)
        loop.add_reader(self._woken, self._look_again)
        try:
            await self._channel.run(self._control)
        finally:
            loop.remove_reader(self._woken)
        os.kill(os.getpid(), signal.SIGTERM)

    async def announce(self, digest: str) -> None:
        """Say that this worker serves, and which configuration."""
        with contextlib.suppress(ChannelClosed):
            await self._channel.ask("up", digest.encode())

    async def ask_all(self, word: str) -> list[bytes]:
        """Ask all that run, this one too; returns the answers of those that give one in time."""
        try:
            return msgspec.msgpack.decode(
                await self._channel.ask("all", word.encode()), type=list[bytes]
            )
        except ChannelClosed:
            return [await self._answer(word, b"")]

    async def ask_workers(self, word: str) -> list[bytes]:
        """Likewise, without the process that owns the models of all."""
        return [told for told in await self.ask_all(word) if told]

    async def reload(self) -> ConfigState:
        """Have all workers read the configuration anew.

        Raises:
            SetupError: One of them cannot serve it, so that none does.
        """
        try:
            told = await self._channel.ask("reload")
        except ChannelClosed:
            raise SetupError("The daemon is stopping; nothing was reloaded.") from None
        return msgspec.msgpack.decode(told, type=ConfigState)

    def slots(self, model: str, count: int) -> SharedSlots:
        """Return the slots of a model, which all workers share."""
        # A reload with another number begins anew, as it does in a single process.
        slots = SharedSlots(self._counts, f"model {model}, {count}", count)
        self._slots.add(slots)
        return slots

    def take_session(self, most: int) -> bool:
        """Count one session more, if all workers together run fewer than `most`."""
        return self._counts.take(_SESSIONS, most)

    def end_session(self, most: int) -> None:
        """Count one session less; `most` as it was taken with."""
        self._counts.give_back(_SESSIONS, most)

    def sessions(self) -> int:
        """Return how many sessions of `take_session` run in all workers."""
        return self._counts.total(_SESSIONS)

    def tell_connections(self, count: int) -> None:
        """Tell the others how many connections this worker has open."""
        self._connections = count
        self._counts.publish(_CONNECTIONS, count)

    def is_turn(self, accepted: int) -> bool:
        """Return whether this worker accepts the next connection: it has no more than others do.

        `accepted` are those that `tell_connections` does not count yet. A few times this worker may
        pass; then it accepts, since those with fewer may be stuck.
        """
        others = self._counts.published(_CONNECTIONS)
        own = self._connections + accepted
        if others and min(others) < own and self._passed < _PASSED_MAX:
            self._passed += 1
            return False
        self._passed = 0
        return True

    async def _answer(self, word: str, payload: bytes) -> bytes:
        return await self.answers[word](payload)

    def _look_again(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, _WAKES_BYTES)
        for slots in tuple(self._slots):
            slots.look_again()
