"""The sessions that somebody asked to forget: hidden from every reader from that moment on.

`forgotten.jsonl` is a plain shared file in the log directory, one line for each session. What it
names is also left out when segments are compacted. Refuses to be edited: a line stays.
"""

import fcntl
import os
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from lakehouse.core.clock import timestamp
from lakehouse.core.row_codec import crc_holds, seal
from lakehouse.sessionlog.disk import Disk
from lakehouse.sessionlog.lines import split

FORGOTTEN: Final = "forgotten.jsonl"


class ForgottenSession(msgspec.Struct, frozen=True, kw_only=True):
    """`session_log.forgotten.v1`: a line of the file, `crc` aside."""

    schema: Literal["session_log.forgotten.v1"] = "session_log.forgotten.v1"
    session_id: str
    timestamp: str


def forgotten_sessions(root: Path) -> frozenset[str]:
    """List the sessions to hide. Cost: one `open` for a log that forgot nothing."""
    try:
        descriptor = os.open(root / FORGOTTEN, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return frozenset()
    try:
        lines = [line.data for line in split(descriptor) if crc_holds(line.data) is True]
    finally:
        os.close(descriptor)
    return frozenset(_DECODER.decode(line).session_id for line in lines)


def hide_session(root: Path, session_id: str, moment: datetime) -> None:
    """Hide a session from every reader, for good; durable when this returns.

    Raises:
        OSError: The line could not be made durable.
    """
    entry = ForgottenSession(session_id=session_id, timestamp=timestamp(moment))
    line = b"\n" + seal(msgspec.json.encode(entry)) + b"\n"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(root / FORGOTTEN, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        written = os.write(descriptor, line)
        if written != len(line):
            raise OSError(f"only {written} of {len(line)} bytes were written")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    Disk().sync_directory(root)


_DECODER: Final = msgspec.json.Decoder(ForgottenSession)
