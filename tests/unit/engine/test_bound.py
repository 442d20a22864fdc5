"""A bound ends a wait with an error of its caller's, and leaves every other end as it is."""

import asyncio

import pytest

from lakehouse.core.errors import InfraError
from lakehouse.engine.run import Bound
from support.steady_loop import run_steadily

FOREVER_S = 3_600.0


def too_late() -> InfraError:
    return InfraError("timeout", "too late")


def inner_too_late() -> InfraError:
    return InfraError("timeout", "inner")


async def wait_forever() -> None:
    await asyncio.get_running_loop().create_future()


def test_what_takes_too_long_ends_with_the_error() -> None:
    async def main() -> None:
        with pytest.raises(InfraError, match="too late") as caught, Bound(0.01, too_late):
            await wait_forever()
        assert caught.value.__suppress_context__
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0)  # it can wait again

    run_steadily(main())


def test_no_time_is_too_long() -> None:
    async def main() -> None:
        with pytest.raises(InfraError, match="too late"), Bound(0.0, too_late):
            await wait_forever()

    run_steadily(main())


def test_what_ends_in_time_is_left_alone() -> None:
    async def main() -> None:
        with Bound(0.01, too_late):
            await asyncio.sleep(0)
        with pytest.raises(InfraError), Bound(0.02, too_late):  # past the limit that has ended
            await wait_forever()
        with pytest.raises(KeyError), Bound(FOREVER_S, too_late):
            raise KeyError

    run_steadily(main())


def test_a_cancelled_task_stays_cancelled() -> None:
    async def main() -> None:
        async def bounded() -> None:
            with Bound(FOREVER_S, too_late):
                await wait_forever()

        task = asyncio.create_task(bounded())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    run_steadily(main())


def test_a_task_that_is_cancelled_as_its_limit_passes_stays_cancelled() -> None:
    async def main() -> None:
        entered: list[Bound] = []

        async def bounded() -> None:
            with Bound(FOREVER_S, too_late) as bound:
                entered.append(bound)
                await wait_forever()

        task = asyncio.create_task(bounded())
        await asyncio.sleep(0)
        task.cancel()
        entered[0].overdue()
        await asyncio.wait({task})
        assert task.cancelled()

    run_steadily(main())


def test_the_inner_of_two_bounds_does_not_end_the_outer_one() -> None:
    async def main() -> None:
        with Bound(FOREVER_S, too_late):
            with pytest.raises(InfraError, match="inner"), Bound(0.01, inner_too_late):
                await wait_forever()
            await asyncio.sleep(0)

    run_steadily(main())


def test_the_outer_of_two_bounds_ends_both() -> None:
    async def main() -> None:
        outer = Bound(0.01, too_late)
        with pytest.raises(InfraError, match="too late"), outer, Bound(FOREVER_S, inner_too_late):
            await wait_forever()

    run_steadily(main())
