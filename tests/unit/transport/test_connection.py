"""One exchange on one connection, byte by byte: splitting changes nothing, noise breaks nothing."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.transport.connection import Connection, HttpLimits, HttpReply, TransportFault

LIMITS = HttpLimits(60_000, 60_000, 60_000, 60_000, 100)
CHUNKED = (
    b"HTTP/1.1 103 Early\r\nx: y\r\n\r\nHTTP/1.1 429 Slow\r\nRetry-After: 7\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nt: u\r\n\r\n"
)
ANSWERS = [
    b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 4\r\n\r\n\xc3\xb6ab",
    CHUNKED,
]


class Sink(asyncio.Transport):
    """A transport that keeps nothing and can be aborted."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def write(self, data: Any) -> None:
        assert data

    def abort(self) -> None:
        self.aborted = True


def exchange(*parts: bytes, lost: bool = False) -> HttpReply | TransportFault | None:
    """Feed parts as reads; None while the exchange would still wait."""

    async def case() -> HttpReply | TransportFault | None:
        loop = asyncio.get_running_loop()
        connection, sink = Connection(loop), Sink()
        connection.connection_made(sink)
        call = asyncio.create_task(connection.exchange(b"x", LIMITS, loop.time() + 60))
        await asyncio.sleep(0)
        for part in parts:
            connection.data_received(part)
        if lost:
            connection.connection_lost(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if not call.done():
            call.cancel()
            return None
        error = call.exception()
        if error is None:
            return call.result()
        assert isinstance(error, TransportFault)
        assert sink.aborted or lost
        return error

    return asyncio.run(case())


@pytest.mark.parametrize("answer", ANSWERS)
@given(data=st.data())
def test_an_answer_is_the_same_however_it_is_split(answer: bytes, data: st.DataObject) -> None:
    """TCP may cut anywhere, in a header or in a character."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=6)))
    parts = [answer[a:b] for a, b in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    whole = exchange(answer)
    assert isinstance(whole, HttpReply)
    assert exchange(*[part for part in parts if part]) == whole


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_is_cut_anywhere_is_no_answer(answer: bytes) -> None:
    """Before the first byte it is `connect`, after that `malformed`; never a shorter body."""
    for end in range(len(answer)):
        fault = exchange(answer[:end], lost=True) if end else exchange(lost=True)
        assert isinstance(fault, TransportFault), end
        assert fault.kind == ("malformed" if end else "connect")


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9\r\n", ANSWERS[0], None])
def test_a_peer_that_speaks_or_leaves_first_is_sent_nothing(greeting: bytes | None) -> None:
    """What came before the request is never its answer; the call ends at once, as `connect`."""

    async def case() -> None:
        loop = asyncio.get_running_loop()
        connection, sink = Connection(loop), Sink()
        connection.connection_made(sink)
        if greeting is None:
            connection.connection_lost(None)
        else:
            connection.data_received(greeting)
        assert sink.aborted == (greeting is not None)
        with pytest.raises(TransportFault) as caught:
            await connection.exchange(b"x", LIMITS, loop.time() + 60)
        assert (caught.value.kind, caught.value.unsent) == ("connect", True)

    asyncio.run(case())


@given(st.lists(st.binary(min_size=1, max_size=80), min_size=1, max_size=4))
def test_noise_is_a_fault_or_waited_on(parts: list[bytes]) -> None:
    """No bytes of a peer raise anything else, nor are they an answer."""
    got = exchange(*parts)
    assert got is None or (isinstance(got, TransportFault) and got.kind == "malformed")


@given(st.binary(max_size=60), st.integers(0, len(CHUNKED)))
def test_noise_amid_an_answer_raises_nothing_else(noise: bytes, at: int) -> None:
    """A damaged answer ends as an answer, a fault, or a wait; the body stays within its limit."""
    damaged = CHUNKED[:at] + noise + CHUNKED[at:]
    got = exchange(damaged)
    assert not isinstance(got, HttpReply) or len(got.body) <= LIMITS.body_bytes_max
