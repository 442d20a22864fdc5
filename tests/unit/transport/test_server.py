"""The server side of HTTP over a real socket: what becomes of a caller that stops amid its body."""

import asyncio
import contextlib
import os
import signal
import socket
import struct
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

import msgspec
import pytest

import lakehouse.transport.request_body as body_module
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.transport.asgi import Message
from lakehouse.transport.daemon import serve
from lakehouse.transport.error_shape import ErrorShape, FailedCall
from lakehouse.transport.listening import listen_on
from lakehouse.transport.problem import PROBLEMS
from lakehouse.transport.response import Response, json_response
from lakehouse.transport.route import Call, Route, Routes
from lakehouse.transport.server import Application, Calls
from support.asgi_exchange import bare_exchange
from support.steady_loop import run_steadily
from support.waiting import WAIT_S

IDLE_MS = 200
HEAD = b"POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


class Echo(msgspec.Struct):
    """Any body is good enough here."""

    said: list[int]


async def echo(call: Call[Echo]) -> Response:
    return json_response(call.request)


ECHO = Route(method="POST", path="/echo", handler=echo, summary="Echo.", request=Echo, reply=Echo)


def with_server(use: Callable[[int, Calls], Awaitable[None]], routes: Routes = (ECHO,)) -> None:
    """Serve on a free port as the daemons do, until `use` has ended."""

    async def case() -> None:
        calls, ready = Calls(), asyncio.Event()
        listener = listen_on("127.0.0.1", 0)
        port = listener.getsockname()[1]
        app = Application(routes, calls=calls)
        serving = asyncio.create_task(
            serve(app, listener, drain=calls.drain, drain_ms=60_000, on_ready=ready.set)
        )
        await ready.wait()
        try:
            await use(port, calls)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # the only end that `serve` has
            await serving

    run_steadily(case())


