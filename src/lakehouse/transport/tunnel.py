"""Connects through an HTTP proxy to a TLS server: CONNECT, then TLS inside the tunnel.

The proxy sees only host and port; the certificate that is checked is the server's.
"""

import asyncio
import ssl
from typing import Final, cast

from lakehouse.transport.connection import Connection
from lakehouse.transport.proxy import ProxyAddress, ProxyRefused

_HEAD_BYTES_MAX: Final = 16 << 10
_END: Final = b"\r\n\r\n"


class TunnelHandshake(asyncio.Protocol):
    """One connection to a proxy, until the proxy has answered CONNECT."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._opened: asyncio.Future[None] = loop.create_future()
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read the proxy's head; nothing may follow it, because in TLS the client speaks first."""
        self._head += data
        if self._opened.done():
            return
        head, end, rest = self._head.partition(_END)
        if not end:
            if len(self._head) > _HEAD_BYTES_MAX:
                self._fail("it answered no HTTP")
            return
        words = head.split(b"\r\n", 1)[0].split(b" ", 2)
        status = words[1] if len(words) > 1 and words[0].startswith(b"HTTP/1.") else b""
        if not (len(status) == 3 and status.isdigit()):
            self._fail("it answered no HTTP")
        elif status[:1] != b"2":
            self._fail(f"it answered status {status.decode('ascii')} to CONNECT")
        elif rest:
            self._fail("it sent unexpected bytes")
        else:
            self._opened.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"it closed the connection: {exc or 'closed'}")

    async def open(
        self, host: str, port: int, proxy: ProxyAddress, context: ssl.SSLContext
    ) -> Connection:
        """Open the tunnel and start TLS in it; any error closes the connection.

        Raises:
            OSError: `ProxyRefused`, or a TLS error of the server.
        """
        name = f"[{host}]" if ":" in host else host
        lines = [f"CONNECT {name}:{port} HTTP/1.1", f"host: {name}:{port}"]
        if proxy.authorization is not None:
            lines.append(f"proxy-authorization: {proxy.authorization}")
        try:
            self._transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
            await self._opened
            connection = Connection(self._loop)
            transport = await self._loop.start_tls(
                self._transport, connection, context, server_hostname=host
            )
        except BaseException:
            self._transport.abort()
            raise
        if transport is None:  # asyncio's type allows it if the connection is lost
            raise ConnectionResetError("the connection was lost during the TLS handshake")
        connection.connection_made(transport)
        return connection

    def _fail(self, why: str) -> None:
        if not self._opened.done():
            self._opened.set_exception(ProxyRefused(f"the proxy did not open the way: {why}"))
