"""Slots of a model over several workers, here two event loops' worth in one."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from lakehouse.workers.shared_counts import SharedCounts, new_memory
from lakehouse.workers.shared_slots import SharedSlots
from support.steady_loop import run_steadily


@pytest.fixture
def counts() -> Iterator[list[SharedCounts]]:
    memory = new_memory()
    ends = os.pipe()
    views = [SharedCounts(os.dup(memory), number, [ends[1], ends[1]]) for number in range(2)]
    yield views
    for view in views:
        view.close()
    for descriptor in (memory, *ends):
        os.close(descriptor)


def test_who_waits_elsewhere_comes_before_who_waits_here(counts):
    """Otherwise a busy worker would hand its slots on for ever."""

    async def case() -> list[str]:
        here, there = (SharedSlots(each, "m", 1) for each in counts)
        assert here.take()
        came: list[str] = []

        async def wait(slots: SharedSlots, name: str) -> None:
            await slots.wait()
            came.append(name)

        tasks = [asyncio.create_task(wait(here, "here")), asyncio.create_task(wait(there, "there"))]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        here.give_back()
        there.look_again()  # as a wake does
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert came == ["there"]
        there.give_back()
        here.look_again()
        await asyncio.gather(*tasks)
        return came

    assert run_steadily(case()) == ["there", "here"]


def test_a_slot_that_nobody_elsewhere_takes_is_taken_here(counts):
    """Who waited elsewhere has given up, and nobody wakes us."""

    async def case() -> None:
        here, there = (SharedSlots(each, "m", 1) for each in counts)
        here.take()
        given_up = asyncio.create_task(there.wait())
        waiting = asyncio.create_task(here.wait())
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait([given_up])
        here.give_back()
        await waiting
        here.give_back()
        assert counts[0].total("m") == 0

    run_steadily(case())


def test_first_come_first_served_in_one_worker_and_who_leaves_gives_back(counts):
    async def case() -> None:
        slots = SharedSlots(counts[0], "m", 1)
        assert slots.take()
        first, second, third = (asyncio.create_task(slots.wait()) for _ in range(3))
        await asyncio.sleep(0)
        assert not slots.take(), "nobody passes those that wait"
        slots.give_back()
        first.cancel()  # it has been given the slot, and has not seen it
        await asyncio.wait([first])
        await second
        third.cancel()
        await asyncio.wait([third])
        slots.give_back()
        assert counts[0].total("m") == 0
        assert slots.take()

    run_steadily(case())
