"""An HTTP/1.1 server on a raw socket of 127.0.0.1 that answers with whatever bytes a test wants."""

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from support.waiting import WAIT_S

HOLD_S = WAIT_S  # how long a handler waits for its client to go away, at most


@dataclass
class Request:
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, f"{name} was sent {len(values)} times"
        return values[0] if values else None

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Exchange:
    """One request under way; what a handler answers with."""

    request: Request
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        if self.writer.is_closing():  # uvloop would raise RuntimeError
            raise ConnectionResetError("the client went away")
        self.writer.write(data)
        await self.writer.drain()

    async def reply(
        self,
        body: bytes | str | dict[str, Any],
        status: int = 200,
        headers: list[tuple[str, str]] | None = None,
        media_type: str = "application/json",
    ) -> None:
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        data = data.encode() if isinstance(data, str) else data
        lines = [f"HTTP/1.1 {status} Said", f"content-type: {media_type}"]
        lines += [f"{name}: {value}" for name, value in headers or []]
        if status != 204:
            lines.append(f"content-length: {len(data)}")
        await self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + data)

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def client_gone(self) -> bool:
        """Wait until the client closes its side; false when it does not within `HOLD_S`."""
        try:
            async with asyncio.timeout(HOLD_S):
                while await self.reader.read(4096):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True


Handler = Callable[[Exchange], Awaitable[None]]


@dataclass
class RawServer:
    """Serves `handler`; records every request. The handler may write, hang, or cut the line."""

    handler: Handler
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    first_bytes: list[bytes] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, ssl=self.tls, limit=4 << 20
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=WAIT_S)

    async def forsaken(self) -> None:
        """Wait until every connection has ended."""
        async with asyncio.timeout(WAIT_S):
            while self._tasks:
                await asyncio.wait(self._tasks)

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while not writer.is_closing():
                request = await self._read(reader)
                if request is None:
                    break
                self.requests.append(request)
                await self.handler(Exchange(request, reader, writer))
        except (asyncio.CancelledError, asyncio.IncompleteReadError, OSError):
            # Cancelled when the test ends; swallowed because asyncio's stream server would print.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Request | None:
        first = await reader.read(1)
        if not first:
            return None
        self.first_bytes.append(first)
        if not first.isalpha():
            return None  # no HTTP: a TLS greeting, for one
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, version = head[0].split(" ")
        assert version == "HTTP/1.1"
        pairs = (line.split(": ", 1) for line in head[1:] if line)
        headers = [(name.lower(), value) for name, value in pairs]
        length = int(dict(headers).get("content-length", "0"))
        return Request(method, path, headers, await reader.readexactly(length))
