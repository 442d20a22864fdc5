"""The connections of one daemon: how many, and how long each may keep it waiting.

A connection is listed under what it is waited for. One sweep a second looks at the oldest of each
list, so that no request pays for a timer. When the daemon has as many as it can hold, the one that
has kept it waiting longest makes room: a caller that sends its request at once always gets in. It
does not cut a request that is under way.
"""

import asyncio
import contextlib
import fcntl
import resource
import sys
import termios
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
"""Waited for: the next request, the rest of its head or of its body, that an answer is taken."""

_SWEEP_MS: Final = 1_000


class DoorLimits(msgspec.Struct, frozen=True):
    """How long each phase may last, how many connections there may be, and what they may hold.

    A body is bounded where it is read. What is overdue is noticed within `sweep_ms`.
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
        """Say whether any of the waiting answer was taken since this was last asked."""

    def held_bytes(self) -> int:
        """Count what is held in memory of its answer."""

    def overdue(self, phase: Phase) -> None:
        """End the phase, which has lasted too long; it is not listed any more."""

    def evict(self) -> None:
        """End at once, to make room."""


class Door:
    """The connections of one listening socket, for one event loop.

    `waiting` has those that are waited for, by what for, with the loop's time at which it began;
    each is ordered by that. A connection lists itself, at its own cost of one look-up.
    """

    def __init__(self, limits: DoorLimits) -> None:
        self.limits = limits
        self._present: set[Visitor] = set()
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
        """Count a new connection; False if there are too many and none can make room."""
        self._present.add(visitor)
        while len(self._present) > self.limits.connections_max:
            oldest = next((next(iter(each)) for each in self.waiting.values() if each), None)
            if oldest is None:
                return False
            self.leave(oldest)
            oldest.evict()
        return True

    def leave(self, visitor: Visitor) -> None:
        """Forget a connection that has ended."""
        self._present.discard(visitor)
        for each in self.waiting.values():
            each.pop(visitor, None)

    async def keep_watch(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(self.limits.sweep_ms / 1000)
            self.sweep()

    def sweep(self) -> None:
        """End what has lasted too long. Cost: as much as there is to end, and slow readers."""
        now = self._loop.time()
        answers = self.waiting["answer"]
        for visitor in [each for each in answers if each.has_taken()]:
            del answers[visitor]  # the lists are ordered by when waiting began
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
        """Cut those that have waited longest, where slow callers hold too much in memory."""
        held = {each: each.held_bytes() for each in self.waiting["answer"]}
        excess = sum(held.values()) - self.limits.answers_bytes_max
        for visitor, size in held.items():
            if excess <= 0:
                return
            excess -= size
            self.leave(visitor)
            visitor.evict()


def untaken_bytes(transport: asyncio.Transport) -> int:
    """Count what a caller has not taken of what was written, as far as the system tells.

    The system takes more from us only when a good part of what it holds is gone, so what we still
    hold stands still for long while a slow caller reads.
    """
    waiting: int = transport.get_write_buffer_size()
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # it was closed meanwhile
            held = fcntl.ioctl(transport.get_extra_info("socket"), termios.TIOCOUTQ, bytes(4))
            waiting += int.from_bytes(held, sys.byteorder)
    return waiting


def connections_max() -> int:
    """Say how many connections a daemon may hold, and let the process have descriptors for them.

    Each may need a second descriptor, for a call to a model or an inner daemon; some are kept for
    the log. The soft limit is raised as far as the hard one lets it.
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
