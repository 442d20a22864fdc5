"""The head of an answer, as bytes."""

import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

Fields = tuple[tuple[bytes, bytes], ...]
"""Header fields in order; names are lowercase."""

_STATUS_LINES: Final = {
    each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus
}


class _DateLine:
    """The `date` field of an answer, formatted once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._line = b""

    def __call__(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = b"date: %b\r\n" % formatdate(second, usegmt=True).encode()
        return self._line


_date_line: Final = _DateLine()


def encode_head(status: int, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Encode a status line, `date`, and header fields, up to the empty line that ends them.

    Raises:
        ValueError: A field holds the end of a line, and could be taken for another field.
    """
    lines = [
        _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status,
        _date_line(),
        *[b"%b: %b\r\n" % field for field in fields],
        b"\r\n",
    ]
    head = b"".join(lines)
    if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines):
        raise ValueError("a header field of an answer holds the end of a line")
    return head
