"""The HTTP/1.1 client to models and to our own daemons: one request, one whole answer, hard limits.

llhttp (`httptools`) does the framing, asyncio the sockets, `connection.py` one exchange; this
module is the pool. We wrote it because each client library we measured lacks something:
pyreqwest 0.15 leaves a cancelled request running until its answer arrives (paid tokens that are
not used) and cannot tell waiting for a connection from waiting for an answer; aiohttp costs four
times the CPU.

It does not follow redirects, keep cookies, speak HTTP/2 or send a request twice: the only retry
loop of the stack is in `chatd`. It asks for no compression, and decompresses within its limit.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from lakehouse.transport.connection import (
    Arrived,
    Connection,
    FaultKind,
    HttpLimits,
    HttpReply,
    TransportFault,
)
from lakehouse.transport.proxy import Proxies, ProxyAddress
from lakehouse.transport.reason import reason_of, words_of
from lakehouse.transport.tunnel import TunnelHandshake

__all__ = [
    "Arrived",
    "FaultKind",
    "HeaderLines",
    "HttpClient",
    "HttpLimits",
    "HttpReply",
    "TransportFault",
    "check_header",
    "check_url",
]

# Many servers (uvicorn, Node) close a connection that was idle for 5 s. We reuse none that old,
# because a request that crosses with the server's close looks the same as a lost request.
_IDLE_S: Final = 4.0
_IDLE_CONNECTIONS_MAX: Final = 64  # per origin; callers limit how many calls run at once
_Protocol = TypeVar("_Protocol", Connection, TunnelHandshake)
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def check_url(url: str) -> None:
    """Reject a URL that cannot be called.

    Raises:
        ValueError: The message says why, without repeating the URL.
    """
    _target(url)


def check_header(name: str, value: str) -> None:
    """Reject a header that would break the framing of the request.

    Raises:
        ValueError: The message names the header; it does not repeat the value.
    """
    plain = value.isascii() and value.isprintable()
    if not (_HEADER_NAME.fullmatch(name) and (plain or _HEADER_VALUE.fullmatch(value))):
        raise ValueError(
            f"the header {name!r} contains a character that is not allowed in a header"
        )


def _lines(headers: Mapping[str, str]) -> str:
    lines = ""
    for name, value in headers.items():
        check_header(name, value)
        lines += f"{name}: {value}\r\n"
    return lines


class HeaderLines:
    """Headers that many requests share, checked and encoded once.

    Raises:
        ValueError: As `check_header` does.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.text: Final = _lines(headers)


_NO_LINES: Final = HeaderLines({})


