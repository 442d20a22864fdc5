"""The numbered segment files of one writer: lock first, then files, each record one write.

Refuses to continue a file it did not create, and to write the rest of a record that was cut
short: the rest would be glued behind another writer's record. Not thread-safe; the writer locks.
"""

import errno
import os
import uuid
from pathlib import Path
from typing import Final

import lakehouse
from lakehouse.core.clock import Clock, timestamp
from lakehouse.core.row import SegmentHeader
from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.disk import Disk, take_lock
from lakehouse.sessionlog.layout import ACTIVE, lock_path, prepare, segment_name

RUNTIME: Final = "python"
_WRITES_MAX: Final = 2  # of one record in one segment; then once more in a new one
_LOCK_TRIES_MAX: Final = 5


class Segment:
    """One file being written. `records` counts lines other than the header."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.name_durable = False
        self.records = 0

    def in_place(self) -> bool:
        """Say whether the file still lies under its name, so that readers find it."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), self.path.stat())
        except OSError:
            return False


class Segments:
    """The files of one writer. `retired` ones are written no more but may need a sync."""

    def __init__(self, root: Path, *, daemon: str, clock: Clock, disk: Disk) -> None:
        self.root = root
        self.retired: list[Segment] = []
        self.current: Segment | None = None
        self.writer_id = ""
        self._daemon = daemon
        self._clock = clock
        self._disk = disk
        self._lock: int | None = None
        self._number = 0

    def write(self, line: bytes) -> Segment:
        r"""Write one record as `\n` + line + `\n`, again and whole while it fails.

        Returns:
            The segment it lies in; not durable yet.

        Raises:
            OSError: Neither the current segment nor a new one took it.
        """
        record = b"\n%b\n" % line
        if self.current is not None:
            for _ in range(_WRITES_MAX):
                try:
                    return self._write_once(self.current, record)
                except OSError:
                    continue
        return self._write_once(self.next(), record)

    def next(self) -> Segment:
        """Begin a new segment with its header line; the one before is retired.

        Raises:
            OSError: It could not be made; nothing of it is left.
        """
        self.retire()
        self._hold_lock()
        path = self.root / ACTIVE / segment_name(self.writer_id, self._number)
        header = SegmentHeader(
            writer_id=self.writer_id,
            segment=self._number,
            daemon=self._daemon,
            runtime=RUNTIME,
            version=lakehouse.__version__,
            started_at=timestamp(self._clock.now()),
        )
        self._number += 1
        segment = Segment(path, self._disk.create(path))
        try:
            self._write_once(segment, encode_line(header) + b"\n")
        except OSError:
            self._remove(segment)
            raise
        segment.records = 0
        self.current = segment
        return segment

    def retire(self, segment: Segment | None = None) -> None:
        """Write no more to the current segment (or to this one, if it is the current one)."""
        if self.current is not None and segment in {None, self.current}:
            self.retired.append(self.current)
            self.current = None

    def discard_if_empty(self, segment: Segment) -> None:
        """Remove a segment that failed before any record came into it; else retire it."""
        self.retire(segment)
        if segment.records == 0 and segment in self.retired:
            self.retired.remove(segment)
            self._remove(segment)

    def close_retired(self, in_use: set[Segment]) -> None:
        """Close retired segments that no record waits for."""
        for segment in [segment for segment in self.retired if segment not in in_use]:
            self.retired.remove(segment)
            os.close(segment.descriptor)

    def close(self) -> None:
        """Close everything and let go of the lock: from now on the writer counts as dead."""
        self.retire()
        self.close_retired(set())
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _write_once(self, segment: Segment, record: bytes) -> Segment:
        written = self._disk.write(segment.descriptor, record)
        # Even a cut record makes the segment worth keeping for whoever looks into the damage.
        segment.records += 1
        if written != len(record):
            raise OSError(errno.EIO, f"short write: {written} of {len(record)} bytes")
        return segment

    def _hold_lock(self) -> None:
        """Make sure that our lock file still tells others that this writer lives."""
        if self._lock is not None:
            try:
                found = lock_path(self.root, self.writer_id).lstat()
                if os.path.samestat(found, os.fstat(self._lock)):
                    return
            except FileNotFoundError:
                pass
            os.close(self._lock)
            self._lock = None
            prepare(self.root)
        for _ in range(_LOCK_TRIES_MAX):
            self.writer_id = uuid.uuid4().hex
            self._lock = take_lock(lock_path(self.root, self.writer_id))
            self._number = 0
            if self._lock is not None:
                return
        raise OSError(errno.EBUSY, f"no lock file of our own in {self.root}")

    def _remove(self, segment: Segment) -> None:
        os.close(segment.descriptor)
        segment.path.unlink(missing_ok=True)
