"""Callers that keep a daemon waiting: half a head, silence, an answer nobody takes, and too many.

Real sockets; the limits are short, and each test waits for what they bring about.
"""

import asyncio
import contextlib
import socket

import pytest

from lakehouse.transport.door import Door, Phase
from support.door import LARGE_BYTES, REQUEST, Served, ended, limits, with_limits


@pytest.mark.parametrize(
    "begun",
    [REQUEST[:-2], REQUEST[:9], b"G", REQUEST + REQUEST[:20]],
    ids=["all but its end", "half a line", "one letter", "behind a whole one"],
)
def test_half_a_head_is_answered_and_let_go(begun: bytes) -> None:
    """A 400 that says so, once the limit has passed."""

    async def use(served: Served) -> None:
        reader, writer = await served.connect()
        with contextlib.closing(writer):
            writer.write(begun)
            answer = await ended(reader)
        assert b"HTTP/1.1 400 " in answer
        assert b"are incomplete after 0.2 s" in answer
        assert answer.count(b"HTTP/1.1 200 ") == begun.count(REQUEST)

    with_limits(limits(head_ms=200), use)


def test_a_head_that_drips_is_no_better() -> None:
    """The limit is of the whole head, not of each pause."""

    async def use(served: Served) -> None:
        reader, writer = await served.connect()
        writer.write(b"GET /small HTTP/1.1\r\nhost: localhost\r\n")
        answered = asyncio.create_task(reader.readline())
        drops = 0
        while not answered.done():
            writer.write(b"x-%d: y\r\n" % drops)
            drops += 1
            await asyncio.wait({answered}, timeout=0.02)
        assert b"400" in await answered
        assert drops > 2
        writer.close()

    with_limits(limits(head_ms=200), use)


@pytest.mark.parametrize(
    "first", [b"", b"\r\n\r\n", REQUEST], ids=["nothing", "empty lines", "one"]
)
def test_a_silent_connection_ends(first: bytes) -> None:
    """One that never said a word, and one that has said enough."""

    async def use(served: Served) -> None:
        reader, writer = await served.connect()
        with contextlib.closing(writer):
            writer.write(first)
            answer = await ended(reader)
        assert answer.count(b"HTTP/1.1 ") == (1 if first == REQUEST else 0)

    with_limits(limits(head_ms=200, idle_ms=200), use)


def test_a_long_request_is_not_silence() -> None:
    """While we are the ones who are waited for, nothing ends."""

    async def use(served: Served) -> None:
        reader, writer = await served.connect()
        silent, other = await served.connect()
        with contextlib.closing(writer), contextlib.closing(other):
            writer.write(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n")
            await served.waiting.wait()
            assert await ended(silent) == b""  # the limits have passed by now
            served.let_go.set()
            assert b"200" in await reader.readline()

    with_limits(limits(head_ms=100, idle_ms=100), use)


def small_reader(port: int) -> socket.socket:
    """Connect with a receive buffer so small that the kernel takes little of an answer."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    reader.connect(("127.0.0.1", port))
    return reader


def test_a_caller_that_takes_nothing_is_cut() -> None:
    """What was still to be sent is let go, and whoever made it hears that it is over."""

    async def use(served: Served) -> None:
        with small_reader(served.port) as reader:
            reader.sendall(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n")
            await served.sent.wait()

    with_limits(limits(answer_ms=200), use)


def test_a_caller_that_takes_little_by_little_is_not_cut() -> None:
    """The limit is of taking nothing at all; the whole takes several times as long."""

    async def use(served: Served) -> None:
        loop = asyncio.get_running_loop()
        with small_reader(served.port) as reader:
            reader.sendall(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n")
            reader.setblocking(False)
            began, got = loop.time(), 0
            while loop.time() - began < 2.0:
                got += len(await loop.sock_recv(reader, 64 << 10))
                await asyncio.sleep(0.01)
            assert not served.sent.is_set(), got
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            while got < LARGE_BYTES:
                piece = await loop.sock_recv(reader, 1 << 20)
                assert piece
                got += len(piece)
            await served.sent.wait()

    with_limits(limits(answer_ms=500), use)


def test_a_closed_connection_does_not_wait_for_its_caller_for_ever() -> None:
    """An answer with `Connection: close` of which nobody takes the end."""

    async def use(served: Served) -> None:
        with small_reader(served.port) as reader:
            reader.sendall(b"GET /large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            await served.sent.wait()
            reader.setblocking(False)
            loop = asyncio.get_running_loop()
            with contextlib.suppress(ConnectionError):
                while await loop.sock_recv(reader, 1 << 20):
                    pass

    with_limits(limits(answer_ms=200), use)


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        REQUEST[:9],
        REQUEST,
        b"POST /small HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n[",
    ],
    ids=["nothing", "half a head", "a whole one", "half a body"],
)
def test_whoever_sends_at_once_gets_in(begun: bytes) -> None:
    """Of a full house, the one that has kept it waiting longest makes room."""

    async def use(served: Served) -> None:
        waiting = []
        for _ in range(8):
            waiting.append(await served.connect())
            waiting[-1][1].write(begun)
            if begun == REQUEST:
                assert b"200" in await waiting[-1][0].readline()
        for _ in range(20):
            reader, writer = await served.connect()
            writer.write(REQUEST)
            assert b"200" in await reader.readline()
            waiting.append((reader, writer))
        await ended(waiting[0][0])  # the first of them is gone
        for _, writer in waiting:
            writer.close()

    with_limits(limits(connections_max=8), use)


def test_requests_under_way_are_not_cut_for_a_newcomer() -> None:
    """It is told so, with when to come again; afterwards there is room."""

    async def use(served: Served) -> None:
        busy = [await served.connect() for _ in range(3)]
        for _, writer in busy:
            writer.write(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n")
            await served.waiting.wait()
            served.waiting.clear()
        for _ in range(5):
            reader, writer = await served.connect()
            writer.write(REQUEST)
            answer = await ended(reader)
            writer.close()
            assert answer.startswith(b"HTTP/1.1 429 ")
            assert b"retry-after: 1\r\n" in answer
            assert b'"code":"rate_limited"' in answer
        served.let_go.set()
        for reader, _ in busy:
            assert b"200" in await reader.readline()
        reader, writer = await served.connect()
        writer.write(REQUEST)
        assert b"200" in await reader.readline()
        for _, each in [*busy, (reader, writer)]:
            each.close()

    with_limits(limits(connections_max=3), use)


class Guest:
    """A visitor that tells what became of it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def has_taken(self) -> bool:
        return False

    def held_bytes(self) -> int:
        return 0

    def overdue(self, phase: Phase) -> None:
        self.told.append(phase)

    def evict(self) -> None:
        self.told.append("evicted")

    def shut(self) -> None:
        self.told.append("shut")


def test_the_door_forgets_whom_it_let_go() -> None:
    """Each is told once, in the order of the lists; nobody who left is told anything."""

    async def case() -> None:
        door = Door(limits(head_ms=0, answer_ms=0))
        gone, head, answer = Guest(), Guest(), Guest()
        door.admit(gone)
        door.waiting["head"][gone] = 0.0
        door.leave(gone)
        assert door.admit(head)
        door.waiting["head"][head] = 0.0
        door.waiting["answer"][answer] = 0.0
        door.sweep()
        door.sweep()
        assert (gone.told, head.told, answer.told) == ([], ["head"], ["answer"])

    asyncio.run(case())
