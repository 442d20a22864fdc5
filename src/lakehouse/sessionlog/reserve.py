"""Space set aside while there is plenty, so that running sessions can still be written down.

Given up at the first write that finds the disk full; taken again once there is room. Refuses to
take the space that new sessions need: without room to spare there is no reserve.
"""

import errno
from pathlib import Path
from typing import Final

from lakehouse.sessionlog.disk import Disk, free_bytes_required

RESERVE_BYTES_MAX: Final = 16 << 20
_RESERVE_SHARE: Final = 0.01  # of the file system, where that is less
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


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
        """Remove the file."""
        if self._held and self.path is not None:
            self._held = False
            self.path.unlink(missing_ok=True)
