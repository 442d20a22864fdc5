"""The numbered segment files of one writer: lock first, then files, each record in one write.

It does not continue a file it did not create, or write the rest of a record that was cut
short: the rest would be glued behind another writer's record. Not thread-safe; the writer locks.

Every new segment begins with the started lines of the sessions that still run, so that the process
that cleans up after this writer finds them in its newest file, whatever became of the older ones.
"""

import asyncio
import contextlib
import errno
import os
import time
import uuid
from pathlib import Path
from typing import Final

import msgspec

import lakehouse
from lakehouse.core.clock import Clock, timestamp
from lakehouse.core.errors import LogUnavailable, SetupError
from lakehouse.core.row import SegmentHeader
from lakehouse.core.row_codec import encode_line
from lakehouse.files.disk import Disk, reason
from lakehouse.files.locks import take_lock
from lakehouse.sessionlog.layout import ACTIVE, lock_path, prepare, reserve_path, segment_name
from lakehouse.sessionlog.writing.space import Reserve

RUNTIME: Final = "python"
SEGMENT_BYTES_MAX: Final = 64 << 20  # then the next segment begins
SEGMENT_AGE_S_MAX: Final = 3_600.0  # also then, if anything is in it
_RUNNING_MAX: Final = 10_000  # started lines that are carried along; more is a leak
_WRITES_MAX: Final = 2  # of one record in one segment; then once more in a new one
_LOCK_TRIES_MAX: Final = 5


class Segment:
    """One file being written. `records` counts lines other than those it began with."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.name_durable = False
        self.records = 0
        self.bytes = 0
        self.since_s = time.monotonic()

    def in_place(self) -> bool:
        """Return whether the file still has its name, so that readers find it."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), self.path.stat())
        except OSError:
            return False


class Segments:
    """The files of one writer.

    `retired` ones are written no more but may need a sync; `finished` names those that are
    closed. `running` holds the started line of every session without a row, by `row_id`.
    """

    def __init__(
        self,
        root: Path,
        *,
        daemon: str,
        clock: Clock,
        disk: Disk,
        bytes_max: int = SEGMENT_BYTES_MAX,
        age_s_max: float = SEGMENT_AGE_S_MAX,
    ) -> None:
        self.root = root
        self.retired: list[Segment] = []
        self.current: Segment | None = None
        self.finished: list[str] = []
        self.running: dict[str, bytes] = {}
        self.writer_id = ""
        self.reserve = Reserve(disk)
        self._daemon = daemon
        self._clock = clock
        self._disk = disk
        self._bytes_max = bytes_max
        self._age_s_max = age_s_max
        self._lock: int | None = None
        self._number = 0

    def write(self, line: bytes, *, starts: str | None = None, ends: str | None = None) -> Segment:
        r"""Write one record as `\n` + line + `\n`, again and whole while it fails.

        Args:
            line: Of a row or a started session.
            starts: The `row_id` of a session whose started line this is: it is carried from
                segment to segment until its row is written.
            ends: The `row_id` of a session whose row this is.

        Returns:
            The segment it lies in; not durable yet.

        Raises:
            OSError: Neither the current segment nor a new one took it.
        """
        self.rotate_if_due()
        record = b"\n%b\n" % line
        tries = _WRITES_MAX if self.current is not None else 0
        segment = self.current or self.next()
        while True:
            try:
                self._write_once(segment, record)
                break
            except OSError as error:
                if tries == 0:
                    raise
                self.reserve.give_up(error)
            tries -= 1
            if tries == 0:
                segment = self.next()
        if ends is not None:
            self.running.pop(ends, None)
        elif starts is not None:
            while len(self.running) >= _RUNNING_MAX:
                del self.running[next(iter(self.running))]
            self.running[starts] = line
        return segment

    def next(self) -> Segment:
        """Begin a new segment; the one before is retired, whether that works or not.

        Raises:
            OSError: It could not be made; nothing of it is left.
        """
        self.retire()
        self.current = self._begin()
        return self.current

    def rotate_if_due(self) -> None:
        """Begin a new segment when the current one is full or old; keep it if that fails."""
        current = self.current
        if current is None or current.records == 0:
            return
        age_s = time.monotonic() - current.since_s
        if current.bytes < self._bytes_max and age_s < self._age_s_max:
            return
        try:
            following = self._begin()
        except OSError:
            # The disk is in trouble, as the next sync will tell; not tried again at every row.
            current.since_s, current.bytes = time.monotonic(), 0
            return
        self.retire()
        self.current = following

    def _begin(self) -> Segment:
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
            for line in self.running.values():
                self._write_once(segment, b"\n%b\n" % line)
        except OSError:
            self._remove(segment)
            raise
        # What it began with does not count: it would make a segment full before its first row.
        segment.records = segment.bytes = 0
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
            # An error here is one of an earlier write, which the failed sync has told.
            with contextlib.suppress(OSError):
                os.close(segment.descriptor)
            self.finished.append(segment.path.name)

    def abandon(self) -> None:
        """Close everything, and remove a segment that nothing came into.

        What a failed sync leaves looks whole, and may not be on the disk.
        """
        if self.current is not None:
            self.discard_if_empty(self.current)
        self.close()

    def close(self, *, dropping_reserve: bool = True) -> None:
        """Close everything and let go of the lock: from now on the writer counts as dead.

        Not `dropping_reserve` in a forked child: the file is its parent's.
        """
        self.retire()
        self.close_retired(set())
        if self._lock is not None:
            if dropping_reserve:
                self.reserve.drop()
            os.close(self._lock)
            self._lock = None

    def _write_once(self, segment: Segment, record: bytes) -> None:
        written = self._disk.write(segment.descriptor, record)
        # Even a cut record makes the segment worth keeping for a person who looks into the damage.
        segment.records += 1
        segment.bytes += written
        if written != len(record):
            raise OSError(errno.EIO, f"short write: {written} of {len(record)} bytes")

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
            self.finished.clear()  # of another id: a sealer that finds them may seal them
            if self._lock is not None:
                self.reserve.path = reserve_path(self.root, self.writer_id)
                return
        raise OSError(errno.EBUSY, f"no lock file of our own in {self.root}")

    def _remove(self, segment: Segment) -> None:
        # A disk in trouble may refuse this too; a segment without rows harms nobody.
        with contextlib.suppress(OSError):
            os.close(segment.descriptor)
        with contextlib.suppress(OSError):
            segment.path.unlink(missing_ok=True)


class PendingRow(msgspec.Struct, eq=False):
    """A row that is written and waits for its sync; `since_s` in its loop's time."""

    line: bytes
    segment: Segment
    future: "asyncio.Future[None]"
    since_s: float


def settle(rows: list[PendingRow], trouble: str | None) -> None:
    """Resolve the callers' futures, each loop woken once."""
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for row in rows:
        loops.setdefault(row.future.get_loop(), []).append(row.future)
    for loop, futures in loops.items():
        try:
            loop.call_soon_threadsafe(resolve, futures, trouble)
        except RuntimeError:
            continue  # the loop is closed: nobody waits there any more


def resolve(futures: "list[asyncio.Future[None]]", trouble: str | None) -> None:
    """Answer who still waits; runs in the futures' own loop."""
    for future in futures:
        if future.done():
            continue
        if trouble is None:
            future.set_result(None)
        else:
            future.set_exception(LogUnavailable(trouble))


def text_of(error: OSError | SetupError) -> str:
    """Name the trouble for people."""
    return reason(error) if isinstance(error, OSError) else error.public
