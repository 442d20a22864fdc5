"""The system calls the log stands on, in one place: what tests replace to inject faults.

It does not retry or repair: what a failed call means is decided by the writer.
"""

import errno
import fcntl
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lakehouse.core.errors import LakehouseError
from lakehouse.sessionlog.regular_file import open_regular

FREE_BYTES_MIN = 16 << 20  # never less than this, however small the file system is
FREE_BYTES_MAX = 256 << 20  # and never more, however large
FREE_SHARE = 0.02

_LOCK_POLL_S: Final = 0.05


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
        """Give the bytes an unprivileged program may still use, and the file system's size."""
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize


def free_bytes_required(total_bytes: int) -> int:
    """Give the free space below which no new session is taken on (contract section 5)."""
    return max(FREE_BYTES_MIN, min(FREE_BYTES_MAX, int(total_bytes * FREE_SHARE)))


def space_trouble(disk: Disk, root: Path) -> str | None:
    """Say what is wrong with the free space of a log; None if there is enough."""
    try:
        free_bytes, total_bytes = disk.space(root)
    except OSError as error:
        return reason(error)
    required_bytes = free_bytes_required(total_bytes)
    if free_bytes < required_bytes:
        return f"{free_bytes >> 20} MiB are free, {required_bytes >> 20} MiB are required"
    return None


def take_lock(path: Path) -> int | None:
    """Create a lock file and hold it exclusively; None if somebody else got in between.

    The descriptor is the lock: it lasts until it is closed or the process ends, however it ends.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A reaper may have removed the file between the open and the lock; a lock on a file
        # without a name would tell nobody that we live.
        if os.path.samestat(os.fstat(descriptor), path.lstat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def lock_held(path: Path) -> bool:
    """Say whether some process holds the lock; a missing lock file is held by nobody.

    One that cannot be asked counts as held: nobody's sessions are taken for crashed on a guess.
    Asks for a shared lock and gives it back at once, so that readers never exclude each other.
    """
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def exclusively(path: Path, wait_s: float) -> Iterator[None]:
    """Hold a lock file that is never removed while the block runs.

    Raises:
        Busy: Somebody else held it for all of `wait_s`.
    """
    descriptor = open_regular(path, os.O_RDWR | os.O_CREAT)
    try:
        until = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= until:
                    raise Busy(path.name, wait_s) from error
                time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(descriptor)


def make_directories(path: Path) -> None:
    """Create the directories of a path that are missing, 0700, and make their names durable.

    Raises:
        FileExistsError: Something else is there.
    """
    missing = [place for place in (path, *path.parents) if not place.is_dir()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)
        Disk().sync_directory(place.parent)


def write_durably(path: Path, data: bytes) -> None:
    """Put a small file in place, whole or not at all, and its name on the disk.

    A crash leaves the old file or the new one, and perhaps a `.tmp` beside it, which the next
    call for the same path replaces.
    """
    beside = path.with_name(f".{path.name}.tmp")
    descriptor = open_regular(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    beside.rename(path)
    Disk().sync_directory(path.parent)


class Busy(LakehouseError):
    """Another process holds the log's lock; nothing was done."""

    def __init__(self, name: str, wait_s: float) -> None:
        super().__init__(
            f"Another process has held the session log's {name} for {wait_s:.0f} s.",
            hint="It seals, reaps or compacts; try again when it is done.",
        )


def is_shared(status: os.stat_result) -> bool:
    """Say whether others than the owner may write to a file or directory."""
    return bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def reason(error: OSError) -> str:
    """Name a system error for people: its text and its symbol."""
    symbol = errno.errorcode.get(error.errno or 0, "unknown")
    return f"{error.strerror or error} ({symbol})"
