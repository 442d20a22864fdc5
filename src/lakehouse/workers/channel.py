"""Questions and answers between two processes, over a socket that both have.

Either side asks by a word with a payload, and gets a payload or an error. A frame is its length in
four bytes, then MessagePack.
"""

import asyncio
import contextlib
import itertools
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Final, Literal

import msgspec

from lakehouse.core.errors import LakehouseError, SetupError

Handler = Callable[[str, bytes], Awaitable[bytes]]
"""Answers the question of this word and payload."""

_LOG = logging.getLogger(__name__)
_LENGTH_BYTES: Final = 4


class ChannelClosed(Exception):
    """The other process has ended, or is ending."""


class _Frame(msgspec.Struct, array_like=True):
    kind: Literal["ask", "answer", "error"]
    number: int
    word: str = ""
    payload: bytes = b""


class _Fault(msgspec.Struct, array_like=True):
    public: str
    internal: str
    hint: str


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_frame: Final = msgspec.msgpack.Decoder(_Frame).decode
_decode_fault: Final = msgspec.msgpack.Decoder(_Fault).decode


class WorkerChannel:
    """One end. `run` reads until the other end is closed."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._numbers = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writer: asyncio.StreamWriter | None = None
        self._open = asyncio.Event()
        self._closed = False

    async def run(self, end: socket.socket) -> None:
        """Answer and ask over a socket, until the other end is closed."""
        reader, self._writer = await asyncio.open_unix_connection(sock=end)
        self._open.set()
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
                    self._take(_decode_frame(await reader.readexactly(length)))
        finally:
            self._closed = True
            self._open.set()
            for waiting in self._asked.values():
                if not waiting.done():
                    waiting.set_exception(ChannelClosed())
            for task in self._tasks:
                task.cancel()
            self._writer.close()

    async def ask(self, word: str, payload: bytes = b"") -> bytes:
        """Ask the other process.

        Raises:
            SetupError: It says that it cannot; with its message.
            ChannelClosed: It has ended.
        """
        await self._open.wait()
        if self._closed:
            raise ChannelClosed
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._send(_Frame("ask", number, word, payload))
            told: bytes = await answer
        finally:
            del self._asked[number]
        return told

    def _send(self, frame: _Frame) -> None:
        if self._writer is not None and not self._closed:
            data = _encode(frame)
            self._writer.write(len(data).to_bytes(_LENGTH_BYTES) + data)

    def _take(self, frame: _Frame) -> None:
        if frame.kind == "ask":
            task = asyncio.create_task(self._answer(frame))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        waiting = self._asked.get(frame.number)
        if waiting is None or waiting.done():
            return  # who asked does not wait any more
        if frame.kind == "answer":
            waiting.set_result(frame.payload)
        else:
            fault = _decode_fault(frame.payload)
            error = SetupError(fault.public, hint=fault.hint, internal=fault.internal)
            waiting.set_exception(error)

    async def _answer(self, frame: _Frame) -> None:
        try:
            payload = await self._handle(frame.word, frame.payload)
        except LakehouseError as error:
            self._fail(frame, _Fault(error.public, error.internal, error.hint))
        except Exception:  # noqa: BLE001  a question's boundary: who asked must not wait for ever
            _LOG.exception("%r could not be answered", frame.word)
            told = "An internal error. The daemon's log has its cause."
            self._fail(frame, _Fault(told, told, ""))
        else:
            self._send(_Frame("answer", frame.number, payload=payload))

    def _fail(self, frame: _Frame, fault: _Fault) -> None:
        self._send(_Frame("error", frame.number, payload=_encode(fault)))
