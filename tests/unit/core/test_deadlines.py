"""Many waits share one timer, and each deadline is still kept to the moment."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from lakehouse.core.deadlines import Deadlines


class Timer:
    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """A loop whose time only a test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(at, call))
        return self.timers[-1]

    def armed(self) -> list[float]:
        return [timer.at for timer in self.timers if not timer.cancelled]

    def advance(self, now: float) -> None:
        """Move to a moment, and fire what is due on the way."""
        while due := [timer for timer in self.timers if not timer.cancelled and timer.at <= now]:
            first = min(due, key=lambda timer: timer.at)
            self.timers.remove(first)
            self.now = max(self.now, first.at)
            first.call()
        self.now = now


class Wait:
    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.overdue_at: list[float] = []

    def overdue(self) -> None:
        self.overdue_at.append(self.loop.now)


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def deadlines(loop: Loop) -> Deadlines:
    return Deadlines(cast("Any", loop))


def test_a_wait_is_overdue_at_its_deadline_and_once(loop: Loop, deadlines: Deadlines) -> None:
    wait = Wait(loop)
    deadlines.set(wait, 5.0)
    loop.advance(4.9)
    assert wait.overdue_at == []
    loop.advance(60.0)
    assert wait.overdue_at == [5.0]
    assert loop.armed() == []


def test_each_of_many_waits_keeps_its_own_deadline(loop: Loop, deadlines: Deadlines) -> None:
    """In any order of their beginnings."""
    waits = {at: Wait(loop) for at in (7.0, 3.0, 9.0, 3.5, 1.0, 8.0)}
    for at, wait in waits.items():
        deadlines.set(wait, at)
    loop.advance(60.0)
    assert {at: wait.overdue_at for at, wait in waits.items()} == {at: [at] for at in waits}


def test_a_wait_that_ended_is_not_overdue(loop: Loop, deadlines: Deadlines) -> None:
    ended, other = Wait(loop), Wait(loop)
    deadlines.set(ended, 5.0)
    deadlines.set(other, 6.0)
    del deadlines.waits[ended]
    loop.advance(60.0)
    assert ended.overdue_at == []
    assert other.overdue_at == [6.0]


def test_waits_one_after_the_other_share_a_timer(loop: Loop, deadlines: Deadlines) -> None:
    """A thousand waits of a minute each, one every 10 ms, arm it once."""
    for number in range(1_000):
        loop.advance(number / 100)
        wait = Wait(loop)
        deadlines.set(wait, loop.now + 60)
        del deadlines.waits[wait]
    assert loop.armed() == [60.0]
    last = Wait(loop)
    deadlines.set(last, 70.5)
    loop.advance(200.0)
    assert last.overdue_at == [70.5]
    assert loop.armed() == []


def test_a_deadline_is_moved(loop: Loop, deadlines: Deadlines) -> None:
    later, earlier = Wait(loop), Wait(loop)
    for wait, at in ((later, 5.0), (earlier, 5.0), (later, 8.0), (earlier, 2.0)):
        deadlines.set(wait, at)
    loop.advance(60.0)
    assert later.overdue_at == [8.0]
    assert earlier.overdue_at == [2.0]


def test_an_overdue_wait_may_set_a_new_deadline(loop: Loop, deadlines: Deadlines) -> None:
    class Again(Wait):
        def overdue(self) -> None:
            super().overdue()
            if len(self.overdue_at) < 3:
                deadlines.set(self, self.loop.now + 1)

    wait = Again(loop)
    deadlines.set(wait, 5.0)
    loop.advance(60.0)
    assert wait.overdue_at == [5.0, 6.0, 7.0]


def test_a_thread_has_the_deadlines_of_the_loop_that_it_runs() -> None:
    async def mine() -> Deadlines:
        loop = asyncio.get_running_loop()
        assert Deadlines.of(loop) is Deadlines.of(loop)
        return Deadlines.of(loop)

    first, second = asyncio.run(mine()), asyncio.run(mine())
    assert first is not second
    elsewhere: list[Deadlines] = []
    thread = threading.Thread(target=lambda: elsewhere.append(asyncio.run(mine())))
    thread.start()
    thread.join()
    assert elsewhere[0] is not second
