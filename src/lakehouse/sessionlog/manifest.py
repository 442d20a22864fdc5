"""The manifest of a sealed segment: its counts, its digest and its bad lines.

The same segment always gives the same manifest.
"""

import hashlib
import os
from pathlib import Path
from typing import Literal

import msgspec

from lakehouse.files.regular import read_regular
from lakehouse.sessionlog.layout import LogFile, manifest_path
from lakehouse.sessionlog.lines import LogLine, classify_lines, row_key, split_lines


class BadLine(msgspec.Struct, frozen=True):
    """A line that is damage: `line` counts from 1, `offset` and `bytes` as in the file."""

    line: int
    offset: int
    bytes: int
    reason: str


class InboxPart(msgspec.Struct, frozen=True):
    """Which bytes of which inbox file a sealed copy holds, `from` to before `to`.

    `tail_sha256` is of the last 4096 of them, or of all if there are fewer: a file that was cut
    and has grown again has its inode and may have its size, but not these bytes.
    """

    start: int = msgspec.field(name="from")
    end: int = msgspec.field(name="to")
    inode: int
    tail_sha256: str | msgspec.UnsetType = msgspec.UNSET


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`session_log.manifest.v1`. Timestamps are the least and the greatest of its rows."""

    schema: Literal["session_log.manifest.v1"] = "session_log.manifest.v1"
    segment: str
    rows: int
    started: int
    bytes: int
    sha256: str
    first_timestamp: str | None
    last_timestamp: str | None
    bad_lines: tuple[BadLine, ...]
    inbox: InboxPart | msgspec.UnsetType = msgspec.UNSET


def examine(file: LogFile, descriptor: int) -> tuple[Manifest, list[bytes]]:
    """Read a finished segment from end to end.

    Returns:
        Its manifest, and the bad lines themselves, in their order.

    Cost: 1 GB/s, and 15 µs a row of ours; of another runtime's, up to 45.
    """
    rows = started = 0
    first: str | None = None
    last: str | None = None
    bad: list[LogLine] = []
    for entry in classify_lines(file, descriptor, split_lines(descriptor), alive=False):
        rows += entry.kind == "row"
        started += entry.kind == "started"
        if entry.kind == "row" and (key := row_key(entry.line.data)) is not None:
            first = key.timestamp if first is None else min(first, key.timestamp)
            last = key.timestamp if last is None else max(last, key.timestamp)
        if entry.kind == "bad":
            bad.append(entry)
    manifest = Manifest(
        segment=file.name,
        rows=rows,
        started=started,
        bytes=os.fstat(descriptor).st_size,
        sha256=digest(descriptor),
        first_timestamp=first,
        last_timestamp=last,
        bad_lines=tuple(map(_bad_line, bad)),
    )
    return manifest, [entry.line.data for entry in bad]


def digest(descriptor: int) -> str:
    """Return the SHA-256 of a whole file in hex."""
    found = hashlib.sha256()
    position = 0
    while block := os.pread(descriptor, 1 << 20, position):
        found.update(block)
        position += len(block)
    return found.hexdigest()


def read_manifest(root: Path, name: str) -> Manifest | None:
    """Read a sealed segment's manifest; None if it is missing or no manifest."""
    try:
        return msgspec.json.decode(read_regular(manifest_path(root, name)), type=Manifest)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def encode_manifest(manifest: Manifest) -> bytes:
    """Return a manifest's file content."""
    return msgspec.json.encode(manifest) + b"\n"


def _bad_line(entry: LogLine) -> BadLine:
    line = entry.line
    return BadLine(line.number, line.offset, line.bytes, entry.reason or "")
