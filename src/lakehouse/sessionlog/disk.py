"""The system calls the log stands on, in one place: what tests replace to inject faults.

Refuses to retry or to repair: what a failed call means is decided by the writer.
"""

import errno
import fcntl
import os
import stat
import sys
from pathlib import Path

FREE_BYTES_MIN = 16 << 20  # never less than this, however small the file system is
FREE_BYTES_MAX = 256 << 20  # and never more, however large
FREE_SHARE = 0.02


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

    def sync_directory(self, path: Path) -> None:
        """Make the names in a directory durable; syncing a file does not do that (fsync(2))."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def space(self, path: Path) -> tuple[int, int]:
        """Give the bytes an unprivileged program may still use, and the file system's size."""
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize


def free_bytes_required(total_bytes: int) -> int:
    """Give the free space below which no new session is taken on (contract section 5)."""
    return max(FREE_BYTES_MIN, min(FREE_BYTES_MAX, int(total_bytes * FREE_SHARE)))


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

    Asks for a shared lock and gives it back at once, so that readers never exclude each other.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def is_shared(status: os.stat_result) -> bool:
    """Say whether others than the owner may write to a file or directory."""
    return bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def reason(error: OSError) -> str:
    """Name a system error for people: its text and its symbol."""
    symbol = errno.errorcode.get(error.errno or 0, "unknown")
    return f"{error.strerror or error} ({symbol})"
