"""Questions and answers between two processes; here both ends are in one."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from lakehouse.core.errors import SetupError
from lakehouse.workers.channel import ChannelClosed, Handler, WorkerChannel


async def nothing(word: str, payload: bytes) -> bytes:
    return b""


@contextlib.asynccontextmanager
async def channels(
    answer: Handler,
) -> AsyncIterator[tuple[WorkerChannel, WorkerChannel, asyncio.Task[None]]]:
    ends = socket.socketpair()
    asker, answerer = WorkerChannel(nothing), WorkerChannel(answer)
    tasks = [
        asyncio.create_task(channel.run(end))
        for channel, end in zip((asker, answerer), ends, strict=True)
    ]
    try:
        yield asker, answerer, tasks[1]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def test_answers_find_who_asked_whatever_their_order():
    async def case() -> None:
        gate = asyncio.Event()

        async def answer(word: str, payload: bytes) -> bytes:
            if word == "slow":
                await gate.wait()
            return payload * 2

        async with channels(answer) as (asker, _, _):
            slow = asyncio.create_task(asker.ask("slow", b"a"))
            assert await asker.ask("fast", b"b" * 1_000_000) == b"b" * 2_000_000
            gate.set()
            assert await slow == b"aa"

    asyncio.run(case())


def test_an_error_comes_with_its_words_and_one_of_ours_without():
    async def case() -> None:
        async def answer(word: str, payload: bytes) -> bytes:
            if word == "known":
                raise SetupError("It is wrong.", hint="Correct it.", internal="line 3")
            raise ValueError("secret")

        async with channels(answer) as (asker, _, _):
            with pytest.raises(SetupError, match=r"It is wrong\.") as known:
                await asker.ask("known")
            assert (known.value.hint, known.value.internal) == ("Correct it.", "line 3")
            with pytest.raises(SetupError) as other:
                await asker.ask("other")
            assert "secret" not in other.value.public

    asyncio.run(case())


def test_who_asks_one_that_ends_does_not_wait_for_ever():
    async def case() -> None:
        asked = asyncio.Event()

        async def answer(word: str, payload: bytes) -> bytes:
            asked.set()
            await asyncio.Event().wait()
            return b""

        async with channels(answer) as (asker, _, other):
            waiting = asyncio.create_task(asker.ask("never"))
            await asked.wait()
            other.cancel()
            with pytest.raises(ChannelClosed):
                await waiting
            with pytest.raises(ChannelClosed):
                await asker.ask("again")

    asyncio.run(case())
