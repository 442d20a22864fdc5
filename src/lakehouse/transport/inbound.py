"""One connection of a caller: llhttp finds the messages, we decide what is one and when it ends.

It does not guess: if two parsers could disagree on where a message ends, the message is refused
and the connection closed. Requests that come together are answered one after another, in order.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, cast

import httptools

from lakehouse.core.errors import Refusal
from lakehouse.core.limits import HEADER_BYTES_MAX, PIPELINED_MAX
from lakehouse.transport.answer_fields import refusal_message
from lakehouse.transport.asgi import HALF_CLOSED_STATE
from lakehouse.transport.door import Door, Phase, untaken_bytes
from lakehouse.transport.exchange import Exchange
from lakehouse.transport.request_head import RequestHead

_LOG = logging.getLogger(__name__)

# A head may have twice the limit, so that the route can report it. The same limit applies to
# chunk extensions and trailers, which are read and ignored.
_OVERHEAD_BYTES_MAX: Final = 2 * HEADER_BYTES_MAX
_DISCARD_BYTES_MAX: Final = 8 << 20  # from a caller that goes on sending after its answer

Answer = Callable[[Exchange], Awaitable[None]]
"""Answers one request, whatever happens."""


class Inbound(asyncio.Protocol):
    """One connection, counted by a door. The `on_` methods are llhttp's callbacks.

    A callback that refuses the message raises, which stops the parser; `data_received` answers.
    """

    def __init__(self, answer: Answer, door: Door, loop: asyncio.AbstractEventLoop) -> None:
        self.transport: asyncio.Transport
        self.write_paused = False
        self._answer = answer
        self._door = door
        self._loop = loop
        self._new_parser()
        self._running: Exchange | None = None  # or the last one
        self._waiting: deque[Exchange] = deque()  # requests behind the running one
        self._coming: Exchange | None = None  # the one whose body is read
        self._writable: asyncio.Event | None = None
        self._reading_paused = False
        self._phase: Phase | None = None
        self._unsent_bytes = 0  # of the answer, at the last check
        self._in_head = False
        self._upgrading = False  # the head just read offers another protocol
        self._begun = 0  # heads that began in this read
        self._overhead_bytes = 0  # of the current head, or since the last piece of the body
        self._body_seen = False
        self._refusal: Refusal | None = None  # why the parser was stopped
        self._ending = False  # further input is discarded
        self._discarded_bytes = 0
        self._half_closed = False

    # --- asyncio's callbacks ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not subclass asyncio's, but have the same methods.
        self.transport = cast("asyncio.Transport", transport)
        if self._door.admit(self):
            self._wait_for("head")
            return
        most = self._door.limits.connections_max
        self._refuse(
            Refusal(
                "rate_limited",
                f"{most} connections are open, which is this daemon's limit.",
                hint="Send the request again shortly, or raise the limit of open files.",
                retry_after_s=1,
            )
        )

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio gives it
        self._ending = True
        self._door.leave(self)
        if self._running is not None and not self._running.ended:
            self._running.leave()
        self._running = None
        self._waiting.clear()
        self.write_paused = False
        self._wake_writer()
        del self._parser  # it refers to us

    def data_received(self, data: bytes) -> None:
        """Feed the parser; answer with an error if the bytes are not HTTP."""
        if self._ending:
            self._discarded_bytes += len(data)
            if self._discarded_bytes > _DISCARD_BYTES_MAX:
                self.transport.abort()
            return
        counted = self._in_head or self._coming is None
        self._begun = 1 if self._in_head else 0
        self._body_seen = False
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self._refuse(
                self._refusal
                or Refusal(
                    "invalid_request",
                    f"The request is not valid HTTP/1.1: {error}.",
                    hint="Look for a proxy or a client that writes requests by hand.",
                )
            )
            return
        if self._in_head:
            self._overhead_bytes += len(data) if counted and self._begun <= 1 else 0
            if self._phase == "idle":
                self._wait_for("head")
        elif self._coming is not None:
            self._overhead_bytes = 0 if self._body_seen else self._overhead_bytes + len(data)
            if self._phase is None and not self._waiting and self._is_answering():
                self._wait_for("body")
        else:
            return
        if self._overhead_bytes > _OVERHEAD_BYTES_MAX:
            self._refuse(
                Refusal(
                    "too_large",
                    f"Chunk extensions and trailers take more than {HEADER_BYTES_MAX} bytes.",
                )
            )

    def eof_received(self) -> bool:
        """Answer the complete requests, then close: the caller may have closed only its side.

        Returns:
            Whether the connection stays open for that.
        """
        self._half_closed = True
        if self._running is not None and not self._running.ended:
            self._running.state[HALF_CLOSED_STATE] = True
        if self._ending or self._in_head or self._coming is not None:
            return False
        return self._is_answering()

    def pause_writing(self) -> None:
        self.write_paused = True
        self._unsent_bytes = untaken_bytes(self.transport)
        self._wait_for("answer")

    def resume_writing(self) -> None:
        self.write_paused = False
        self._wake_writer()
        if self._phase == "answer":
            self._wait_for(None if self._is_answering() else self._between())

    # --- the door's ---

    def has_taken(self) -> bool:
        before, self._unsent_bytes = self._unsent_bytes, untaken_bytes(self.transport)
        return self._unsent_bytes < before

    def held_bytes(self) -> int:
        """Return the bytes of the running answer: those in the write buffer and those to come."""
        unwritten = self._running.to_come_bytes if self._running is not None else 0
        return unwritten + self.transport.get_write_buffer_size()

    def overdue(self, phase: Phase) -> None:
        """Close; if a request's head has begun, answer with an error first."""
        self._phase = None
        if phase == "answer":
            self.transport.abort()
        elif phase == "head" and self._in_head and not self._ending:
            seconds = self._door.limits.head_ms / 1000
            self._refuse(
                Refusal(
                    "invalid_request",
                    f"The request's headers are incomplete after {seconds:g} s.",
                    hint="Send the request line and all headers at once.",
                )
            )
        else:
            self._close()

    def evict(self) -> None:
        self._phase = None
        self._ending = True
        self.transport.abort()

    def shut(self) -> None:
        """Close at once if idle, otherwise after the answers to what has come."""
        if self._is_answering():
            last = self._waiting[-1] if self._waiting else self._running
            assert last is not None, "it is answering"
            last.keep_alive = False
        else:
            self._close()

    # --- the exchange's ---

    async def drained(self) -> None:
        while self.write_paused:
            if self._writable is None:
                self._writable = asyncio.Event()
            await self._writable.wait()

    def pause_reading(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resume_reading()

    def answered(self) -> None:
        """Start the next request that has come, or close, or wait for a request."""
        if self.transport.is_closing():
            self._wait_until_taken()
            return
        self.resume_reading()
        if self._waiting:
            self._start(self._waiting.popleft())
        elif self._refusal is not None and self._ending:
            self._send_refusal(self._refusal)
        elif self._half_closed:
            self._close()
        elif not self.write_paused:
            self._wait_for(self._between())

    # --- llhttp's callbacks ---

    def on_message_begin(self) -> None:
        self._in_head = True
        self._begun += 1
        self._overhead_bytes = 0
        self._head = RequestHead()

    def on_url(self, url: bytes) -> None:
        self._head.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header field; trailers are ignored."""
        if self._in_head:
            head = self._head
            head.header_bytes += len(name) + len(value)
            key = name.decode("latin-1").lower()
            head.headers.setdefault(key, []).append(value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        """Refuse a request whose framing is ambiguous; start any other."""
        self._in_head = False
        version = self._parser.get_http_version()
        method = self._parser.get_method().decode("ascii")
        if self._parser.should_upgrade() and method != "CONNECT":
            self._upgrading = True
            return
        try:
            if version != "1.1" or "transfer-encoding" in self._head.headers:
                self._head.check_framing(version)
            target = self._head.target(method)
            if len(self._waiting) >= PIPELINED_MAX:
                raise Refusal(
                    "rate_limited",
                    f"{PIPELINED_MAX} requests on this connection are already waiting.",
                    hint="Wait for answers, or use more connections.",
                    retry_after_s=1,
                )
        except Refusal as refusal:
            self._refusal = refusal
            raise
        stays = version != "1.0" and self._parser.should_keep_alive() and not self._door.closing
        exchange = Exchange(self, method, version, target, self._head, keep_alive=stays)
        self._coming = exchange
        if self._is_answering():
            self.pause_reading()
            self._waiting.append(exchange)
        else:
            self._wait_for(None)
            self._start(exchange)

    def on_body(self, body: bytes) -> None:
        self._body_seen = True
        if self._coming is not None:
            self._coming.add(body)

    def on_message_complete(self) -> None:
        """End the request; a head with an upgrade offer has not started one yet."""
        if self._upgrading or self._coming is None:
            return
        if self._phase == "body":
            self._wait_for(None)
        self._coming.complete()
        self._coming = None

    # --- parts ---

    def _new_parser(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        # So that requests that came together are answered, though the first closes the connection.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _feed(self, data: bytes) -> None:
        """Feed the parser; parse a request that offers an upgrade again without the offer.

        llhttp treats what follows such a head as the other protocol. We support none, so it is the
        request's body (RFC 9110, section 7.8: a server may ignore the offer).
        """
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                method, version = self._parser.get_method(), self._parser.get_http_version()
                data = self._head.without_upgrade(method, version) + data[upgrade.args[0] :]
                self._upgrading = False
                self._new_parser()
            else:
                return

    def _start(self, exchange: Exchange) -> None:
        self._running = exchange
        exchange.task = self._loop.create_task(self._run(exchange))
        self._door.start(exchange.task)

    async def _run(self, exchange: Exchange) -> None:
        """Have the request answered; an answer that did not come to its end ends the connection."""
        try:
            await self._answer(exchange)
        except Exception:  # noqa: BLE001  the task's boundary: nobody else would hear of it
            _LOG.exception("an answer failed: %s %s", exchange.method, exchange.path)
        finally:
            if exchange.task is not None:
                self._door.finish(exchange.task)
            if not exchange.ended and not exchange.gone:
                self._close()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer an invalid request, after those before it, and close the connection."""
        if self._ending:
            return
        self._ending = True
        self._refusal = refusal
        incomplete, self._coming = self._coming, None
        if incomplete is not None:
            if self._waiting:
                self._waiting.pop()
            elif incomplete.begun:
                self._close()
                return
            else:
                incomplete.leave()  # ends the handler's wait for the body
                self._send_refusal(refusal)
                return
        if not self._is_answering():
            self._send_refusal(refusal)

    def _send_refusal(self, refusal: Refusal) -> None:
        """Send the refusal and stop writing, but go on reading for a while.

        A caller that is still sending would get a reset instead of the answer.
        """
        self.transport.write(refusal_message(refusal))
        self.resume_reading()
        if self._half_closed:
            self._close()
            return
        self.transport.write_eof()
        self._wait_for("idle")

    def _wake_writer(self) -> None:
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    def _is_answering(self) -> bool:
        return self._running is not None and not (self._running.ended or self._running.gone)

    def _between(self) -> Phase:
        return "head" if self._in_head else "idle"

    def _wait_for(self, phase: Phase | None) -> None:
        waiting = self._door.waiting
        if self._phase is not None:
            waiting[self._phase].pop(self, None)
        self._phase = phase
        if phase is not None:
            waiting[phase][self] = self._loop.time()

    def _close(self) -> None:
        self._ending = True
        self.transport.close()
        self._wait_until_taken()

    def _wait_until_taken(self) -> None:
        """Put a closing connection under the answer limit: its caller may not read the rest."""
        self._unsent_bytes = untaken_bytes(self.transport)
        self._wait_for("answer" if self.transport.get_write_buffer_size() else None)
