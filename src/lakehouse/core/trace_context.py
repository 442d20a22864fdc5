"""W3C Trace Context: reading and writing `traceparent`.

Source: W3C Trace Context level 2, sections 3.2 and 4. A malformed header is ignored as a whole,
never an error: tracing may not fail a request.
"""

import re
from collections.abc import Sequence

import msgspec

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01
_RANDOM = 0x02


class TraceParent(msgspec.Struct, frozen=True):
    """A parent span somewhere: what `traceparent` names."""

    trace_id: str
    span_id: str
    flags: int = _SAMPLED

    def header(self) -> str:
        """Format as a version 00 `traceparent`; unknown flag bits are sent as zero."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags & (_SAMPLED | _RANDOM):02x}"


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
    return TraceParent(trace_id, span_id, int(flags, 16) & (_SAMPLED | _RANDOM))