class HttpClient:
    """A pool of keep-alive connections, for one event loop.

    TLS certificates are verified against the system's authorities, or with `tls` if it is set.
    Calls go directly, or through the proxy that `proxies` selects. Cancelling a call closes its
    connection at once. Cost: about 35 µs of CPU per call.
    """

    def __init__(
        self, *, tls: ssl.SSLContext | None = None, proxies: Proxies | None = None
    ) -> None:
        self._tls = tls
        self._proxies = proxies or Proxies()
        self._idle: dict[_Origin, list[Connection]] = {}
        self._busy: set[Connection] = set()
        self._lookups = _Lookups()

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        limits: HttpLimits,
        shared: HeaderLines = _NO_LINES,
        arrived: Arrived | None = None,
    ) -> HttpReply:
        """Send a body and read the whole answer, whatever its status. Never sent twice.

        `headers` are sent beside those in `shared`. `arrived` gets the pieces of an uncompressed
        body as they arrive.

        Raises:
            TransportFault: No whole answer arrived; raised within `limits`.
            ValueError: The URL or a header is invalid; the message does not repeat the value.
        """
        fields = shared.text + _lines(headers)
        return await self._call("POST", url, fields, body, limits, arrived)

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        limits: HttpLimits,
        shared: HeaderLines = _NO_LINES,
    ) -> HttpReply:
        """Send a GET and read the whole answer; raises as `post` does."""
        fields = shared.text + _lines(headers)
        return await self._call("GET", url, fields, None, limits)

    async def close(self) -> None:
        """Close every connection; running calls fail with `connect`."""
        connections = [*self._busy, *(c for idle in self._idle.values() for c in idle)]
        self._idle.clear()
        for connection in connections:
            connection.abort("the client was closed")

    async def _call(  # noqa: PLR0917  as they stand in a request
        self,
        method: str,
        url: str,
        fields: str,
        body: bytes | None,
        limits: HttpLimits,
        arrived: Arrived | None = None,
    ) -> HttpReply:
        loop = asyncio.get_running_loop()
        now = loop.time()
        total_at = now + limits.total_ms / 1000
        target = _target(url)
        origin = target.origin
        proxy = self._proxies.find(tls=origin.tls, host=origin.host, port=origin.port)
        data = _request(method, target, fields, body, None if origin.tls else proxy)
        connection = self._take(origin, now)
        if connection is None:
            connection = await self._connect(origin, proxy, limits, total_at)
        self._busy.add(connection)
        try:
            reply = await connection.exchange(data, limits, total_at, arrived)
        except asyncio.CancelledError:
            connection.abort("the call was cancelled")
            raise
        finally:
            self._busy.discard(connection)
        self._give_back(origin, connection, loop.time())
        return reply

    def _take(self, origin: "_Origin", now: float) -> "Connection | None":
        idle = self._idle.get(origin)
        oldest = now - _IDLE_S
        while idle:
            connection = idle.pop()
            if connection.reusable and connection.idle_since > oldest:
                return connection
            connection.abort("idle for too long")
        return None

    def _give_back(self, origin: "_Origin", connection: "Connection", now: float) -> None:
        idle = self._idle.setdefault(origin, [])
        if connection.reusable and len(idle) < _IDLE_CONNECTIONS_MAX:
            connection.idle_since = now
            idle.append(connection)
        else:
            connection.abort("not kept")

    async def _connect(
        self,
        origin: "_Origin",
        proxy: ProxyAddress | None,
        limits: HttpLimits,
        total_at: float,
    ) -> "Connection":
        loop = asyncio.get_running_loop()
        connect_at = loop.time() + limits.connect_ms / 1000
        try:
            async with asyncio.timeout_at(min(connect_at, total_at)):
                connection = await self._open(origin, proxy)
        except TimeoutError as error:
            if total_at < connect_at:
                raise TransportFault(
                    "timeout_total", f"no connection within {limits.total_ms} ms", unsent=True
                ) from error
            raise TransportFault(
                "timeout_connect",
                f"{origin}: no connection within {limits.connect_ms} ms",
                unsent=True,
                reason="timeout",
            ) from error
        except (OSError, UnicodeError) as error:
            # UnicodeError: a host name that cannot be a DNS name.
            raise TransportFault(
                "connect", f"{origin}: {error}", unsent=True, reason=reason_of(error)
            ) from error
        return connection

    async def _open(self, origin: "_Origin", proxy: ProxyAddress | None) -> "Connection":
        """Connect to the origin, directly or through a proxy."""
        loop = asyncio.get_running_loop()
        if proxy is None:
            context = self._context() if origin.tls else None
            return await self._reach(origin, lambda: Connection(loop), context, origin.host)
        at = _Origin(False, proxy.host, proxy.port)
        try:
            if not origin.tls:
                return await self._reach(at, lambda: Connection(loop), None, None)
            handshake = await self._reach(at, lambda: TunnelHandshake(loop), None, None)
        except (TransportFault, socket.gaierror) as fault:
            found = fault.reason if isinstance(fault, TransportFault) else reason_of(fault)
            raise TransportFault(
                "connect",
                f"{at}: the proxy cannot be reached: {words_of(found, '')}",
                unsent=True,
                reason="proxy",
            ) from fault
        return await handshake.open(origin.host, origin.port, proxy, self._context())

    async def _reach(
        self,
        at: "_Origin",
        protocol: Callable[[], _Protocol],
        context: ssl.SSLContext | None,
        name: str | None,
    ) -> _Protocol:
        """Connect to the first of the host's addresses that accepts."""
        loop = asyncio.get_running_loop()
        troubles: list[OSError] = []
        for family, _, _, _, address in await self._lookups.addresses(at.host, at.port):
            try:
                _, connected = await loop.create_connection(
                    protocol,
                    _numeric_host(address),
                    at.port,
                    family=family,
                    ssl=context,
                    server_hostname=None if context is None else name,
                )
            except ssl.SSLError:
                raise  # a certificate that we do not trust: no other address is tried
            except OSError as error:
                troubles.append(error)
            else:
                return connected
        if not troubles:
            raise socket.gaierror("the name has no address")
        # The detail lists every error; the reason is that of the first, preferred address.
        told = "; ".join(map(str, troubles))
        raise TransportFault("connect", f"{at}: {told}", unsent=True, reason=reason_of(troubles[0]))

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


