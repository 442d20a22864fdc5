"""The server side of HTTP over a real socket: what becomes of a caller that stops amid its body."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from starlette.types import Message

import lakehouse.transport.request_body as body_module
from lakehouse.transport.daemon import listen_on, serve
from lakehouse.transport.server import Call, Calls, Response, build_app, json_response

IDLE_MS = 200
HEAD = b"POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


async def echo(call: Call) -> Response:
    return json_response(msgspec.json.decode(call.body))


def with_server(use: Callable[[int, Calls], Awaitable[None]]) -> None:
    """Serve on a free port as the daemons do, until `use` has ended."""

    async def case() -> None:
        calls, ready = Calls(), asyncio.Event()
        listener = listen_on("127.0.0.1", 0)
        port = listener.getsockname()[1]
        app = build_app({"/echo": {"POST": echo}}, calls=calls)
        serving = asyncio.create_task(
            serve(app, listener, drain=calls.drain, drain_ms=4_000, on_ready=ready.set)
        )
        await ready.wait()
        try:
            await use(port, calls)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # the only end that `serve` has
            await serving

    asyncio.run(case())


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
            async with asyncio.timeout(3):
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

    with pytest.raises(body_module.Stalled, match=f"{IDLE_MS} ms have passed"):
        asyncio.run(body_module.read_body({"content-length": ["1000000"]}, receive))
    assert pieces > 1


def test_a_slow_body_is_taken_while_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is of each pause, not of the whole."""
    monkeypatch.setattr(body_module, "BODY_IDLE_MS_MAX", IDLE_MS)

    async def use(port: int, _: Calls) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        started_s = time.monotonic()
        with contextlib.closing(writer):
            writer.write(HEAD + b"connection: close\r\ncontent-length: 9\r\n\r\n")
            for piece in (b"[1", b", ", b"2,", b" 3]"):
                await asyncio.sleep(IDLE_MS / 2_000)
                writer.write(piece)
            async with asyncio.timeout(3):
                answer = await reader.read()
        assert time.monotonic() - started_s > IDLE_MS / 1000
        assert answer.endswith(b"\r\n\r\n[1,2,3]")

    with_server(use)
