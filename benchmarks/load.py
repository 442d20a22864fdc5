"""The load generator: kept connections of one process, each with one request at a time.

It shares a core with the mock model on a machine of two, so it does little: an asyncio.Protocol
that looks for the end of a whole answer and for one text in it. Run it on uvloop.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

IN_FLIGHT = 16
ACCEPTED = b'"verdict":"accepted"'
PACED_CONNECTIONS = 64


class _Connection(asyncio.Protocol):
    """One kept connection; `done` stands in every good answer."""

    def __init__(self, done: bytes) -> None:
        self._done = done
        self._data = b""
        self._answer: asyncio.Future[float] | None = None

    def call(self, request: bytes) -> asyncio.Future[float]:
        """Send a request; gives the moment at which its whole answer was there."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._answer

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        head = self._data.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._data.index(b"content-length: ", 0, head) + 16
        if len(self._data) < head + 4 + int(self._data[at : self._data.index(b"\r", at)]):
            return
        answer, self._data = self._data, b""
        assert self._answer is not None
        if answer.startswith(b"HTTP/1.1 200") and self._done in answer:
            self._answer.set_result(time.perf_counter())
        else:
            self._answer.set_exception(RuntimeError(answer[:700]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the connection was closed"))


@asynccontextmanager
async def _connected(port: int, number: int, done: bytes) -> AsyncIterator[list[_Connection]]:
    loop = asyncio.get_running_loop()
    made = [
        (await loop.create_connection(lambda: _Connection(done), "127.0.0.1", port))[1]
        for _ in range(number)
    ]
    try:
        yield made
    finally:
        for connection in made:
            connection.transport.close()


async def load(
    port: int,
    requests: Sequence[bytes],
    sessions: int,
    *,
    in_flight: int = IN_FLIGHT,
    done: bytes = ACCEPTED,
) -> list[float]:
    """Run sessions, so many at once, the requests in turn; gives each one's seconds.

    Any bad answer ends it.
    """
    left = sessions
    seconds: list[float] = []

    async def run(connection: _Connection) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            begun_s = time.perf_counter()
            seconds.append(await connection.call(requests[left % len(requests)]) - begun_s)

    async with _connected(port, min(in_flight, sessions), done) as connections:
        await asyncio.gather(*map(run, connections))
    return seconds


async def paced_load(port: int, request: bytes, sessions: int, per_s: float) -> list[float]:
    """Begin sessions at a fixed rate, whatever is answered; gives each one's seconds.

    They count from the moment that the schedule set for it: a server that falls behind makes
    sessions slower and delays none of them. A thread keeps the schedule, because the timers of a
    loop are a millisecond wide. The first session of a connection does not count.
    """
    loop = asyncio.get_running_loop()
    due: asyncio.Queue[float | None] = asyncio.Queue()
    seconds: list[float] = []

    def keep_schedule() -> None:
        begun_s = time.perf_counter()
        for number in range(sessions):
            due_s = begun_s + number / per_s
            time.sleep(max(0.0, due_s - time.perf_counter()))
            loop.call_soon_threadsafe(due.put_nowait, due_s)
        for _ in range(PACED_CONNECTIONS):
            loop.call_soon_threadsafe(due.put_nowait, None)

    async def run(connection: _Connection) -> None:
        while (due_s := await due.get()) is not None:
            seconds.append(await connection.call(request) - due_s)

    async with _connected(port, PACED_CONNECTIONS, ACCEPTED) as connections:
        for connection in connections:
            await connection.call(request)
        await asyncio.gather(asyncio.to_thread(keep_schedule), *map(run, connections))
    return seconds


class Way(NamedTuple):
    """A request to a port; `done` stands in every good answer."""

    port: int
    request: bytes
    done: bytes = ACCEPTED


async def alternating_load(ways: Sequence[Way], calls: int) -> list[list[float]]:
    """Call every way in turns, one call at a time; gives each way's seconds.

    The first call of a connection does not count.
    """
    async with AsyncExitStack() as stack:
        opened = []
        for way in ways:
            (connection,) = await stack.enter_async_context(_connected(way.port, 1, way.done))
            await connection.call(way.request)
            opened.append((way.request, connection, list[float]()))
        for _ in range(calls):
            for request, connection, seconds in opened:
                begun_s = time.perf_counter()
                seconds.append(await connection.call(request) - begun_s)
    return [seconds for _, _, seconds in opened]
