"""Plain files of the log that many programs append to: replay runs, feedback, forgotten sessions.

Each line is one write behind a newline, under an exclusive lock of the file, so that a line cut
by a crash harms nobody else's. It does not move a line: one that has to go becomes
blank lines where it stands, which readers skip, so that no offset and no open file of another
program goes stale.
Blocks: call it from a thread.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lakehouse.core.errors import LakehouseError
from lakehouse.core.row_codec import crc_holds
from lakehouse.files.disk import Disk
from lakehouse.files.locks import open_locked
from lakehouse.files.regular import open_regular
from lakehouse.sessionlog.lines import split_lines


def append_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Append whole lines that end in their crc; all are durable when this returns.

    Raises:
        OSError: Not all could be made durable; those that were may be there.

    Cost: one sync, whatever the number of lines.
    """
    with open_locked(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as descriptor:
        is_new = os.fstat(descriptor).st_size == 0
        for line in lines:
            written = os.write(descriptor, b"\n%b\n" % line)
            if written != len(line) + 2:
                raise OSError(f"only {written} of {len(line) + 2} bytes were written")
        Disk().sync(descriptor)
    if is_new:
        Disk().sync_directory(path.parent)


def blank_lines(path: Path, unwanted: Callable[[bytes], bool]) -> int:
    """Overwrite the whole lines that nobody wants any more; durable when this returns.

    Returns:
        How many there were. One that a crash left half overwritten is damage, and stays.

    Raises:
        OSError: It failed; some may be left.
    """
    if not os.path.lexists(path):
        return 0
    with open_locked(path, os.O_RDWR) as descriptor:
        found = [
            line for line in split_lines(descriptor) if crc_holds(line.data) and unwanted(line.data)
        ]
        for line in found:
            os.pwrite(descriptor, b"\n" * len(line.data), line.offset)
        if found:
            Disk().sync(descriptor)
    return len(found)


def whole_lines(path: Path) -> Iterator[bytes]:
    """Return the lines with a valid crc, oldest first; none if the file is missing.

    Raises:
        LakehouseError: Something else than a file is there, or it may not be read.
    """
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LakehouseError(
            f"{path} cannot be read: {error.strerror}.",
            hint="It is part of the session log: restore the file, or let this user read it.",
        ) from error
    try:
        for line in split_lines(descriptor):
            if crc_holds(line.data) is True:
                yield line.data
    finally:
        os.close(descriptor)
