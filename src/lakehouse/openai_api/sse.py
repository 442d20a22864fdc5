"""Server-sent events as bytes, in the subset that every OpenAI client reads correctly.

No `id:` and no `retry:`: after those, some clients dispatch an empty event at the next blank line.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

PIECE_BYTES_MAX: Final = 4 << 10  # of an answer's text in one event
DONE: Final = b"data: [DONE]\n\n"
HEARTBEAT: Final = b": waiting\n"
# Line ends of `str.splitlines`, by which some clients split a stream; JSON does not escape them.
_LINE_ENDS: Final = (
    ("\u0085".encode(), b"\\u0085"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


def data_event(value: object, name: str = "") -> bytes:
    """Encode one event, whose data is the value as JSON on one line; `name` is its type, if any."""
    data = msgspec.json.encode(value)
    if not data.isascii():
        for end, escape in _LINE_ENDS:  # in JSON they stand only inside strings
            data = data.replace(end, escape)
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data) if name else b"data: %b\n\n" % data


def rejection_line(iteration: int) -> bytes:
    """Encode the comment line of a rejected attempt; `iteration` counts from 0, people from 1."""
    return b": attempt %d rejected\n" % (iteration + 1)


def pieces(text: str) -> Iterator[str]:
    """Cut a text at characters into pieces of at most 4 KiB of UTF-8."""
    whole = text.encode()
    start = 0
    while start < len(whole):
        end = min(start + PIECE_BYTES_MAX, len(whole))
        while end < len(whole) and whole[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        yield whole[start:end].decode()
        start = end
