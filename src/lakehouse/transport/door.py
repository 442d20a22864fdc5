"""Limits the connections of one daemon: how many, and how long each may keep it waiting.

Each connection is in the list of the phase it is in. One sweep a second checks the oldest of each
list, so that no request pays for a timer. At the maximum, the connection that has kept the daemon
waiting longest is closed: a caller that sends its request at once always gets in. A running
request is never cut.
"""

import asyncio
import contextlib
import fcntl
import resource
import sys
import termios
from collections.abc import Callable
from typing import Final, Literal, Protocol

import msgspec

from lakehouse.core.limits import (
    ANSWER_IDLE_MS_MAX,
    ANSWERS_BYTES_MAX,
    CONNECTIONS_MAX,
    DESCRIPTORS_RESERVED,
    HEAD_MS_MAX,
    KEEP_ALIVE_MS,
)

Phase = Literal["idle", "head", "body", "answer"]
"""The daemon waits for: a request, the rest of its head or body, the caller to read its answer."""

_SWEEP_MS: Final = 1_000
_CANCELLED_S_MAX: Final = 1.0  # for an answer that is cancelled at the end


class DoorLimits(msgspec.Struct, frozen=True):
    """How long each phase may last, how many connections may exist, and what they may hold.

    The body limit is enforced where it is read. An overdue phase is noticed within `sweep_ms`.
    """

    connections_max: int = CONNECTIONS_MAX
    idle_ms: int = KEEP_ALIVE_MS
    head_ms: int = HEAD_MS_MAX
    answer_ms: int = ANSWER_IDLE_MS_MAX
    answers_bytes_max: int = ANSWERS_BYTES_MAX
    sweep_ms: int = _SWEEP_MS


class Visitor(Protocol):
    """One connection, as the door sees it."""

    def has_taken(self) -> bool:
        """Return whether the caller has read any of its answer since the last call of this."""

    def held_bytes(self) -> int:
        """Return how many bytes of its answer are held in memory."""

    def overdue(self, phase: Phase) -> None:
        """End the phase, which has lasted too long; the connection is already off the list."""

    def evict(self) -> None:
        """Close at once, to make room."""

    def shut(self) -> None:
        """Close, after the answers to the requests that have come."""


class Door:
    """The connections of one listening socket, for one event loop.

    `waiting` maps each phase to its connections and the loop time at which they entered it, in that
    order. A connection adds itself, at the cost of one look-up.
    """

    def __init__(self, limits: DoorLimits, on_count: Callable[[int], None] | None = None) -> None:
        """Begin without a connection; `on_count` is told how many are open when that changes."""
        self.limits = limits
        self._on_count = on_count or (lambda _: None)
        self._present: set[Visitor] = set()
        self._answering: set[asyncio.Task[None]] = set()
        self.closing = False  # no connection stays open after its next answer
        self._changed = asyncio.Event()
        self.waiting: dict[Phase, dict[Visitor, float]] = {
            "idle": {},
            "head": {},
            "body": {},
            "answer": {},
        }
        self._limit_s: dict[Phase, float] = {
            "idle": limits.idle_ms / 1000,
            "head": limits.head_ms / 1000,
            "answer": limits.answer_ms / 1000,
        }
        self._loop = asyncio.get_running_loop()

    def admit(self, visitor: Visitor) -> bool:
        """Count a new connection; False if there are too many and none can be evicted."""
        self._present.add(visitor)
        self._on_count(len(self._present))
        while len(self._present) > self.limits.connections_max:
            oldest = next((next(iter(each)) for each in self.waiting.values() if each), None)
            if oldest is None:
                return False
            self.leave(oldest)
            oldest.evict()
        return True

    def start(self, answering: asyncio.Task[None]) -> None:
        """Count the task that answers a request: its connection may end before it."""
        self._answering.add(answering)
        self._changed.set()

    def finish(self, answering: asyncio.Task[None]) -> None:
        """Count it no more."""
        self._answering.discard(answering)
        self._changed.set()

    def leave(self, visitor: Visitor) -> None:
        """Remove a connection that has ended."""
        self._present.discard(visitor)
        self._on_count(len(self._present))
        self._changed.set()
        for each in self.waiting.values():
            each.pop(visitor, None)

    async def hear_out(self, patience_ms: int) -> None:
        """Answer one more request of each open connection, if it comes in this time.

        Who sent it could not know yet that we end. Call it when no connection is accepted any
        more, and before sessions are refused.
        """
        self.closing = True
        await asyncio.sleep(0)  # those accepted last are admitted in this turn of the loop
        for visitor in self._present.difference(self.waiting["idle"], self.waiting["head"]):
            visitor.shut()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_ms / 1000):
                while self.waiting["idle"] or self.waiting["head"]:
                    self._changed.clear()
                    await self._changed.wait()

    async def shut(self, patience_ms: int) -> None:
        """Close every connection after its answers; then cancel the answers that are not done."""
        for visitor in tuple(self._present):
            visitor.shut()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_ms / 1000):
                while self._present or self._answering:
                    self._changed.clear()
                    await self._changed.wait()
        for answering in tuple(self._answering):
            answering.cancel()
        if self._answering:
            await asyncio.wait(self._answering, timeout=_CANCELLED_S_MAX)

    async def keep_watch(self) -> None:
        while True:
            await asyncio.sleep(self.limits.sweep_ms / 1000)
            self.sweep()

    def sweep(self) -> None:
        """End overdue phases. Cost: linear in overdue connections and slow readers."""
        now = self._loop.time()
        answers = self.waiting["answer"]
        for visitor in [each for each in answers if each.has_taken()]:
            del answers[visitor]  # keeps the list ordered by start of the wait
            answers[visitor] = now
        self._bound_answers()
        for phase, limit_s in self._limit_s.items():
            each = self.waiting[phase]
            while each:
                visitor, since = next(iter(each.items()))
                if since + limit_s > now:
                    break
                del each[visitor]
                visitor.overdue(phase)

    def _bound_answers(self) -> None:
        """Close those that have waited longest, if slow callers hold too much memory."""
        held = {each: each.held_bytes() for each in self.waiting["answer"]}
        excess = sum(held.values()) - self.limits.answers_bytes_max
        for visitor, size in held.items():
            if excess <= 0:
                return
            excess -= size
            self.leave(visitor)
            visitor.evict()


def untaken_bytes(transport: asyncio.Transport) -> int:
    """Return how many written bytes the caller has not read, as far as the system reports it.

    The system accepts more from us only when a good part of its own buffer is free, so our buffer
    alone stays the same for long while a slow caller reads.
    """
    waiting: int = transport.get_write_buffer_size()
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # closed in the meantime
            held = fcntl.ioctl(transport.get_extra_info("socket"), termios.TIOCOUTQ, bytes(4))
            waiting += int.from_bytes(held, sys.byteorder)
    return waiting


def connections_max() -> int:
    """Return how many connections a daemon may hold, and raise the descriptor limit for them.

    Each may need a second descriptor, for a call to a model or an inner daemon; some are reserved
    for the log. The soft limit is raised as far as the hard limit allows.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS_MAX + DESCRIPTORS_RESERVED
    if soft != resource.RLIM_INFINITY and soft < wanted:
        target = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        if target > soft:
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
            soft = target
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    reserved = min(DESCRIPTORS_RESERVED, soft // 2)
    return max(1, min(CONNECTIONS_MAX, (soft - reserved) // 2))
