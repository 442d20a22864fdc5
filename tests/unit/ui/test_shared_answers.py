"""Questions of pages share answers for a time, and nothing holds an answer longer."""

import asyncio
import gc
import weakref
from pathlib import Path

from lakehouse.ui.reading import LogReadings
from support.steady_loop import run_steadily
from support.waiting import WAIT_S


class _Answer:
    """An answer that can be watched."""


def test_an_answer_is_shared_and_then_its_memory_is_free(tmp_path: Path):
    async def run() -> None:
        readings = LogReadings(tmp_path, shared_s=0.05)
        asked = 0

        def question(_: object) -> _Answer:
            nonlocal asked
            asked += 1
            return _Answer()

        first = await readings.ask(question, "one")
        assert await readings.ask(question, "one") is first
        assert asked == 1
        gone = asyncio.Event()
        weakref.finalize(first, gone.set)
        del first
        while not gone.is_set():  # nobody asks again; the time alone frees it
            gc.collect()
            await asyncio.sleep(0.01)
        await readings.ask(question, "one")
        assert asked == 2
        readings.close()

    run_steadily(asyncio.wait_for(run(), WAIT_S))
