"""The HTTP/1.1 client to models and to our own daemons: one request, one whole answer, hard limits.

Framing is llhttp's (`httptools`), connections are asyncio's; what stands here is the pool and the
limits. It is ours because the client libraries we measured fail one of two needs: pyreqwest 0.15
leaves a cancelled request running until its answer arrives (tokens bought for nobody) and cannot
tell waiting for a connection from waiting for an answer; aiohttp costs four times the CPU. Dated
figures are in the decision record.

It refuses: redirects, proxies from the environment, cookies, HTTP/2, compressed bodies (so no
bomb), and to send a request twice: the only retry loop of the stack is in `chatd`.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal, cast
from urllib.parse import urlsplit

import httptools
import msgspec

from lakehouse.core.limits import UPSTREAM_HEADER_BYTES_MAX

FaultKind = Literal[
    "connect",
    "timeout_connect",
    "timeout_first_byte",
    "timeout_idle",
    "timeout_total",
    "malformed",
    "too_large",
]

# uvicorn and Node close a connection that was idle for 5 s. Reusing none that old keeps a request
# from crossing with the server's close, which could not be told from a lost request.
_IDLE_S: Final = 4.0
_IDLE_CONNECTIONS_MAX: Final = 64  # kept per origin; calls at once are bounded by their callers
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_BODILESS_STATUS: Final = frozenset({204, 304})


class HttpLimits(msgspec.Struct, frozen=True):
    """The bounds of one call, each enforced by itself.

    `connect_ms` covers DNS, TCP and TLS; `first_byte_ms` runs from sending the request to the end
    of the answer's headers; `idle_ms` between two reads of the body; `total_ms` over all of it.
    """

    connect_ms: int
    first_byte_ms: int
    idle_ms: int
    total_ms: int
    body_bytes_max: int


class HttpReply(msgspec.Struct, frozen=True):
    """One whole answer. Header names are lowercase; fields of one name are joined by `, `."""

    status: int
    headers: dict[str, str]
    body: bytes


class TransportFault(Exception):
    """No whole answer came. `connect` also means reset before the first byte of an answer.

    `unsent`: surely no byte of the request left, so nobody can have acted on it. `detail` is for
    our own log; it never holds a header or a body.
    """

    def __init__(self, kind: FaultKind, detail: str, *, unsent: bool = False) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind: FaultKind = kind
        self.detail = detail
        self.unsent = unsent


def check_url(url: str) -> None:
    """Refuse a URL that no call could be made to.

    Raises:
        ValueError: Saying why, without repeating the URL.
    """
    _target(url)


def check_header(name: str, value: str) -> None:
    """Refuse a header that would break the request apart.

    Raises:
        ValueError: Naming the header; its value is not repeated.
    """
    if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
        raise ValueError(f"the header {name!r} holds a character that no header may hold")


class HttpClient:
    """A pool of keep-alive connections, for one event loop.

    TLS certificates are verified against the system's authorities, or by `tls` where given.
    Cancelling a call closes its connection at once. Cost: about 35 µs of CPU a call.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._idle: dict[_Origin, list[_Connection]] = {}
        self._busy: set[_Connection] = set()

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: bytes, limits: HttpLimits
    ) -> HttpReply:
        """Send a body and read the whole answer, whatever its status. Never sent twice.

        Raises:
            TransportFault: Within `limits`.
            ValueError: The URL or a header is not fit to be sent; its value is not repeated.
        """
        return await self._call("POST", url, headers, body, limits)

    async def get(self, url: str, *, headers: Mapping[str, str], limits: HttpLimits) -> HttpReply:
        """Ask and read the whole answer; raises as `post` does."""
        return await self._call("GET", url, headers, None, limits)

    async def close(self) -> None:
        """Close every connection; calls under way end as `connect`."""
        connections = [*self._busy, *(c for idle in self._idle.values() for c in idle)]
        self._idle.clear()
        for connection in connections:
            connection.abort("the client was closed")

    async def _call(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        limits: HttpLimits,
    ) -> HttpReply:
        total_at = asyncio.get_running_loop().time() + limits.total_ms / 1000
        target = _target(url)
        data = _request(method, target, headers, body)
        connection = self._take(target.origin)
        if connection is None:
            connection = await self._connect(target.origin, limits, total_at)
        self._busy.add(connection)
        try:
            reply = await connection.exchange(data, limits, total_at)
        except asyncio.CancelledError:
            connection.abort("the call was cancelled")
            raise
        finally:
            self._busy.discard(connection)
        self._give_back(target.origin, connection)
        return reply

    def _take(self, origin: "_Origin") -> "_Connection | None":
        idle = self._idle.get(origin)
        oldest = asyncio.get_running_loop().time() - _IDLE_S
        while idle:
            connection = idle.pop()
            if connection.reusable and connection.idle_since > oldest:
                return connection
            connection.abort("idle for too long")
        return None

    def _give_back(self, origin: "_Origin", connection: "_Connection") -> None:
        idle = self._idle.setdefault(origin, [])
        if connection.reusable and len(idle) < _IDLE_CONNECTIONS_MAX:
            connection.idle_since = asyncio.get_running_loop().time()
            idle.append(connection)
        else:
            connection.abort("not kept")

    async def _connect(
        self, origin: "_Origin", limits: HttpLimits, total_at: float
    ) -> "_Connection":
        loop = asyncio.get_running_loop()
        connect_at = loop.time() + limits.connect_ms / 1000
        try:
            async with asyncio.timeout_at(min(connect_at, total_at)):
                _, connection = await loop.create_connection(
                    lambda: _Connection(loop),
                    origin.host,
                    origin.port,
                    ssl=self._context() if origin.tls else None,
                )
        except TimeoutError as error:
            if total_at < connect_at:
                raise TransportFault(
                    "timeout_total", f"no connection within {limits.total_ms} ms", unsent=True
                ) from error
            raise TransportFault(
                "timeout_connect", f"no connection within {limits.connect_ms} ms", unsent=True
            ) from error
        except (OSError, UnicodeError) as error:
            # UnicodeError: a host name that cannot be a DNS name.
            raise TransportFault("connect", f"{origin}: {error}", unsent=True) from error
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


