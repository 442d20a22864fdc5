"""Locks between processes: a file locked with flock(2) until it is closed or its process ends.

It does not break a lock, or take one that cannot be asked for a free one.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lakehouse.core.errors import LakehouseError
from lakehouse.files.regular import open_regular

_POLL_S: Final = 0.05


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
        # A reaper may have removed the file between the open and the lock; a lock on a file
        # without a name would tell nobody that we live.
        if try_lock(descriptor) and in_place(descriptor, path):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def lock_held(path: Path) -> bool:
    """Return whether any process holds the lock; nobody holds a missing lock file.

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


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open file, until it is closed; False if somebody else has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def in_place(descriptor: int, path: Path) -> bool:
    """Return whether an open file still has its name; a lock on one without excludes nobody."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
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
        while not try_lock(descriptor):
            if time.monotonic() >= until:
                raise Busy(path.name, wait_s)
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def open_locked(path: Path, flags: int) -> Iterator[int]:
    """Open a regular file and hold it alone, for a `with`; waits for others that hold it."""
    descriptor = open_regular(path, flags)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


class Busy(LakehouseError):
    """Another process holds the log's lock; nothing was done."""

    def __init__(self, name: str, wait_s: float) -> None:
        super().__init__(
            f"Another process has held the session log's {name} for {wait_s:.0f} s.",
            hint="It seals, reaps or compacts; try again when it is done.",
        )