@pytest.mark.parametrize(
    "begun",
    [
        HEAD + b"content-length: 10\r\n\r\n",
        HEAD + b"content-length: 10\r\n\r\n[1, 2",
        HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\n[1,\r\n",
    ],
    ids=["no byte", "half", "half, chunked"],
)
def test_a_body_that_stops_is_refused_and_its_connection_closed(
    begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 400 with a stable code after the limit, not before; nothing of the request is left."""
    monkeypatch.setattr(body_module, "BODY_IDLE_MS_MAX", IDLE_MS)

    async def use(port: int, calls: Calls) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        started_s = time.monotonic()
        writer.write(begun)
        with contextlib.closing(writer):
            async with asyncio.timeout(WAIT_S):
                answer = await reader.read()  # to the end of the connection
        assert time.monotonic() - started_s >= IDLE_MS / 1000
        assert len(calls) == 0
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"application/problem+json" in head
        problem = msgspec.json.decode(body)
        assert problem["code"] == "invalid_request"
        assert f"{IDLE_MS} ms" in problem["detail"]

    with_server(use)


def test_a_body_that_drips_for_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause is long, and yet the whole ends."""
    monkeypatch.setattr(body_module, "BODY_MS_MAX", IDLE_MS)
    pieces = 0

    async def receive() -> Message:
        nonlocal pieces
        pieces += 1
        assert pieces < 1_000
        await asyncio.sleep(IDLE_MS / 20_000)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    exchange = bare_exchange(receive, send, (b"content-length", b"1000000"))
    with pytest.raises(body_module.Stalled, match=f"{IDLE_MS} ms passed"):
        run_steadily(body_module.read_body(exchange))
    assert pieces > 1


def test_a_slow_body_is_taken_while_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is of each pause, not of the whole."""
    monkeypatch.setattr(body_module, "BODY_IDLE_MS_MAX", IDLE_MS)

    async def use(port: int, _: Calls) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        started_s = time.monotonic()
        with contextlib.closing(writer):
            writer.write(HEAD + b"connection: close\r\ncontent-length: 19\r\n\r\n")
            for piece in (b'{"said": [1', b", ", b"2,", b" 3]}"):
                await asyncio.sleep(IDLE_MS / 2_000)
                writer.write(piece)
            async with asyncio.timeout(WAIT_S):
                answer = await reader.read()
        assert time.monotonic() - started_s > IDLE_MS / 1000
        assert answer.endswith(b'\r\n\r\n{"said":[1,2,3]}')

    with_server(use)


async def last_answer(port: int, request: bytes) -> bytes:
    """Send a request that closes its connection, and read to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    with contextlib.closing(writer):
        async with asyncio.timeout(WAIT_S):
            return await reader.read()


class Pieces:
    """A body that is written while it is sent, and may fail midway."""

    def __init__(self, *, fails: bool) -> None:
        self.fails = fails
        self.go_on = asyncio.Event()
        self.closed = False

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        try:
            yield b"first,"
            await self.go_on.wait()
            if self.fails:
                raise ValueError("the rest cannot be had")
            yield b"second"
        finally:
            self.closed = True


def streaming(pieces: Pieces) -> Routes:
    async def flow(_: Call[None]) -> Response:
        return Response(200, pieces.__aiter__(), "text/event-stream")

    return (
        Route(method="GET", path="/flow", handler=flow, summary="Flow.", reply={}, streams=True),
    )


@pytest.mark.parametrize("fails", [False, True])
def test_a_body_in_pieces_is_sent_as_it_comes_and_ends_only_when_whole(
    fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The first piece is there while the second is not made; a failure leaves the end mark out."""
    pieces = Pieces(fails=fails)

    async def use(port: int, calls: Calls) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /flow HTTP/1.1\r\nhost: localhost\r\n\r\n")
        with contextlib.closing(writer):
            async with asyncio.timeout(WAIT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                assert b"transfer-encoding: chunked" in head.lower()
                assert b"x-lakehouse-trace-id" in head
                assert await reader.readuntil(b"first,\r\n") == b"6\r\nfirst,\r\n"
                assert len(calls) == 1  # a drain waits for it
                pieces.go_on.set()
                if fails:
                    assert await reader.read() == b""  # closed, without a last chunk
                else:
                    assert await reader.readuntil(b"0\r\n\r\n") == b"6\r\nsecond\r\n0\r\n\r\n"
        assert len(calls) == 0
        assert pieces.closed

    with_server(use, streaming(pieces))
    assert ("the rest cannot be had" in caplog.text) == fails
    assert "without completing response" not in caplog.text


class Flood(Pieces):
    """Pieces that are always there: nothing waits between one and the next."""

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        try:
            while True:
                yield b"first,"
        finally:
            self.closed = True


@pytest.mark.parametrize("reset", [True, False])
def test_a_caller_that_leaves_a_flood_ends_it(reset: bool) -> None:
    """The generator never waits, so only a look at the connection can end it."""
    pieces = Flood(fails=False)
    with_server(
        lambda port, calls: closed_with(pieces, port, calls, reset=reset), streaming(pieces)
    )


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_pieces_for_http_1_0_end_with_the_connection(method: bytes) -> None:
    """It has no chunks: it would take their sizes for content."""
    pieces = Pieces(fails=False)
    pieces.go_on.set()

    async def use(port: int, _: Calls) -> None:
        answer = await last_answer(port, method + b" /flow HTTP/1.0\r\nhost: localhost\r\n\r\n")
        head, _blank, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"transfer-encoding" not in head
        assert b"content-length" not in head
        assert body == (b"first,second" if method == b"GET" else b"")

    with_server(use, streaming(pieces))


def test_pieces_are_declared_by_their_route(caplog: pytest.LogCaptureFixture) -> None:
    """Else it is a bug of ours: the caller is told so, and the log says which route."""

    async def differs(_: Call[None]) -> Response:
        return Response(200, Pieces(fails=False).__aiter__())

    route = Route(method="GET", path="/x", handler=differs, summary="", reply={})

    async def use(port: int, _: Calls) -> None:
        request = b"GET /x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        assert b'"code":"crashed"' in await last_answer(port, request)

    with_server(use, (route,))
    assert "/x does not declare" in caplog.text


def test_a_request_that_cannot_be_taken_now_is_not_decoded() -> None:
    """A full gateway says so, whatever the body holds; a length may begin with zeros."""

    def admit(_: Mapping[str, Sequence[str]]) -> None:
        raise Refusal("rate_limited", "full", retry_after_s=1)

    async def use(port: int, _: Calls) -> None:
        answer = await last_answer(
            port, HEAD + b"connection: close\r\ncontent-length: " + b"0" * 30 + b"1\r\n\r\n{"
        )
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"retry-after: 1" in answer

    with_server(use, (msgspec.structs.replace(ECHO, admit=admit),))


def test_head_of_a_stream_makes_no_pieces() -> None:
    """It would have no end where the stream has none."""
    pieces = Pieces(fails=False)

    async def use(port: int, _: Calls) -> None:
        answer = await last_answer(
            port, b"HEAD /flow HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"\r\n\r\n")

    with_server(use, streaming(pieces))


def test_a_stop_cuts_a_body_that_is_not_whole() -> None:
    """The drain does not wait for ever, and the caller does not take the part for the whole."""
    pieces = Pieces(fails=False)

    async def use(port: int, calls: Calls) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /flow HTTP/1.1\r\nhost: localhost\r\n\r\n")
        with contextlib.closing(writer):
            async with asyncio.timeout(WAIT_S):
                await reader.readuntil(b"first,\r\n")
                await calls.drain(0)
                assert await reader.read() == b""
        assert pieces.closed

    with_server(use, streaming(pieces))


async def closed_with(pieces: Pieces, port: int, calls: Calls, *, reset: bool) -> None:
    """Take the first piece, go away, and wait until nothing is made any more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /flow HTTP/1.1\r\nhost: localhost\r\n\r\n")
    async with asyncio.timeout(WAIT_S):
        await reader.readuntil(b"first,\r\n")
        if reset:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()
        while not pieces.closed or len(calls):
            await asyncio.sleep(0.01)


def test_a_caller_that_breaks_the_connection_ends_what_makes_the_pieces() -> None:
    """Also while it waits for the next one, which may never come."""
    pieces = Pieces(fails=False)
    with_server(lambda port, calls: closed_with(pieces, port, calls, reset=True), streaming(pieces))
    assert not pieces.go_on.is_set()


class Ticks(Pieces):
    """One piece after the other, without an end."""

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        try:
            while True:
                yield b"first,"
                await asyncio.sleep(0.01)
        finally:
            self.closed = True


def test_a_caller_that_closes_ends_what_makes_the_pieces_at_one_of_the_next() -> None:
    """It may only have stopped asking, until a piece finds nobody."""
    pieces = Ticks(fails=False)
    with_server(
        lambda port, calls: closed_with(pieces, port, calls, reset=False), streaming(pieces)
    )


def test_an_error_takes_the_shape_of_its_route() -> None:
    """Also where the method is wrong; the fields that HTTP wants are there in every shape."""

    def shape(error: Refusal | InfraError, call: FailedCall) -> Response:
        assert call.session_id
        assert not call.inner
        assert call.elapsed_ms >= 0
        return Response(error.status, b'{"error":"' + error.code.encode() + b'"}')

    errors = ErrorShape(shape, Echo, "application/json", PROBLEMS.statuses)
    route = msgspec.structs.replace(ECHO, errors=errors)

    async def use(port: int, _: Calls) -> None:
        for request, status, code in (
            (HEAD + b"content-length: 2\r\n\r\n{}", b"400", b"invalid_request"),
            (HEAD.replace(b"POST", b"PUT") + b"\r\n", b"405", b"method_not_allowed"),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
            with contextlib.closing(writer):
                async with asyncio.timeout(WAIT_S):
                    answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 " + status)
            assert answer.endswith(b'{"error":"' + code + b'"}')
            assert (b"allow: POST" in answer) == (status == b"405")

    with_server(use, (route,))
