"""Opens files of the log for reading: only regular files, under their own names.

A log's directory may hold what somebody else put there. A FIFO would hold its reader for ever, a
link would show a file from elsewhere. It does not wait, follow a link, or read anything but
a regular file.
"""

import os
import stat
from pathlib import Path
from typing import Final

_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_SORTS: Final = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_SMALL_BYTES_MAX: Final = 64 << 20  # of a manifest, say: one line of JSON for each bad line


class NotRegular(OSError):
    """What lies there is no regular file. `strerror` says what it is."""


def open_regular(path: Path, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """Open a regular file. Never waits, never follows a link in the last part of the path.

    Raises:
        FileNotFoundError: There is nothing.
        NotRegular: There is something else.
        OSError: It may not be read, say.
    """
    try:
        descriptor = os.open(path, flags | _FLAGS, mode)
    except FileNotFoundError:
        raise
    except OSError as error:
        sort = sort_of(path)
        if sort is None:
            raise
        raise NotRegular(error.errno, f"it is {sort}, not a file", str(path)) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        sort = _sort(status.st_mode)
        raise NotRegular(os.EX_NOINPUT, f"it is {sort}, not a file", str(path))
    return descriptor


def read_regular(path: Path) -> bytes:
    """Read a small file whole.

    Raises:
        OSError: As `open_regular`; also if it is larger than any of ours.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        data = file.read(_SMALL_BYTES_MAX + 1)
    if len(data) > _SMALL_BYTES_MAX:
        raise OSError(os.EX_DATAERR, f"it is larger than {_SMALL_BYTES_MAX >> 20} MiB", str(path))
    return data


def sort_of(path: Path) -> str | None:
    """Return what is at a path if it is not a regular file; None if it is one, or missing."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return None
    return None if stat.S_ISREG(mode) else _sort(mode)


def _sort(mode: int) -> str:
    return next((name for holds, name in _SORTS if holds(mode)), "something unknown")
