"""One connection of a caller: llhttp does the framing, uvicorn the answers, we the edge cases.

uvicorn's protocol has no limit on the size and time of a head, reads trailers as headers, drops
the body of a request that offers an upgrade, reports a parse error in the middle of other answers,
and waits for ever for a caller that does not read its answer. This module fixes these. It does not
guess: if two parsers could disagree on where a message ends, the message is refused and the
connection closed.
"""

import asyncio
import urllib.parse
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from lakehouse.core.errors import Refusal
from lakehouse.core.limits import HEADER_BYTES_MAX, PIPELINED_MAX
from lakehouse.transport.door import Door, Phase, untaken_bytes
from lakehouse.transport.server import AUTHORITY_STATE, refusal_message
from lakehouse.transport.until_close import UntilCloseCycle

# A head may have twice the limit, so that the route can report it. The same limit applies to
# chunk extensions and trailers, which are read and ignored.
_OVERHEAD_BYTES_MAX: Final = 2 * HEADER_BYTES_MAX
_DISCARD_BYTES_MAX: Final = 8 << 20  # from a caller that goes on sending after its answer


class Inbound(HttpToolsProtocol):
    """One connection, counted by a door. The `on_` methods are llhttp's callbacks.

    A callback that refuses the message raises, which stops the parser; `data_received` answers.
    """

    def __init__(self, *arguments: Any, door: Door, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._door = door
        self._phase: Phase | None = None
        self._unsent_bytes = 0  # of the answer, at the last check
        self._in_head = False
        self._in_body = False
        self._upgrading = False  # the head just read offers another protocol
        self._begun = 0  # heads that began in this read
        self._overhead_bytes = 0  # of the current head, or since the last piece of the body
        self._body_seen = False
        self._refusal: Refusal | None = None  # why the parser was stopped
        self._ending = False  # further input is discarded
        self._discarded_bytes = 0
        self._half_closed = False

    # --- asyncio's callbacks ---

    def connection_made(  # type: ignore[override]  # uvicorn narrows it too
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
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

    def connection_lost(self, exc: Exception | None) -> None:
        self._ending = True
        self._door.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; answer with an error if the bytes are not HTTP."""
        if self._ending:
            self._discarded_bytes += len(data)
            if self._discarded_bytes > _DISCARD_BYTES_MAX:
                self.transport.abort()
            return
        counted = self._in_head or not self._in_body
        self._begun = 0 if not self._in_head else 1
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
        elif self._in_body:
            self._overhead_bytes = 0 if self._body_seen else self._overhead_bytes + len(data)
            if self._phase is None and not self.pipeline and not self.cycle.response_complete:
                self._wait_for("body")
        if self._overhead_bytes > _OVERHEAD_BYTES_MAX and (self._in_head or self._in_body):
            self._refuse(
                Refusal(
                    "too_large",
                    f"Chunk extensions and trailers take more than {HEADER_BYTES_MAX} bytes.",
                )
            )

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's, which uvicorn narrows
        """Answer the complete requests, then close: the caller may have closed only its side.

        Returns:
            Whether the connection stays open for that.
        """
        self._half_closed = True
        if self._ending or self._in_head or self._in_body:
            return False
        return self._is_answering()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent_bytes = untaken_bytes(self.transport)
        self._wait_for("answer")

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._phase == "answer":
            self._wait_for(None if self._is_answering() else self._between())

    # --- the door's ---

    def has_taken(self) -> bool:
        before, self._unsent_bytes = self._unsent_bytes, untaken_bytes(self.transport)
        return self._unsent_bytes < before

    def held_bytes(self) -> int:
        """Return the bytes of the running answer: those in the write buffer and those to come."""
        unwritten: int = self.cycle.expected_content_length if self._is_answering() else 0
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

    # --- llhttp's callbacks ---

    def on_message_begin(self) -> None:
        self._in_head = True
        self._begun += 1
        self._overhead_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header field; trailers are ignored."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Refuse a request whose framing is ambiguous; start any other."""
        self._in_head = False
        version = self.parser.get_http_version()
        method = self.parser.get_method().decode("ascii")
        if self.parser.should_upgrade() and method != "CONNECT":
            self._upgrading = True
            return
        self._in_body = True
        try:
            self._check_framing(version)
            self._set_target(method, version)
            if len(self.pipeline) >= PIPELINED_MAX:
                raise Refusal(
                    "rate_limited",
                    f"{PIPELINED_MAX} requests on this connection are already waiting.",
                    hint="Wait for answers, or use more connections.",
                    retry_after_s=1,
                )
        except Refusal as refusal:
            self._in_body = False  # what follows is not the body of a request
            self._refusal = refusal
            raise
        self._start(version)

    def on_body(self, body: bytes) -> None:
        self._body_seen = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request; a head with an upgrade offer has not started one yet."""
        if self._upgrading:
            return
        self._in_body = False
        if self._phase == "body":
            self._wait_for(None)
        super().on_message_complete()

    # --- uvicorn's ---

    def on_response_complete(self) -> None:
        """Start the next pipelined request, or close, or wait for a request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._wait_until_taken()
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._refusal is not None and self._ending:
            self._send_refusal(self._refusal)
        elif self._half_closed:
            self._close()
        elif not self.flow.write_paused:
            self._wait_for(self._between())

    def shutdown(self) -> None:
        """Close at once if idle, otherwise after the answer."""
        if self._is_answering():
            self.cycle.keep_alive = False  # of the last pipelined request, or the running one
        else:
            self._close()

    # --- parts ---

    def _feed(self, data: bytes) -> None:
        """Feed the parser; parse a request that offers an upgrade again without the offer.

        llhttp treats what follows such a head as the other protocol. We support none, so it is the
        request's body (RFC 9110, section 7.8: a server may ignore the offer).
        """
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                method, version = self.parser.get_method(), self.parser.get_http_version()
                lines = [b"%b %b HTTP/%b\r\n" % (method, self.url, version.encode())]
                lines += [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
                data = b"".join([*lines, b"\r\n", data[upgrade.args[0] :]])
                self._upgrading = False
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            else:
                return

    def _check_framing(self, version: str) -> None:
        """Refuse a head that an older or more lenient parser would frame differently."""
        if version not in {"1.0", "1.1"}:
            raise Refusal("invalid_request", f"HTTP/{version} is not supported; use HTTP/1.1.")
        if version == "1.1" and b"transfer-encoding" not in dict(self.headers):
            return
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if codings and (version == "1.0" or [each.lower() for each in codings] != [b"chunked"]):
            raise Refusal(
                "invalid_request",
                "Transfer-Encoding must be exactly `chunked`, and needs HTTP/1.1.",
            )
        if version == "1.0":
            self.expect_100_continue = False

    def _set_target(self, method: str, version: str) -> None:
        """Split the request line into the parts that routing needs."""
        scope: Any = self.scope  # uvicorn's type does not allow filling it step by step
        target = self.url.decode("latin-1")
        path, _, query = target.partition("?")
        if not target.startswith("/"):
            path, query = self._other_target(method, target)
        if not target.isascii() or "#" in target:
            raise Refusal("invalid_request", "The request's target is not percent-encoded.")
        scope["method"] = method
        scope["http_version"] = version
        scope["path"] = urllib.parse.unquote(path) if "%" in path else path
        scope["raw_path"] = path.encode("latin-1")
        scope["query_string"] = query.encode("latin-1")

    def _other_target(self, method: str, target: str) -> tuple[str, str]:
        """Parse a target in absolute form, or the `*` of OPTIONS; refuse any other."""
        if target == "*" and method == "OPTIONS":
            return target, ""
        scheme, colon, rest = target.partition("://")
        if method == "CONNECT" or not colon or scheme.lower() not in {"http", "https"}:
            raise Refusal(
                "invalid_request", "The request's target must be a path, such as /v1/iterate."
            )
        rest, _, query = rest.partition("?")
        authority, slash, path = rest.partition("/")
        self.scope["state"][AUTHORITY_STATE] = authority
        return slash + path or "/", query

    def _start(self, version: str) -> None:
        before = self.cycle
        cycle = UntilCloseCycle if version == "1.0" else RequestResponseCycle
        self.cycle = cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        app = self.config.loaded_app
        if before is None or before.response_complete:
            self._wait_for(None)
            self._start_asgi_task(self.cycle, app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, app))

    def _refuse(self, refusal: Refusal) -> None:
        """Answer an invalid request, after those before it, and close the connection."""
        if self._ending:
            return
        self._ending = True
        self._refusal = refusal
        if self._in_body:  # the running request is the incomplete one
            if self.pipeline:
                self.pipeline.popleft()
            elif self.cycle.response_started:
                self._close()
                return
            else:
                self.cycle.disconnected = True  # ends the handler's wait for the body
                self.cycle.message_event.set()
                self._send_refusal(refusal)
                return
        if not self._is_answering():
            self._send_refusal(refusal)

    def _send_refusal(self, refusal: Refusal) -> None:
        """Send the refusal and stop writing, but go on reading for a while.

        A caller that is still sending would get a reset instead of the answer.
        """
        self.transport.write(refusal_message(refusal, self.server_state.default_headers))
        self.flow.resume_reading()
        if self._half_closed:
            self._close()
            return
        self.transport.write_eof()
        self._wait_for("idle")

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _between(self) -> Phase:
        return "head" if self._in_head else "idle"

    def _wait_for(self, phase: Phase | None) -> None:
        waiting = self._door.waiting
        if self._phase is not None:
            waiting[self._phase].pop(self, None)
        self._phase = phase
        if phase is not None:
            waiting[phase][self] = self.loop.time()

    def _close(self) -> None:
        self._ending = True
        self.transport.close()
        self._wait_until_taken()

    def _wait_until_taken(self) -> None:
        """Put a closing connection under the answer limit: its caller may not read the rest."""
        self._unsent_bytes = untaken_bytes(self.transport)
        self._wait_for("answer" if self.transport.get_write_buffer_size() else None)
