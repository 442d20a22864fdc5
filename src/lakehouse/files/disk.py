"""All calls that make files and names durable, in one place, so that tests can inject faults.

It does not retry or repair: what a failed call means is decided by the caller.
"""

import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lakehouse.files.regular import open_regular


class Disk:
    """The file operations of one writer, as the operating system does them."""

    def create(self, path: Path) -> int:
        """Create a file of our own for appending, 0600.

        Returns:
            A descriptor that is closed on exec and appends with every write.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return os.open(path, flags, 0o600)

    def write(self, descriptor: int, data: bytes) -> int:
        """Append with a single system call; the count that it took may be short."""
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        """Make a file's data durable: fdatasync, or F_FULLFSYNC where fsync stops at the drive."""
        if sys.platform == "darwin":
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(descriptor)

    def sync_by_name(self, path: Path) -> None:
        """Make a file's data durable through a descriptor of its own."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def sync_directory(self, path: Path) -> None:
        """Make the names in a directory durable; syncing a file does not do that (fsync(2))."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def preallocate(self, path: Path, size: int) -> None:
        """Create a file whose blocks are there already, where the system can promise that."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            if sys.platform == "linux":
                os.posix_fallocate(descriptor, 0, size)
            else:
                os.write(descriptor, bytes(size))
        finally:
            os.close(descriptor)

    def space(self, path: Path) -> tuple[int, int]:
        """Return the bytes an unprivileged program may still use, and the file system's size."""
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize


def make_directories(path: Path) -> None:
    """Create the directories of a path that are missing, 0700, and make their names durable.

    Raises:
        FileExistsError: Something else is there.
    """
    missing = [place for place in (path, *path.parents) if not place.is_dir()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)
        Disk().sync_directory(place.parent)


@contextmanager
def replacing(path: Path, *, mode: int = 0o600) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of `path` when the block ends well, for a `with`.

    Whole or not at all, and with its name on the disk. A crash leaves the old file or the new one,
    and perhaps a `.tmp` beside it, which the next call for the same path replaces.

    Raises:
        OSError: The old file is still there.
    """
    beside = path.with_name(f".{path.name}.tmp")
    descriptor = open_regular(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    Disk().sync_directory(path.parent)


def write_durably(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Put a small file in place; see `replacing`."""
    with replacing(path, mode=mode) as file:
        file.write(data)


def reason(error: OSError) -> str:
    """Name a system error for people: its text and its symbol."""
    symbol = errno.errorcode.get(error.errno or 0, "unknown")
    return f"{error.strerror or error} ({symbol})"
