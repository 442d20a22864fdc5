"""One connection without a socket: what is written, in how many writes, and when it is closed."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

import pytest

from lakehouse.transport.door import Door, DoorLimits
from lakehouse.transport.exchange import Exchange
from lakehouse.transport.head import encode_head
from lakehouse.transport.inbound import Inbound

GET = b"GET /a HTTP/1.1\r\nhost: localhost\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 200000\r\n\r\n"
JSON = ((b"content-type", b"application/json"), (b"content-length", b"2"))


class Wire(asyncio.Transport):
    """A transport that remembers."""

    def __init__(self) -> None:
        self.ends = socket.socketpair()
        super().__init__({"socket": self.ends[0]})
        self.writes: list[bytes] = []
        self.closed = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


async def whole(exchange: Exchange, _: object = None) -> None:
    await exchange.answer(200, JSON, b"{}")


def after(answer: Callable[[Exchange, Wire], Awaitable[None]], *received: bytes) -> Wire:
    """Give what a connection has done when these bytes have come and its tasks have ended."""
    wire = Wire()

    async def case() -> None:
        loop = asyncio.get_running_loop()
        inbound = Inbound(lambda exchange: answer(exchange, wire), Door(DoorLimits()), loop)
        inbound.connection_made(wire)
        for data in received:
            inbound.data_received(data)
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.gather(*others)

    try:
        asyncio.run(case())
    finally:
        for end in wire.ends:
            end.close()
    return wire


def test_a_small_answer_is_one_write():
    wire = after(whole, GET)
    [answer] = wire.writes
    assert answer.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
    assert answer.endswith(b"\r\ncontent-length: 2\r\n\r\n{}")
    assert not wire.closed


def test_requests_that_come_together_are_answered_in_order():
    """The second begins when the first is answered, however long that takes."""
    order: list[str] = []

    async def answer(exchange: Exchange, _: Wire) -> None:
        order.append(f"begins {len(order)}")
        await asyncio.sleep(0)
        await whole(exchange)
        order.append(f"ends {len(order)}")

    wire = after(answer, GET + GET, GET)
    assert order == ["begins 0", "ends 1", "begins 2", "ends 3", "begins 4", "ends 5"]
    assert len(wire.writes) == 3


@pytest.mark.parametrize(
    ("body", "fault"), [(b"{} ", "longer"), (b"{", "shorter")], ids=["longer", "shorter"]
)
def test_a_body_that_its_length_belies_closes_the_connection(
    body: bytes, fault: str, caplog: pytest.LogCaptureFixture
):
    """The next answer would be read out of its rest."""

    async def answer(exchange: Exchange, _: Wire) -> None:
        await exchange.begin(200, JSON)
        await exchange.send(body)
        await exchange.end()

    wire = after(answer, GET)
    assert wire.closed
    assert f"{fault} than its head says" in caplog.text
    assert b"{} " not in wire.writes


def test_an_answer_that_does_not_end_closes_the_connection():
    async def answer(exchange: Exchange, _: Wire) -> None:
        await exchange.begin(200, JSON)

    assert after(answer, GET).closed


def test_an_answer_that_fails_before_it_begins_is_told_to_the_operator(
    caplog: pytest.LogCaptureFixture,
):
    async def answer(exchange: Exchange, _: Wire) -> None:
        raise RuntimeError("no luck")

    with caplog.at_level(logging.ERROR):
        wire = after(answer, GET)
    assert wire.closed
    assert "an answer failed: GET /a" in caplog.text
    assert "no luck" in caplog.text


def test_a_body_that_nobody_takes_is_not_read_without_end():
    """Reading goes on once it is taken."""
    held: list[bool] = []

    async def answer(exchange: Exchange, wire: Wire) -> None:
        held.append(wire.reading)
        taken = len(exchange.take())
        held.append(wire.reading)
        assert taken == 100_000
        await whole(exchange)

    after(answer, POST + bytes(100_000))
    assert held == [False, True]


@pytest.mark.parametrize("value", [b"a\nb: c", b"a\r\nb: c", b"a\r"])
def test_a_header_field_cannot_become_two(value: bytes):
    with pytest.raises(ValueError, match="end of a line"):
        encode_head(200, [(b"x", value)])
