"""Slots are given in turn, and none is lost, whichever call leaves the queue and when."""

import asyncio
from collections.abc import Awaitable, Callable

from lakehouse.chatd.lane import Slots
from support.waiting import WAIT_S


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(WAIT_S):
            await main()

    asyncio.run(bounded())


async def queued(slots: Slots, count: int) -> list[asyncio.Task[None]]:
    """Begin waits, and return once all of them wait."""
    waits = [asyncio.create_task(slots.wait()) for _ in range(count)]
    await asyncio.sleep(0)
    assert not any(wait.done() for wait in waits)
    return waits


def test_as_many_as_there_are_can_be_taken() -> None:
    slots = Slots(2)
    assert [slots.take() for _ in range(3)] == [True, True, False]
    slots.give_back()
    assert [slots.take() for _ in range(2)] == [True, False]


def test_who_waits_longest_gets_the_next_one() -> None:
    async def main() -> None:
        slots = Slots(1)
        assert slots.take()
        waits = await queued(slots, 3)
        for index, wait in enumerate(waits):
            slots.give_back()
            assert not slots.take()  # it is that one's already
            await wait
            assert [one.done() for one in waits].count(True) == index + 1
        slots.give_back()
        assert slots.take()

    run(main)


def test_a_wait_that_is_cancelled_leaves_the_queue() -> None:
    async def main() -> None:
        slots = Slots(1)
        assert slots.take()
        first, second = await queued(slots, 2)
        first.cancel()
        await asyncio.wait({first})
        slots.give_back()
        await second
        slots.give_back()
        assert [slots.take() for _ in range(2)] == [True, False]

    run(main)


def test_a_slot_given_to_a_wait_that_is_cancelled_meanwhile_is_not_lost() -> None:
    """In both orders, before the wait hears of either."""

    async def main() -> None:
        for cancelled_first in (True, False):
            slots = Slots(1)
            assert slots.take()
            leaving, staying = await queued(slots, 2)
            if cancelled_first:
                leaving.cancel()
                slots.give_back()
            else:
                slots.give_back()
                leaving.cancel()
            await asyncio.wait({leaving})
            assert leaving.cancelled()
            await staying
            slots.give_back()
            assert [slots.take() for _ in range(2)] == [True, False]

    run(main)
