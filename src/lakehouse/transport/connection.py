"""One client connection and one exchange on it, with every limit of the call enforced.

Refuses what was not requested: other transfer codings, upgrades, second answers. A compressed body
was not requested either, but holds a full answer: it is decompressed within the same limit.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Literal, cast

import httptools
import msgspec

from lakehouse.core.deadlines import Deadlines
from lakehouse.core.limits import UPSTREAM_HEADER_BYTES_MAX
from lakehouse.transport.content_coding import CodingFault, OversizedBody, codings_of, opened
from lakehouse.transport.reason import Reason

FaultKind = Literal[
    "connect",
    "timeout_connect",
    "timeout_first_byte",
    "timeout_idle",
    "timeout_total",
    "malformed",
    "encoding",
    "too_large",
]

_BODILESS_STATUS: Final = frozenset({204, 304})


class HttpLimits(msgspec.Struct, frozen=True):
    """The limits of one call, each enforced separately.

    `connect_ms` covers DNS, TCP and TLS; `first_byte_ms` runs from sending the request to the end
    of the answer's headers; `idle_ms` between two reads of the body; `total_ms` for the whole call.
    """

    connect_ms: int
    first_byte_ms: int
    idle_ms: int
    total_ms: int
    body_bytes_max: int


class HttpReply(msgspec.Struct, frozen=True):
    """One whole answer. Header names are lowercase; fields with the same name are joined by `, `.

    `body` is decompressed. It is empty if only the status could be read: an error answer whose body
    cannot be decompressed.
    """

    status: int
    headers: dict[str, str]
    body: bytes


Arrived = Callable[[bytes], None]
"""Called with each piece of a successful answer's body as it arrives; must not raise."""


class TransportFault(Exception):
    """No whole answer arrived. `connect` also means reset before the first byte of an answer.

    `encoding`: the whole answer arrived, but in a compression that we cannot read.

    `unsent`: no byte of the request was sent, so the server cannot have acted on it. `detail` is
    for the operator: it may hold an address, never a header or a body. `reason` says why there was
    no connection, for `connect` and `timeout_connect`.
    """

    def __init__(
        self, kind: FaultKind, detail: str, *, unsent: bool = False, reason: Reason = "other"
    ) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind: FaultKind = kind
        self.detail = detail
        self.unsent = unsent
        self.reason: Reason = reason


class Connection(asyncio.Protocol):
    """One connection; one exchange at a time. The `on_` methods are llhttp's callbacks.

    Callbacks never raise: the first error ends the exchange through `_fail`, and later reports of
    llhttp are ignored.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.idle_since = 0.0
        self._loop = loop
        self._open = False
        self._keep_alive = False
        self._waiter: asyncio.Future[HttpReply] | None = None
        self._deadlines = Deadlines.of(loop)

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent: it is open, and the last answer ended cleanly."""
        return self._open and self._keep_alive

    async def exchange(
        self, data: bytes, limits: HttpLimits, total_at: float, arrived: Arrived | None = None
    ) -> HttpReply:
        """Send one request and wait for the whole answer; a fault closes the connection."""
        if not self._open:
            # The peer sent something or closed first: another protocol's greeting, or overload.
            raise TransportFault(
                "connect", "closed before the request was sent", unsent=True, reason="closed"
            )
        now = self._loop.time()
        self._limits = limits
        self._arrived = arrived
        self._total_at = total_at
        self._first_byte_at = now + limits.first_byte_ms / 1000
        self._last_byte_at = now
        self._answering = False  # any byte of an answer has arrived
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
            self._deadlines.waits.pop(self, None)

    def abort(self, reason: str) -> None:
        """Close at once; a running exchange fails with `connect`."""
        self._fail("connect", reason)

    def overdue(self) -> None:
        """Hear from the deadlines that a limit may have passed."""
        self._check_limits()

    # --- asyncio's callbacks ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport and create the parser that all exchanges share."""
        # uvloop's transports do not subclass asyncio's, but have the same methods.
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)
        self._open = True

    def data_received(self, data: bytes) -> None:
        """Feed the parser; bytes outside of an exchange close the connection."""
        if self._waiter is None or self._waiter.done():
            # Unrequested bytes must never be read as the answer to the next request.
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
        """End the running exchange: the answer is complete, cut off, or never came."""
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
        """Refuse a second answer."""
        if self._headers_done:
            self._fail("malformed", "an unexpected second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._headers_done:
            return  # a trailer, or a field of a second answer
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        """Refuse what was not requested, before any of the body is read."""
        if self._headers_done:
            return
        self._status = self._parser.get_status_code()
        if self._status < 200:
            return
        self._headers_done = True
        headers = self._headers
        transfer = headers.get("transfer-encoding")
        self._until_close = (
            transfer is None
            and "content-length" not in headers
            and self._status not in _BODILESS_STATUS
        )
        most = UPSTREAM_HEADER_BYTES_MAX
        if self._head_bytes > most and _size(headers) > most:
            self._fail("malformed", f"headers over {most} bytes")
        elif transfer is not None and transfer.lower() != "chunked":
            self._fail("malformed", f"transfer-encoding {transfer[:40]!r}, which was not asked for")
        elif int(headers.get("content-length", "0")) > self._limits.body_bytes_max:
            self._fail("too_large", f"a body over {self._limits.body_bytes_max} bytes")

    def on_body(self, body: bytes) -> None:
        """Store a piece of the body, up to the limit."""
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes_max:
            self._fail("too_large", f"a body over {self._limits.body_bytes_max} bytes")
        else:
            self._chunks.append(body)
            if self._arrived is not None and 200 <= self._status < 300:
                self._arrived(body)

    def on_message_complete(self) -> None:
        """Return the answer to the caller; after an interim one (1xx), keep waiting."""
        if self._headers_done:
            self._keep_alive = self._parser.should_keep_alive() and not self._until_close
            self._finish()
        else:
            self._headers = {}  # the final answer follows

    # --- endings ---

    def _finish(self) -> None:
        if self._waiter is None or self._waiter.done():
            return
        body = b"".join(self._chunks)
        encoding = self._headers.get("content-encoding")
        if encoding is not None:
            try:
                body = opened(body, codings_of(encoding), bytes_max=self._limits.body_bytes_max)
            except OversizedBody:
                self._fail("too_large", f"an opened body over {self._limits.body_bytes_max} bytes")
                return
            except CodingFault as fault:
                if 200 <= self._status < 300:
                    self._fail("encoding", f"content-encoding: {fault}")
                    return
                body = b""  # the status is enough
        self._waiter.set_result(HttpReply(self._status, self._headers, body))

    def _fail(self, kind: FaultKind, detail: str) -> None:
        self._keep_alive = False
        if self._waiter is not None and not self._waiter.done():
            reason: Reason = "closed" if kind == "connect" else "other"
            self._waiter.set_exception(TransportFault(kind, detail, reason=reason))
        if self._open:
            self._open = False
            self._transport.abort()

    def _check_limits(self) -> None:
        """End the exchange if a limit has passed, else check again when the next one could pass.

        The deadline is not set anew for each read: when it passes, the time of the last read
        decides.
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
            self._deadlines.set(self, min(next_at, self._total_at))


def _size(headers: Mapping[str, str]) -> int:
    return sum(map(len, headers)) + sum(map(len, headers.values()))
