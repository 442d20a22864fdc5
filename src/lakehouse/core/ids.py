"""Ids: how they are created, and how a session id becomes a trace id.

It knows nothing about HTTP: `context.py` decides *which* id a request gets.
"""

import hashlib
import os
import re
import struct
import threading
import time
from datetime import UTC, datetime
from typing import Final

# The numbers of a session's spans, from which `derived_span_id` derives ids.
REQUEST_SPAN: Final = 0
SESSION_SPAN: Final = 1
LOG_APPEND_SPAN: Final = 2
DIRECT_CALL_SPAN: Final = 3
ATTEMPT_SPANS: Final = 8  # the first number of attempt 0, and the count of numbers per attempt

SESSION_ID_PATTERN: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

_HEX32 = re.compile(r"[0-9A-Fa-f]{32}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}")
_OLDER_LAKEHOUSE = re.compile(r"[0-9A-Fa-f]{16}-[0-9A-Fa-f]{8}")
_ZERO_TRACE_ID = "0" * 32
_HIGHEST_BIT = 1 << 63
_TWO_WORDS = struct.Struct(">QQ")
_RANDOM_WORDS = 64  # of 8 bytes, read at once: what some twenty sessions need


class _Ticks:
    """The last time stamp used: 60 bits, 48 of milliseconds and 12 below them.

    The lock keeps two threads from using the same one. Uniqueness does not depend on it (62
    random bits follow); the order within one process does.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.last = 0


_TICKS = _Ticks()
_random_words: list[int] = []
os.register_at_fork(after_in_child=_random_words.clear)  # or both would use the same ones


def _random_word() -> int:
    """Return 64 random bits of the system's, which nobody can predict; each is used once.

    Taking one from the list is atomic, so that threads never get the same one.
    """
    try:
        return _random_words.pop()
    except IndexError:
        _random_words.extend(memoryview(os.urandom(8 * _RANDOM_WORDS)).cast("Q"))
        return _random_word()


def new_id() -> str:
    """Create a UUIDv7 as 32 lowercase hex digits.

    Sorts by creation time, strictly within a process. It is also a valid W3C, OpenTelemetry and
    Langfuse trace id; its last 7 bytes are random, as W3C's random flag asks. Source: RFC 9562
    section 5.7, with method 3 of section 6.2 for `rand_a`. Cost: about 1 µs.
    """
    tick = time.time_ns() * 4096 // 1_000_000
    with _TICKS.lock:
        _TICKS.last = tick = max(tick, _TICKS.last + 1)
    high = (tick >> 12) << 16 | 0x7000 | tick & 0xFFF
    low = _random_word() & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    return _TWO_WORDS.pack(high, low).hex()


def created_at(identity: str) -> datetime | None:
    """Return when `new_id` made an id, to the millisecond; None for an id of another form."""
    if not is_id(identity) or identity[12] != "7":
        return None
    try:
        return datetime.fromtimestamp(int(identity[:12], 16) / 1000, UTC)
    except (ValueError, OverflowError):
        return None


def new_span_id() -> str:
    """Create a W3C span id: 16 lowercase hex digits, never all zero."""
    return (_random_word() or 1).to_bytes(8).hex()


def derived_span_id(row_id: str, number: int) -> str:
    """Return the id of one span of a session, always the same.

    So a trace can be rebuilt from its row with its original ids. Only an attempt's own span id is
    random, since the row contains it. Costs one SHA-256; see `span_seed` for many.
    """
    return (span_seed(row_id) ^ number).to_bytes(8).hex()


def span_seed(row_id: str) -> int:
    """Return the common part of a session's derived span ids: 64 bits, the highest a one.

    The first 8 bytes of the SHA-256 of the row id, so that two rows' ids are as far apart as
    random ones, in every runtime. The bit that is always one keeps an id from being zero.
    """
    return int.from_bytes(hashlib.sha256(row_id.encode()).digest()[:8]) | _HIGHEST_BIT


def derived_span_bytes(seed: int, number: int) -> bytes:
    """Return the eight bytes of one span's id; ids of a session differ only in the lowest bits."""
    return (seed ^ number).to_bytes(8)


def is_session_id(text: str) -> bool:
    """Return whether `text` is a valid session id of a caller."""
    return SESSION_ID_PATTERN.fullmatch(text) is not None


def is_id(text: str) -> bool:
    """Return whether `text` looks like a generated id: 32 lowercase hex digits, not all 0."""
    return _HEX32.fullmatch(text) is not None and text == text.lower() and text != _ZERO_TRACE_ID


def trace_id_of(session_id: str) -> str:
    """Return the trace id that belongs to a session id: 32 lowercase hex digits, never all zero.

    32 hex digits or a dashed UUID: dashes dropped, lowercased. `<16 hex>-<8 hex>` (time-ordered
    ids of older Lakehouse stacks): the 24 digits, then eight zeros. Everything else, and every
    all-zero result: the first 16 bytes of the SHA-256 of the text in UTF-8, which is Langfuse's
    rule for seeds. The same in every runtime; vectors in `spec/v1/vectors/trace_id.json`.
    """
    if _HEX32.fullmatch(session_id) or _UUID.fullmatch(session_id):
        trace_id = session_id.replace("-", "").lower()
    elif _OLDER_LAKEHOUSE.fullmatch(session_id):
        trace_id = session_id.replace("-", "").lower() + "0" * 8
    else:
        trace_id = _ZERO_TRACE_ID
    if trace_id == _ZERO_TRACE_ID:
        return hashlib.sha256(session_id.encode("utf-8")).hexdigest()[:32]
    return trace_id
