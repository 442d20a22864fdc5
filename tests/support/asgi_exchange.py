"""An exchange without a connection, for what calls an application as ASGI does."""

from collections.abc import Awaitable, Callable
from unittest.mock import Mock

from lakehouse.transport.asgi import App, Receive, Scope, Send
from lakehouse.transport.exchange import Exchange
from lakehouse.transport.head import Fields
from lakehouse.transport.request_head import RequestHead, Target


class AsgiExchange(Exchange):
    """Takes its request from ASGI's messages, and gives its answer as such."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, query = scope["path"], scope["query_string"].decode("latin-1")
        head = RequestHead()
        for name, value in scope["headers"]:
            head.headers.setdefault(name.decode(), []).append(value.decode("latin-1"))
        used = ["write_paused", "pause_reading", "resume_reading"]
        carrier = Mock(write_paused=False, spec_set=used)
        target = Target(path, path, query, None)
        super().__init__(
            carrier, scope["method"], scope["http_version"], target, head, keep_alive=True
        )
        self._receive = receive
        self._send = send

    async def arrival(self) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.leave()
            return
        self.add(message.get("body", b""))
        if not message.get("more_body", False):
            self.complete()

    async def answer(self, status: int, fields: Fields, body: bytes) -> None:
        await self.begin(status, fields)
        await self.send(body)
        await self.end()

    async def begin(self, status: int, fields: Fields) -> None:
        self.begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": [*fields]})

    async def send(self, piece: bytes | memoryview) -> None:
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})


def bare_exchange(receive: Receive, send: Send, *headers: tuple[bytes, bytes]) -> AsgiExchange:
    """Give the exchange of a POST with these header fields."""
    scope = {"http_version": "1.1", "method": "POST", "path": "/", "query_string": b""}
    return AsgiExchange({**scope, "headers": headers}, receive, send)


def as_asgi(app: Callable[[Exchange], Awaitable[None]]) -> App:
    """Let a test client call an application."""

    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for moment in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{moment}.complete"})
            return
        await app(AsgiExchange(scope, receive, send))

    return called
