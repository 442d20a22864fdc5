"""The line of a row with all its members, and the same with changes."""

import json
from collections.abc import Callable
from typing import Any

import msgspec

from lakehouse.core.finding import Finding, Repair, Truncated
from lakehouse.core.row import LoggedError, RowMessage
from lakehouse.core.row_codec import (
    add_crc,
    encode_line,
)
from support.rows import make_attempt, make_row

CUT = Truncated(True, 70_000, "ab" * 32)
ROW = make_row(
    session_id="workflow-42",
    trace_id="f55bbb81faa69aaf4936ce9f0aa962c4",
    row_id="019ab3c4d5e77a1c8d3e4f5061728394",
    messages=(RowMessage("user", "hi", CUT),),
    verdict="infra_error",
    error=LoggedError("connect", "refused", "why"),
    metadata={"b": "1", "a": "2"},
    attempts=(
        make_attempt(
            0,
            outcome="rejected",
            findings=(
                Finding(
                    code="ungrounded",
                    path="/airport",
                    message="no such airport",
                    message_truncated=CUT,
                    got=msgspec.Raw(b'"LX\\u0053"'),
                    expected=msgspec.Raw(b'{"match":"exact"}'),
                    nearest=msgspec.Raw(b'["LIS",1.50]'),
                ),
            ),
            repairs=(Repair("trailing_comma", 7, "dropped"),),
            output_truncated=CUT,
        ),
    ),
)
LINE = encode_line(ROW)


def resealed(line: bytes) -> bytes:
    """Give a line whose bytes were changed the `crc` that fits them."""
    return add_crc(line[:-18] + b"}")


def changed(change: Callable[[dict[str, Any]], object], line: bytes = LINE) -> bytes:
    """Give the line with its members changed, sealed again."""
    value = json.loads(line)
    del value["crc"]
    change(value)
    return add_crc(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def replaced(old: bytes, new: bytes) -> bytes:
    """Give the line with some bytes replaced once, sealed again."""
    assert LINE.count(old) >= 1
    return resealed(LINE.replace(old, new, 1))
