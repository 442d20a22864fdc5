"""W3C Trace Context: reads and writes `traceparent` and `tracestate`.

Source: W3C Trace Context level 2, sections 3.2, 3.3 and 4. A malformed header is ignored as a
whole, never an error: tracing may not fail a request.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from lakehouse.core.limits import TRACESTATE_CHARS_MAX

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
# A key, `=`, and a value that does not end in a space; 256 characters each at most.
_MEMBER = re.compile(
    r"[a-z0-9][a-z0-9_*/@-]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MEMBERS_MAX: Final = 32
_MEMBER_LONG: Final = 128  # if space is short, longer members are dropped first (3.3.1.5)

SAMPLED: Final = 0x01
RANDOM: Final = 0x02
FLAGS_KNOWN: Final = SAMPLED | RANDOM


class TraceParent(msgspec.Struct, frozen=True):
    """A parent span somewhere: what `traceparent` names."""

    trace_id: str
    span_id: str
    flags: int = SAMPLED


def parse_traceparent(values: Sequence[str]) -> TraceParent | None:
    """Read the `traceparent` header fields of a request; None unless there is exactly one valid.

    Args:
        values: Every field value under that name, in order; two or more are invalid (W3C 3.2).
    """
    if len(values) != 1:
        return None
    match = _TRACEPARENT.fullmatch(values[0].strip(" \t"))
    if match is None:
        return None
    version, trace_id, span_id, flags, suffix = match.groups()
    if version == "ff" or (version == "00" and suffix is not None):
        return None
    if trace_id.strip("0") == "" or span_id.strip("0") == "":
        return None
    return TraceParent(trace_id, span_id, int(flags, 16) & FLAGS_KNOWN)


def parse_tracestate(values: Sequence[str]) -> str | None:
    """Read the `tracestate` header fields that came with a valid `traceparent`, to be sent on.

    Fields are joined in order, white space around members and empty members are left out; the
    members stay unchanged, duplicate keys too. A malformed member, or more than 32, discards
    everything. If the rest is over `TRACESTATE_CHARS_MAX`, long members are left out first, then
    the last ones (W3C 3.3.1.5).

    Args:
        values: Every field value under that name, in order.

    Returns:
        One field value; None if there is nothing to send on.
    """
    members = [
        stripped for member in ",".join(values).split(",") if (stripped := member.strip(" \t"))
    ]
    if len(members) > _MEMBERS_MAX or not all(map(_MEMBER.fullmatch, members)):
        return None
    if len(",".join(members)) > TRACESTATE_CHARS_MAX:
        members = [member for member in members if len(member) <= _MEMBER_LONG]
    while len(",".join(members)) > TRACESTATE_CHARS_MAX:
        members.pop()
    return ",".join(members) or None
