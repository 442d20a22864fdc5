"""The numbered segment files of one writer: lock first, then files, many records in one write.

Each record begins and ends with a newline, so that a write that is cut short harms one record only.
It does not continue a file it did not create, or write the rest of a record that was cut
short: the rest would be glued behind another writer's record. Not thread-safe; the writer locks.

Every new segment begins with the started lines of the sessions that still run, so that the process
that cleans up after this writer finds them in its newest file, whatever became of the older ones.
"""

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Final

import msgspec

import lakehouse
from lakehouse.core.clock import Clock, timestamp
from lakehouse.core.errors import SetupError
from lakehouse.core.row import SegmentHeader
from lakehouse.core.row_codec import encode_line
from lakehouse.files.disk import Disk, reason
from lakehouse.files.locks import take_lock
from lakehouse.sessionlog.layout import ACTIVE, lock_path, prepare, reserve_path, segment_name
from lakehouse.sessionlog.writing.space import Reserve

RUNTIME: Final = "python"
SEGMENT_BYTES_MAX: Final = 64 << 20  # then the next segment begins
SEGMENT_AGE_S_MAX: Final = 3_600.0  # also then, if anything is in it
WRITE_BYTES_MAX: Final = 1 << 20  # of several records in one write; a larger one is written alone
_RUNNING_MAX: Final = 10_000  # started lines that are carried along; more is a leak
_WRITES_MAX: Final = 2  # of one record in one segment; then once more in a new one
_LOCK_TRIES_MAX: Final = 5
_LINE: Final = attrgetter("line")


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


class Record(msgspec.Struct, eq=False):
    """A line of a session: the one that it leaves when it starts, or the row that ends it.

    `segment` is the file that the line lies in, not durable yet; None until it is written.
    """

    line: bytes
    row_id: str
    ends: bool
    segment: Segment | None = None


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

    def write(self, records: Sequence[Record]) -> None:
        """Write records in their order, many in one write; each again and whole while it fails.

        A session is carried from segment to segment from its started line to its row.

        Args:
            records: Without a segment; each that is written has one afterwards.

        Raises:
            OSError: Neither the current segment nor a new one took those that have none.
        """
        failures = 0
        if self.current is None:
            self.next()
            failures = _WRITES_MAX
        while records:
            self.rotate_if_due()
            segment = self.current
            assert segment is not None, "one that is due is replaced, or kept"
            lines = self._together(list(map(_LINE, records)), segment)
            whole, error = self._write_once(lines, segment)
            for record in records[:whole]:
                record.segment = segment
                if record.ends:
                    self.running.pop(record.row_id, None)
                    continue
                while len(self.running) >= _RUNNING_MAX:
                    del self.running[next(iter(self.running))]
                self.running[record.row_id] = record.line
            records = records[whole:]
            if error is None:
                failures = 0
                continue
            self.reserve.give_up(error)
            failures = 1 if whole else failures + 1  # those before a torn one have not failed
            if failures > _WRITES_MAX:
                raise error
            if failures == _WRITES_MAX:
                self.next()

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
        # What it begins with does not count: it would make a segment full before its first row.
        try:
            self._write_whole(segment, encode_line(header) + b"\n")
            for line in self.running.values():
                self._write_whole(segment, b"\n%b\n" % line)
        except OSError:
            self._remove(segment)
            raise
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

    def _together(self, lines: list[bytes], segment: Segment) -> list[bytes]:
        """Take the first lines, as many as one write and the segment hold; at least one."""
        room = min(WRITE_BYTES_MAX, self._bytes_max - segment.bytes)
        if sum(map(len, lines)) + 2 * len(lines) <= room:
            return lines
        count = 0
        for line in lines:
            room -= len(line) + 2
            if room < 0:
                break
            count += 1
        return lines[: max(1, count)]

    def _write_once(self, lines: list[bytes], segment: Segment) -> tuple[int, OSError | None]:
        r"""Write each line as `\n` + line + `\n`, all with one call; gives how many are whole."""
        data = b"\n%b\n" % b"\n\n".join(lines)
        try:
            written = self._disk.write(segment.descriptor, data)
        except OSError as error:
            return 0, error
        # Even a cut line makes the segment worth keeping for a person who looks into the damage.
        segment.records += len(lines)
        segment.bytes += written
        if written == len(data):
            return len(lines), None
        whole, end = 0, len(lines[0]) + 2
        while end <= written:
            whole += 1
            end += len(lines[whole]) + 2
        return whole, _cut_short(written, len(data))

    def _write_whole(self, segment: Segment, data: bytes) -> None:
        written = self._disk.write(segment.descriptor, data)
        if written != len(data):
            raise _cut_short(written, len(data))

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


def _cut_short(written: int, wanted: int) -> OSError:
    return OSError(errno.EIO, f"short write: {written} of {wanted} bytes")


def text_of(error: OSError | SetupError) -> str:
    """Name the trouble for people."""
    return reason(error) if isinstance(error, OSError) else error.public