_Address = tuple[Any, ...]  # a socket address; IPv6 has four members
_Found = tuple[socket.AddressFamily, socket.SocketKind, int, str, _Address]


class _Lookups:
    """Running name look-ups: at most one per name and port, however many calls wait for it.

    A look-up occupies a thread until the resolver answers, and no timeout ends that. One look-up
    per attempt would soon leave no thread for the names that do resolve.
    """

    def __init__(self) -> None:
        self._under_way: dict[tuple[str, int], asyncio.Task[Sequence[_Found]]] = {}

    async def addresses(self, host: str, port: int) -> Sequence[_Found]:
        """Return a host's addresses, best first; raises as `socket.getaddrinfo` does."""
        try:
            return socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )
        except socket.gaierror:
            pass  # not an address: the resolver has to look it up
        key = (host, port)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(_looked_up(host, port))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._end(key, done))
        await asyncio.wait({task})  # unlike `await task`, cancelling this does not cancel the task
        return task.result()

    def _end(self, key: tuple[str, int], task: "asyncio.Task[Sequence[_Found]]") -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # waiting calls have got it already; this marks it as retrieved


async def _looked_up(host: str, port: int) -> Sequence[_Found]:
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _numeric_host(address: _Address) -> str:
    """Format the host of a socket address, including an IPv6 scope, so that it needs no look-up."""
    host: str = address[0]
    return f"{host}%{address[3]}" if len(address) == 4 and address[3] else host


class _Origin(msgspec.Struct, frozen=True):
    tls: bool
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class _Target(msgspec.Struct, frozen=True):
    origin: _Origin
    netloc: str
    head: str  # everything between the method and the headers of the call


@lru_cache(maxsize=256)
def _target(url: str) -> _Target:
    try:
        parts = urlsplit(url)
        host, port, netloc = parts.hostname, parts.port, parts.netloc
        if not netloc.isascii():
            netloc = netloc.encode("idna").decode("ascii")
    except ValueError:
        # Its text repeats parts of the URL, which may hold a password.
        raise ValueError("not a valid URL") from None
    if parts.scheme not in {"http", "https"} or not host or parts.username is not None:
        raise ValueError("not an http or https URL with a host and without credentials")
    tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or not path.isprintable() or " " in path:
        raise ValueError("the URL's path is not percent-encoded")
    origin = _Origin(tls, host, port or (443 if tls else 80))
    head = (
        f" {path} HTTP/1.1\r\nhost: {netloc}\r\nuser-agent: lakehouse\r\n"
        "accept: application/json\r\naccept-encoding: identity\r\n"
    )
    return _Target(origin, netloc, head)


def _request(
    method: str, target: _Target, fields: str, body: bytes | None, proxy: ProxyAddress | None
) -> bytes:
    """Encode a request; through a plain proxy it has the whole URL and the proxy's credentials."""
    head = target.head
    if proxy is not None:
        head = f" http://{target.netloc}{head[1:]}"
        if proxy.authorization is not None:
            head += f"proxy-authorization: {proxy.authorization}\r\n"
    if body is None:
        return f"{method}{head}{fields}\r\n".encode("latin-1")
    length = f"content-length: {len(body)}\r\n\r\n"
    return f"{method}{head}{fields}{length}".encode("latin-1") + body
