"""A daemon with routes of its own behind a real socket, and how long its connections may take."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable

import msgspec

from lakehouse.core.observation import ModelCallEnded, RequestEnded, SessionEnded
from lakehouse.transport.daemon import serve
from lakehouse.transport.door import DoorLimits
from lakehouse.transport.listening import listen_on
from lakehouse.transport.response import Response
from lakehouse.transport.route import Call, Route, Routes
from lakehouse.transport.server import Application, Calls
from support.steady_loop import run_steadily
from support.waiting import WAIT_S

REQUEST = b"GET /small HTTP/1.1\r\nhost: localhost\r\n\r\n"
LARGE_BYTES = 32 << 20
# Longer than any test: what is not tested must not happen.
NEVER_MS = 600_000


class Anything(msgspec.Struct):
    """A body of which nothing is wanted."""


class Served:
    """A daemon with a small answer, a large one, and one that waits to be let go."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.let_go = asyncio.Event()
        self.waiting = asyncio.Event()
        self.sent = asyncio.Event()

    async def small(self, _: Call[None]) -> Response:
        return Response(200, b"{}")

    async def posted(self, _: Call[Anything]) -> Response:
        return Response(200, b"{}")

    async def large(self, _: Call[None]) -> Response:
        return Response(200, bytes(LARGE_BYTES))

    def request(self, ended: RequestEnded) -> None:
        if ended.route == "/large":
            self.sent.set()

    def session(self, ended: SessionEnded) -> None:
        raise AssertionError

    def model_call(self, ended: ModelCallEnded) -> None:
        raise AssertionError

    async def slow(self, _: Call[None]) -> Response:
        self.waiting.set()
        await self.let_go.wait()
        return Response(200, b"{}")

    def routes(self) -> Routes:
        return (
            Route(method="GET", path="/small", handler=self.small, summary="", reply={}),
            Route(
                method="POST",
                path="/small",
                handler=self.posted,
                summary="",
                request=Anything,
                reply=Anything,
            ),
            Route(method="GET", path="/large", handler=self.large, summary="", reply={}),
            Route(method="GET", path="/slow", handler=self.slow, summary="", reply={}),
        )

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 16)


def with_limits(limits: DoorLimits, use: Callable[[Served], Awaitable[None]]) -> None:
    async def case() -> None:
        calls, ready = Calls(), asyncio.Event()
        listener = listen_on("127.0.0.1", 0)
        served = Served(listener.getsockname()[1])
        serving = asyncio.create_task(
            serve(
                Application(served.routes(), calls=calls, observer=served),
                listener,
                drain=calls.drain,
                drain_ms=60_000,
                on_ready=ready.set,
                limits=limits,
            )
        )
        await ready.wait()
        try:
            async with asyncio.timeout(WAIT_S):
                await use(served)
        finally:
            served.let_go.set()
            if not serving.done():  # the test itself may have ended it
                signal.raise_signal(signal.SIGTERM)
            await serving

    run_steadily(case())


def limits(**changed: int) -> DoorLimits:
    values = {"idle_ms": NEVER_MS, "head_ms": NEVER_MS, "answer_ms": NEVER_MS, "sweep_ms": 10}
    return DoorLimits(**{**values, **changed})


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Read to the end of the connection."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(1 << 16):
            got += piece
    return got