class _Origin(msgspec.Struct, frozen=True):
    tls: bool
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class _Target(msgspec.Struct, frozen=True):
    origin: _Origin
    head: str  # what follows the method, through the fixed headers


@lru_cache(maxsize=256)
def _target(url: str) -> _Target:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise ValueError("not an http or https URL with a host and without credentials")
    tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or not path.isprintable() or " " in path:
        raise ValueError("the URL's path is not percent-encoded")
    origin = _Origin(tls, parts.hostname, parts.port or (443 if tls else 80))
    host = (
        parts.netloc.encode("idna").decode("ascii") if not parts.netloc.isascii() else parts.netloc
    )
    head = (
        f" {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: lakehouse\r\naccept: application/json\r\n"
        "accept-encoding: identity\r\n"
    )
    return _Target(origin, head)


def _request(method: str, target: _Target, headers: Mapping[str, str], body: bytes | None) -> bytes:
    lines = [method, target.head]
    for name, value in headers.items():
        check_header(name, value)
        lines.append(f"{name}: {value}\r\n")
    if body is None:
        return ("".join(lines) + "\r\n").encode("latin-1")
    lines.append(f"content-length: {len(body)}\r\n\r\n")
    return "".join(lines).encode("latin-1") + body


class _Connection(asyncio.Protocol):
    """One connection; one exchange at a time. The `on_` methods are llhttp's callbacks.

    Callbacks never raise: the first trouble ends the exchange by `_fail`, and what llhttp reports
    after that is ignored.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.idle_since = 0.0
        self._loop = loop
        self._open = False
        self._keep_alive = False
        self._waiter: asyncio.Future[HttpReply] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent: open, and the last answer ended cleanly."""
        return self._open and self._keep_alive

    async def exchange(self, data: bytes, limits: HttpLimits, total_at: float) -> HttpReply:
        """Send one request and wait for its whole answer; on a fault the connection is gone."""
        now = self._loop.time()
        self._limits = limits
        self._total_at = total_at
        self._first_byte_at = now + limits.first_byte_ms / 1000
        self._last_byte_at = now
        self._answering = False  # any byte of an answer was seen
        self._headers_done = False
        self._keep_alive = False
        self._head_bytes = 0
        self._headers: dict[str, str] = {}
        self._chunks: list[bytes] = []
        self._body_bytes = 0
        waiter: asyncio.Future[HttpReply] = self._loop.create_future()
        self._waiter = waiter
        self._check_limits()
        if not waiter.done():
            self._transport.write(data)
        try:
            return await waiter
        finally:
            self._waiter = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def abort(self, reason: str) -> None:
        """Close at once; an exchange under way ends as `connect`."""
        self._fail("connect", reason)

    # --- asyncio's callbacks ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's, but have its methods.
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)
        self._open = True

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():
            # Bytes nobody asked for must never be taken for the next request's answer.
            self._fail("malformed", "bytes after the end of the answer")
            return
        self._answering = True
        self._last_byte_at = self._loop.time()
        headers_were_done = self._headers_done
        if not headers_were_done:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail("malformed", f"not HTTP/1.1 as we speak it: {error}")
            return
        if self._waiter.done():
            return
        if not self._headers_done and self._head_bytes > UPSTREAM_HEADER_BYTES_MAX:
            self._fail("malformed", f"headers over {UPSTREAM_HEADER_BYTES_MAX} bytes")
        elif self._headers_done and not headers_were_done:
            self._check_limits()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open = False
        if self._waiter is None or self._waiter.done():
            return
        if self._headers_done and self._until_close and exc is None:
            self._finish()
        elif self._answering:
            self._fail("malformed", f"the answer was cut: {exc or 'closed'}")
        else:
            self._fail("connect", f"no answer: {exc or 'closed'}")

    # --- llhttp's callbacks ---

    def on_message_begin(self) -> None:
        if self._headers_done:
            self._fail("malformed", "a second answer nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._headers_done:
            return  # a trailer, or of a second answer
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        if self._headers_done:
            return
        self._status = self._parser.get_status_code()
        if self._status < 200:
            return
        self._headers_done = True
        headers = self._headers
        encoding = headers.get("content-encoding", "identity")
        transfer = headers.get("transfer-encoding")
        self._until_close = (
            transfer is None
            and "content-length" not in headers
            and self._status not in _BODILESS_STATUS
        )
        if sum(map(len, headers)) + sum(map(len, headers.values())) > UPSTREAM_HEADER_BYTES_MAX:
            self._fail("malformed", f"headers over {UPSTREAM_HEADER_BYTES_MAX} bytes")
        elif encoding.lower() != "identity":
            self._fail("malformed", f"content-encoding {encoding[:40]!r}, which was not asked for")
        elif transfer is not None and transfer.lower() != "chunked":
            self._fail("malformed", f"transfer-encoding {transfer[:40]!r}, which was not asked for")
        elif int(headers.get("content-length", "0")) > self._limits.body_bytes_max:
            self._fail("too_large", f"a body over {self._limits.body_bytes_max} bytes")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes_max:
            self._fail("too_large", f"a body over {self._limits.body_bytes_max} bytes")
        else:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        if self._headers_done:
            self._keep_alive = self._parser.should_keep_alive() and not self._until_close
            self._finish()
        else:
            self._headers = {}  # an interim answer (1xx); the real one follows

    # --- endings ---

    def _finish(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(HttpReply(self._status, self._headers, b"".join(self._chunks)))

    def _fail(self, kind: FaultKind, detail: str) -> None:
        self._keep_alive = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(TransportFault(kind, detail))
        if self._open:
            self._open = False
            self._transport.abort()

    def _check_limits(self) -> None:
        """End the exchange if a limit has passed, else look again when the next one may have.

        A timer is not moved for each read: when it fires, the last read decides.
        """
        limits = self._limits
        now = self._loop.time()
        if self._headers_done:
            next_at = self._last_byte_at + limits.idle_ms / 1000
        else:
            next_at = self._first_byte_at
        if now >= self._total_at:
            self._fail("timeout_total", f"no whole answer within {limits.total_ms} ms")
        elif now >= next_at and self._headers_done:
            self._fail("timeout_idle", f"nothing for {limits.idle_ms} ms amid the answer")
        elif now >= next_at:
            self._fail("timeout_first_byte", f"no answer within {limits.first_byte_ms} ms")
        else:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(min(next_at, self._total_at), self._check_limits)
