"""Free disk space: how much new sessions need, and how much is reserved for running ones.

The reserve is taken while there is plenty, so that running sessions can still be written down. It
is given up at the first write that finds the disk full, and taken again once there is room. It does
not take the space that new sessions need: without room to spare there is no reserve.
"""

import errno
from pathlib import Path
from typing import Final

from lakehouse.files.disk import Disk, reason

RESERVE_BYTES_MAX: Final = 16 << 20
_RESERVE_SHARE: Final = 0.01  # of the file system, where that is less
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

FREE_BYTES_MIN: Final = 16 << 20  # never less than this, however small the file system is
FREE_BYTES_MAX: Final = 256 << 20  # and never more, however large
FREE_SHARE: Final = 0.02


def free_bytes_required(total_bytes: int) -> int:
    """Return the free space below which new sessions are refused (contract section 5)."""
    return max(FREE_BYTES_MIN, min(FREE_BYTES_MAX, int(total_bytes * FREE_SHARE)))


def space_trouble(disk: Disk, root: Path) -> str | None:
    """Return what is wrong with the free space of a log; None if there is enough."""
    try:
        free_bytes, total_bytes = disk.space(root)
    except OSError as error:
        return reason(error)
    required_bytes = free_bytes_required(total_bytes)
    if free_bytes < required_bytes:
        return f"{free_bytes >> 20} MiB are free, {required_bytes >> 20} MiB are required"
    return None


class Reserve:
    """One writer's preallocated file. Not thread-safe; the writer locks."""

    def __init__(self, disk: Disk) -> None:
        self.path: Path | None = None
        self._disk = disk
        self._held = False

    def take(self) -> None:
        """Preallocate the file if it is not there and enough is free beside it.

        Raises:
            OSError: It could not be made; nothing of it is left.
        """
        if self._held or self.path is None:
            return
        free_bytes, total_bytes = self._disk.space(self.path.parent)
        size = min(RESERVE_BYTES_MAX, int(total_bytes * _RESERVE_SHARE))
        if free_bytes - size < 2 * free_bytes_required(total_bytes):
            return
        try:
            self._disk.preallocate(self.path, size)
        except OSError:
            self.path.unlink(missing_ok=True)
            raise
        self._held = True

    def give_up(self, error: OSError) -> None:
        """Free the space, if this error says that there is none."""
        if error.errno in _FULL:
            self.drop()

    def drop(self) -> None:
        if self._held and self.path is not None:
            self._held = False
            self.path.unlink(missing_ok=True)
