"""Notices that a log's directory has gone, or that another one is in its place.

A log that was never there has no sessions. One that was there and is not is no empty log.
"""

import contextlib
import stat
import threading
from pathlib import Path
from typing import Final

from lakehouse.core.errors import LakehouseError
from lakehouse.files.disk import reason

_HINT: Final = "Put it back, or start again with the directory where the log is now."


class RootWatch:
    """Looks at one log's directory again and again, from any thread."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._known: tuple[int, int] | None = None
        with contextlib.suppress(LakehouseError):  # told to the first who asks for a row
            self.changed()

    def changed(self) -> bool:
        """Return whether another directory is there than at the last look.

        Raises:
            LakehouseError: There was one and there is none, or it cannot be reached.
        """
        with self._lock:
            known = self._known
            now = self._look(was_there=known is not None)
            self._known = now
        return now != known

    def _look(self, *, was_there: bool) -> tuple[int, int] | None:
        try:
            status = self._root.stat()
        except FileNotFoundError as error:
            if not was_there:
                return None
            message = f"The log's directory {self._root} is not there any more."
            raise LakehouseError(message, hint=_HINT) from error
        except OSError as error:
            message = f"The log's directory {self._root} cannot be read: {reason(error)}."
            raise LakehouseError(message, hint=_HINT) from error
        if not stat.S_ISDIR(status.st_mode):
            raise LakehouseError(f"The log {self._root} is not a directory.", hint=_HINT)
        return status.st_dev, status.st_ino
