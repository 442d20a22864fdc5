"""Files that DuckDB reads by name while we keep them open: descriptors, and copies without damage.

A segment may be sealed under another name at any moment, so each is held open and named by its
descriptor. There are fewer descriptors than a log may have files: beyond a share of them, rows are
copied together into one file. Copies are always removed.
"""

import os
import resource
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_MEMORY_BYTES_MAX: Final = 256 << 20  # of a copy; a larger one goes to the disk
_SHARE: Final = 4  # of the descriptors: DuckDB opens each file again, and we have others
_MAX: Final = 4_096

# Opens the file behind a descriptor, whatever its name is by now. Elsewhere a path into /dev/fd
# would share the descriptor's offset with every other reader.
_DESCRIPTOR_PATH: Final = "/proc/self/fd/{}"
_BY_DESCRIPTOR: Final = sys.platform == "linux"


class HeldFiles:
    """The files held so far. `names` are what DuckDB opens."""

    def __init__(self, spill: Path | None) -> None:
        """Begin with nothing.

        Args:
            spill: Where large copies go; None for the place of temporary files.
        """
        self.names: list[str] = []
        self.descriptors: list[int] = []
        self.copies: list[Path] = []
        self._spill = spill
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._left = _MAX if soft == resource.RLIM_INFINITY else min(_MAX, soft // _SHARE)
        self._together: int | None = None

    @property
    def has_room(self) -> bool:
        """Return whether one more file may be held open."""
        return self._left > 0

    def keep(self, descriptor: int, path: Path) -> str:
        """Hold a file as it is; returns its name for DuckDB."""
        self._left -= 1
        if _BY_DESCRIPTOR:
            self.descriptors.append(descriptor)
            name = _DESCRIPTOR_PATH.format(descriptor)
        else:
            os.close(descriptor)
            name = str(path)
        self.names.append(name)
        return name

    def copy(self, lines: Iterable[bytes], size: int) -> str:
        """Hold a copy of some lines instead of their file; returns its name for DuckDB.

        Args:
            lines: Without their line breaks.
            size: Of the file that they come from, in bytes.

        Raises:
            OSError: There is no space for it.
        """
        self._left -= 1
        descriptor, name = self._new(size)
        self.names.append(name)
        _write(descriptor, lines)
        return name

    def copy_together(self, lines: Iterable[bytes]) -> None:
        """Add some lines to the one copy of all that cannot be held by itself.

        Raises:
            OSError: There is no space for it.
        """
        if self._together is None:
            # Many files, so large: to the disk from the start.
            self._together, name = self._new(_MEMORY_BYTES_MAX + 1)
            self.names.append(name)
        _write(self._together, lines)

    def close(self) -> None:
        """Release everything; call once."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        for path in self.copies:
            path.unlink(missing_ok=True)

    def _new(self, size: int) -> tuple[int, str]:
        if _BY_DESCRIPTOR and size <= _MEMORY_BYTES_MAX:
            return self._in_memory()
        try:
            descriptor, name = tempfile.mkstemp(prefix="lakehouse-rows-", dir=self._spill)
        except PermissionError:
            # A process that may write nowhere at all.
            if not _BY_DESCRIPTOR:
                raise
            return self._in_memory()
        self.descriptors.append(descriptor)
        if not _BY_DESCRIPTOR:
            self.copies.append(Path(name))
            return descriptor, name
        Path(name).unlink()
        return descriptor, _DESCRIPTOR_PATH.format(descriptor)

    def _in_memory(self) -> tuple[int, str]:
        descriptor = os.memfd_create("lakehouse-rows", os.MFD_CLOEXEC)
        self.descriptors.append(descriptor)
        return descriptor, _DESCRIPTOR_PATH.format(descriptor)


def _write(descriptor: int, lines: Iterable[bytes]) -> None:
    with os.fdopen(os.dup(descriptor), "wb") as out:
        for line in lines:
            out.write(line + b"\n")
