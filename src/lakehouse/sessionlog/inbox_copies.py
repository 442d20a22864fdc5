"""Which part of the inbox is in sealed copies: asked before its lines are copied or read again."""

import hashlib
import os
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.sessionlog.layout import INBOX_WRITER, SEALED, segment_name
from lakehouse.sessionlog.manifest import InboxPart, read_manifest

_COPY_MANIFEST: Final = ".jsonl.manifest.json"
_TAIL_BYTES: Final = 4096  # compared to notice a cut; a row ends in its own crc


def inbox_sealed_to(root: Path, inbox: int) -> int:
    """Return the offset up to which the inbox, open as `inbox`, was copied to sealed files.

    0 if it was replaced or truncated: its content is newer than the last copy.
    """
    _, part = last_copy(root)
    return reached(inbox, part)


def reached(inbox: int, part: InboxPart | None) -> int:
    """Return the end of the part, or 0 if it does not belong to the current inbox."""
    if part is None:
        return 0
    status = os.fstat(inbox)
    if status.st_ino != part.inode or status.st_size < part.end:
        return 0
    # Manifests that were written before there was a digest have none.
    if part.tail_sha256 in {msgspec.UNSET, tail_digest(inbox, part.start, part.end)}:
        return part.end
    return 0


def tail_digest(inbox: int, start: int, end: int) -> str:
    """Return the SHA-256 of the last bytes of a part, in hex."""
    size = min(_TAIL_BYTES, end - start)
    return hashlib.sha256(os.pread(inbox, size, end - size)).hexdigest()


def last_copy(root: Path) -> tuple[int, InboxPart | None]:
    """Find the newest copy whose manifest can be read: its number, or -1, and what it holds.

    One behind it was cut short by a crash and is made again. Cost: one look at the names in
    `sealed/` and one manifest, however many copies there were.
    """
    names = (path.name for path in (root / SEALED).glob(f"{INBOX_WRITER}-*{_COPY_MANIFEST}"))
    parts = (name[len(INBOX_WRITER) + 1 : -len(_COPY_MANIFEST)] for name in names)
    for number in sorted((int(part) for part in parts if part.isdecimal()), reverse=True):
        manifest = read_manifest(root, segment_name(INBOX_WRITER, number))
        if manifest is not None:
            return number, None if manifest.inbox is msgspec.UNSET else manifest.inbox
    return -1, None
