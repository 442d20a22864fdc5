"""Plain files of the log that many programs append to: replay runs, feedback, what is forgotten.

Each line is one write behind a newline, under an exclusive lock of the file, so that a line cut
by a crash harms nobody else's. Refuses to rewrite: a line stays. Blocks: call it from a thread.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from lakehouse.core.row_codec import crc_holds
from lakehouse.sessionlog.disk import Disk
from lakehouse.sessionlog.lines import split


def append_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Append whole lines that end in their crc; all are durable when this returns.

    Raises:
        OSError: Not all could be made durable; those that were may be there.

    Cost: one sync, whatever the number of lines.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        is_new = os.fstat(descriptor).st_size == 0
        for line in lines:
            written = os.write(descriptor, b"\n%b\n" % line)
            if written != len(line) + 2:
                raise OSError(f"only {written} of {len(line) + 2} bytes were written")
        Disk().sync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        Disk().sync_directory(path.parent)


def whole_lines(path: Path) -> Iterator[bytes]:
    """Give the lines whose crc holds, oldest first; none of a file that is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        for line in split(descriptor):
            if crc_holds(line.data) is True:
                yield line.data
    finally:
        os.close(descriptor)
