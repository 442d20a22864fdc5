"""The process that starts the workers: replaces those that end, and asks all for one of them.

It holds the listening socket, so that no connection is refused while a worker is replaced, and
serves none itself.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from lakehouse.core.config_state import ConfigState
from lakehouse.core.errors import LakehouseError, SetupError
from lakehouse.workers.channel import ChannelClosed, WorkerChannel
from lakehouse.workers.shared_counts import SharedCounts, new_memory
from lakehouse.workers.siblings import Descriptors

_LOG = logging.getLogger(__name__)
_ANSWER_S: Final = 2.0
_LIVED_S: Final = 10.0  # who ends sooner is started again later
_DELAY_S_MIN: Final = 0.5
_DELAY_S_MAX: Final = 30.0
COUNTERS: Final = "metrics"
"""The word whose answers are counts: those of members that have ended are kept."""


class Member(msgspec.Struct, frozen=True):
    """One process of the group: a worker, or one that owns the models of all.

    `command` makes its command line from the descriptors that it inherits.
    """

    name: str
    command: Callable[[Descriptors], Sequence[str]]
    listener: socket.socket


class _Running:
    """A member's process, from its start to its end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.channel: WorkerChannel
        self.up = asyncio.Event()
        self.ended = asyncio.ensure_future(process.wait())
        self.counters: bytes | None = None  # as it last told them
        self.started_s = time.monotonic()

    async def came_up(self) -> bool:
        """Wait until it serves; False if it has ended."""
        up = asyncio.ensure_future(self.up.wait())
        await asyncio.wait({up, self.ended}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        return self.up.is_set()


class WorkerGroup:
    """Runs the members until `stop`.

    Args:
        members: All processes, in the order in which they start: each when the one before is up.
        sum_counters: Adds several answers of `COUNTERS`.
        end_s: How long members may take to end before they are killed.
    """

    def __init__(
        self,
        members: Sequence[Member],
        sum_counters: Callable[[Sequence[bytes]], bytes],
        *,
        end_s: float,
    ) -> None:
        self._end_s = end_s
        self._members = members
        self._sum = sum_counters
        self._pipes = [os.pipe() for _ in members]
        for pipe in self._pipes:
            os.set_blocking(pipe[1], False)
        self._memory = new_memory()
        self._counts = SharedCounts(os.dup(self._memory), 0, [wake for _, wake in self._pipes])
        self._running: dict[int, _Running] = {}
        self._ended_counters: bytes | None = None
        self._reloading = asyncio.Lock()
        self._stopped = asyncio.Event()
        self._digest: str | None = None  # of the configuration that is served
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, on_ready: Callable[[], Awaitable[None]]) -> int:
        """Run until `stop`. Returns 0, or the exit code of a member that failed at start or end."""
        keepers: list[asyncio.Task[int]] = []
        code = 0
        try:
            for number in range(len(self._members)):
                running = await self._start(number)
                if not await running.came_up():
                    del self._running[number]
                    if not self._stopped.is_set():
                        code = await running.ended
                        self.stop()
                    break
                keepers.append(asyncio.create_task(self._keep(number, running)))
                if self._stopped.is_set():
                    break
            else:
                await on_ready()
            codes = await asyncio.gather(*keepers)
            return next((1 if each < 0 else each for each in (code, *codes) if each), 0)
        finally:
            self._counts.close()
            for descriptor in (self._memory, *(end for pipe in self._pipes for end in pipe)):
                os.close(descriptor)

    def stop(self) -> None:
        """Have all members drain and end; called again, they cancel what runs."""
        self._stopped.set()
        for member in self._members:  # or connections would wait in it, to be cut at the end
            member.listener.close()
        self._signal(signal.SIGTERM)
        asyncio.get_running_loop().call_later(self._end_s, self._signal, signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for running in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                running.process.send_signal(number)

    async def ask(self, place: int, word: str) -> None:
        """Ask one member; nothing happens if it has ended."""
        with contextlib.suppress(ChannelClosed, KeyError):
            await self._running[place].channel.ask(word)

    async def reload(self) -> ConfigState:
        """Have all members read the configuration anew: all, or none.

        Raises:
            SetupError: One of them cannot serve it.
        """
        async with self._reloading:
            await asyncio.gather(*(each.came_up() for each in self._running.values()))
            try:
                await self._ask_each("prepare")
            except LakehouseError as error:
                await self._ask_each("keep", error.public.encode())
                _LOG.error("the configuration was not reloaded: %s", error.internal)
                raise
            told = await self._ask_each("commit")
            if not told:
                raise SetupError("No worker runs; nothing was reloaded.")
            state = msgspec.msgpack.decode(told[-1], type=ConfigState)
            self._digest = state.digest
            _LOG.info("the configuration was reloaded: %s", state.digest)
            return state

    def _came_up(self, running: _Running, digest: str) -> None:
        """Note that a member serves; if the file has changed since the others read it, all do."""
        running.up.set()
        if self._digest is None:
            self._digest = digest
        elif self._digest != digest:
            _LOG.warning("the configuration has changed; all workers read it anew")
            task = asyncio.create_task(self._reload_quietly())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _reload_quietly(self) -> None:
        with contextlib.suppress(Exception):  # it is in the log, and on `/readyz`
            await self.reload()

    async def _ask_each(self, word: str, payload: bytes = b"") -> list[bytes]:
        """Ask all that serve; raises the first error when all have answered."""
        asked = [each.channel.ask(word, payload) for each in self._serving()]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, ChannelClosed):
                raise answer
        return [answer for answer in answers if isinstance(answer, bytes)]

    async def _ask_in_time(self, word: str) -> list[bytes]:
        """Ask all that serve; counters are those told last where no answer comes, and of the dead.

        So what is counted never falls.
        """
        asked = {asyncio.ensure_future(each.channel.ask(word)): each for each in self._serving()}
        if asked:
            await asyncio.wait(asked, timeout=_ANSWER_S)
        told = []
        for answer, running in asked.items():
            answer.cancel()
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                told.append(answer.result())
                if word == COUNTERS:
                    running.counters = answer.result()
            elif word == COUNTERS and running.counters is not None and not running.ended.done():
                told.append(running.counters)
        if word == COUNTERS and self._ended_counters is not None:
            told.append(self._ended_counters)
        return told

    def _serving(self) -> list[_Running]:
        return [each for each in self._running.values() if each.up.is_set()]

    async def _keep(self, number: int, running: _Running) -> int:
        """Start another process whenever one has ended, until `stop`; returns the last exit code.

        One that ends soon is started later, and later each time.
        """
        name, delay_s = self._members[number].name, 0.0
        while True:
            code = await running.ended
            self._bury(number, running)
            if self._stopped.is_set():
                return code if running.up.is_set() else 0  # a start may be cut short
            _LOG.warning("%s (process %d) %s", name, running.process.pid, _ending(code))
            lived = time.monotonic() - running.started_s > _LIVED_S
            delay_s = 0.0 if lived else min(max(2 * delay_s, _DELAY_S_MIN), _DELAY_S_MAX)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._stopped.wait()
            if self._stopped.is_set():
                return 0
            running = await self._start(number)

    def _bury(self, number: int, running: _Running) -> None:
        del self._running[number]
        self._counts.bury(number)
        if running.counters is not None:
            counters = [running.counters, *filter(None, [self._ended_counters])]
            self._ended_counters = self._sum(counters)

    async def _start(self, number: int) -> _Running:
        """Start a member's process, in a session of its own: Ctrl-C reaches only this one."""
        member = self._members[number]
        ours, theirs = socket.socketpair()
        with theirs:
            given = Descriptors(
                listener=member.listener.fileno(),
                control=theirs.fileno(),
                counts=self._memory,
                woken=self._pipes[number][0],
                wakes=tuple(wake for _, wake in self._pipes),
            )
            process = await asyncio.create_subprocess_exec(
                *member.command(given),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(given.listener, given.control, given.counts, given.woken, *given.wakes),
                start_new_session=True,
            )
        running = self._running[number] = _Running(process)

        async def handle(word: str, payload: bytes) -> bytes:
            if word == "up":
                self._came_up(running, payload.decode())
                return b""
            if word == "reload":
                return msgspec.msgpack.encode(await self.reload())
            return msgspec.msgpack.encode(await self._ask_in_time(payload.decode()))

        running.channel = WorkerChannel(handle)
        task = asyncio.create_task(running.channel.run(ours))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._stopped.is_set():  # the signal came while it was started
            process.send_signal(signal.SIGTERM)
        return running


def _ending(code: int) -> str:
    how = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"{how}; another one takes its place"
