"""One request on a caller's connection, and its answer.

The connection adds the body as it arrives, and one task reads it and sends the answer. A small
answer is one write: head and body apart would be two packets, and cost a tenth of a session.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from lakehouse.core.limits import ANSWER_PIECE_BYTES
from lakehouse.transport.head import Fields, encode_head
from lakehouse.transport.request_head import RequestHead, Target

_HELD_BYTES_MAX: Final = 64 << 10  # of a body that nobody takes; then the caller has to wait
_BODILESS: Final = frozenset({204, 304})
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE: Final = (b"connection", b"close")
_CHUNKED: Final = (b"transfer-encoding", b"chunked")


class Carrier(Protocol):
    """The connection of an exchange, as the exchange sees it."""

    @property
    def transport(self) -> asyncio.Transport:
        """Writes to the caller."""

    @property
    def write_paused(self) -> bool:
        """Whether the caller does not take what was written."""

    async def drained(self) -> None:
        """Wait until the caller takes more, or is gone."""

    def pause_reading(self) -> None:
        """Read no more for now."""

    def resume_reading(self) -> None:
        """Go on reading."""

    def answered(self) -> None:
        """Hear that the answer to the running exchange is written."""


class Exchange:
    """One request and its answer.

    Args:
        carrier: Its connection.
        method: In capitals.
        version: `1.0` or `1.1`.
        target: Its parts become members of the exchange.
        head: Likewise.
        keep_alive: Whether the connection stays open after the answer.

    `whole`: all of the body has arrived. `gone`: the caller is. `begun` and `ended` tell of the
    answer. `state` is for applications of others, see `asgi.py`. `task` is the one that answers.
    """

    __slots__ = (
        "_arrived",
        "_carrier",
        "_chunked",
        "_expects_continue",
        "_held_bytes",
        "_news",
        "_pieces",
        "_sized",
        "authority",
        "begun",
        "ended",
        "gone",
        "header_bytes",
        "headers",
        "keep_alive",
        "method",
        "path",
        "query",
        "raw_path",
        "state",
        "task",
        "to_come_bytes",
        "version",
        "whole",
    )

    def __init__(
        self,
        carrier: Carrier,
        method: str,
        version: str,
        target: Target,
        head: RequestHead,
        *,
        keep_alive: bool,
    ) -> None:
        self.method = method
        self.version = version
        self.path, self.raw_path, self.query, self.authority = target
        self.headers: Mapping[str, Sequence[str]] = head.headers
        self.header_bytes = head.header_bytes
        self.keep_alive = keep_alive
        self.whole = self.gone = self.begun = self.ended = False
        self.to_come_bytes = 0  # of the answer's body, as far as its length is known
        self.state: dict[str, Any] = {}
        self.task: asyncio.Task[None] | None = None
        self._carrier = carrier
        self._chunked = False
        self._sized = False
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._news = False  # since the last wait
        self._arrived: asyncio.Event | None = None
        expects = head.headers.get("expect")
        self._expects_continue = (
            expects is not None
            and version != "1.0"
            and any(value.lower() == "100-continue" for value in expects)
        )

    # --- The connection's side ---

    def add(self, piece: bytes) -> None:
        """Take a piece of the body."""
        if self.ended:
            return
        self._pieces.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes > _HELD_BYTES_MAX:
            self._carrier.pause_reading()
        self._news = True
        if self._arrived is not None:
            self._tell()

    def complete(self) -> None:
        """Hear that the body has ended."""
        self.whole = True
        self._tell()

    def leave(self) -> None:
        """Hear that the caller is gone, or that its request is invalid after all."""
        self.gone = True
        self._tell()

    def _tell(self) -> None:
        self._news = True
        if self._arrived is not None:
            self._arrived.set()
            self._arrived = None

    # --- The request ---

    async def arrival(self) -> None:
        """Wait until more of the body, its end, or the caller's leaving has arrived.

        Returns at once if any of it came since the last wait. A caller that waits to be told to
        send its body is told.
        """
        if self._expects_continue:
            self._say_continue()
        if not self._news and not self.gone and not self.ended:
            self._carrier.resume_reading()
            if self._arrived is None:
                self._arrived = asyncio.Event()
            await self._arrived.wait()
        self._news = False

    def take(self) -> bytes:
        """Take what has arrived of the body."""
        if self._expects_continue:
            self._say_continue()
        pieces, self._pieces = self._pieces, []
        if self._held_bytes > _HELD_BYTES_MAX:
            self._carrier.resume_reading()
        self._held_bytes = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _say_continue(self) -> None:
        self._expects_continue = False
        if not self._carrier.transport.is_closing():
            self._carrier.transport.write(_CONTINUE)

    # --- The answer ---

    async def answer(self, status: int, fields: Fields, body: bytes) -> None:
        """Send a whole answer; a large body in pieces, of which one is buffered.

        `fields` have the body's length, unless the status has no body.
        """
        if self._carrier.write_paused:
            await self._carrier.drained()
        if len(body) <= ANSWER_PIECE_BYTES:
            self._write(self._head(status, fields), b"" if self.method == "HEAD" else body)
            self._end()
            return
        await self.begin(status, fields)
        whole = memoryview(body)
        for start in range(0, len(body), ANSWER_PIECE_BYTES):
            await self.send(whole[start : start + ANSWER_PIECE_BYTES])
        await self.end()

    async def begin(self, status: int, fields: Fields) -> None:
        """Send the head of an answer whose body follows, in chunks if `fields` have no length."""
        if self._carrier.write_paused:
            await self._carrier.drained()
        self._write(self._head(status, fields))

    async def send(self, piece: bytes | memoryview) -> None:
        """Send a piece of the body; waits while the caller does not take what was sent before.

        Raises:
            ValueError: The body is longer than its head says.
        """
        if self._carrier.write_paused:
            await self._carrier.drained()
        if self.method == "HEAD" or not piece:
            return
        if self._chunked:
            self._write(b"%x\r\n" % len(piece), piece, b"\r\n")
            return
        if self._sized:
            self.to_come_bytes -= len(piece)
        if self.to_come_bytes < 0:
            raise ValueError("an answer's body is longer than its head says")
        self._write(piece)

    async def end(self) -> None:
        """End the body.

        Raises:
            ValueError: It is shorter than its head says.
        """
        if self._carrier.write_paused:
            await self._carrier.drained()
        if self.to_come_bytes > 0:
            raise ValueError("an answer's body is shorter than its head says")
        if self._chunked and self.method != "HEAD":
            self._write(b"0\r\n\r\n")
        self._end()

    def _head(self, status: int, fields: Fields) -> bytes:
        self.begun = True
        self._expects_continue = False
        length = None
        for name, value in fields:
            if name == b"content-length":
                length = int(value)
            elif name == b"connection" and b"close" in value.lower():
                self.keep_alive = False
                fields = tuple(each for each in fields if each[0] != b"connection")
        if not self.keep_alive:
            fields = (*fields, _CLOSE)
        self._sized = length is not None
        bodiless = self.method == "HEAD" or status in _BODILESS
        self.to_come_bytes = 0 if bodiless or length is None else length
        if length is None and not bodiless and self.version != "1.0":
            # A caller of HTTP/1.0 knows no chunks: its body ends with the connection.
            self._chunked = True
            fields = (*fields, _CHUNKED)
        return encode_head(status, fields)

    def _write(self, *pieces: bytes | memoryview) -> None:
        if not self.gone:
            self._carrier.transport.write(b"".join(pieces) if len(pieces) > 1 else pieces[0])

    def _end(self) -> None:
        self.to_come_bytes = 0
        if self.gone:
            return
        self.ended = True
        self._tell()
        if not self.keep_alive:
            self._carrier.transport.close()
        self._carrier.answered()
