"""Messages over a pipe: a length of four bytes, then JSON."""

import os
import select
import time
from typing import Final

MESSAGE_BYTES_MAX: Final = 64 << 20
_LENGTH_BYTES: Final = 4
_PIECE_BYTES: Final = 1 << 20


class PipeEnded(Exception):
    """The other side is gone."""


class OutOfTime(Exception):
    """The other side took too long."""


def send(descriptor: int, data: bytes) -> None:
    """Write one message.

    Raises:
        PipeEnded: Nobody reads any more.
    """
    rest = memoryview(len(data).to_bytes(_LENGTH_BYTES, "big") + data)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except BrokenPipeError as error:
        raise PipeEnded from error


def receive(descriptor: int, *, until_s: float | None = None) -> bytes:
    """Read one message.

    Args:
        descriptor: The end of a pipe.
        until_s: A moment of `time.monotonic`; None waits for ever.

    Raises:
        PipeEnded: Nobody writes any more.
        OutOfTime: It was not there in time.
    """
    length = int.from_bytes(_read(descriptor, _LENGTH_BYTES, until_s), "big")
    if length > MESSAGE_BYTES_MAX:
        raise PipeEnded
    return _read(descriptor, length, until_s)


def _read(descriptor: int, count: int, until_s: float | None) -> bytes:
    pieces = []
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP)
    while count:
        if until_s is not None:
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not poll.poll(left_s * 1_000):
                raise OutOfTime
        piece = os.read(descriptor, min(count, _PIECE_BYTES))
        if not piece:
            raise PipeEnded
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
