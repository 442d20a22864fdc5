"""The writer of one daemon: acknowledges rows once they survive a power cut.

One background thread writes and syncs rows; those that come meanwhile share its next write(2) and
sync. The caller's thread writes started lines, so that they survive the process at once. A row
whose sync failed is not acknowledged, and its file is not synced again: the kernel may have dropped
the data.

A forked child finds its copy of the writer closed. A subprocess inherits no descriptor.
"""

import contextlib
import logging
import threading
import time
from operator import attrgetter
from pathlib import Path
from typing import Final, Literal

from lakehouse.core.clock import Clock, SystemClock
from lakehouse.core.errors import LogUnavailable, Refusal, SetupError
from lakehouse.core.row import Row, Started
from lakehouse.core.row_codec import encode_fitting
from lakehouse.files.disk import Disk, reason
from lakehouse.sessionlog.layout import prepare
from lakehouse.sessionlog.writing import forks
from lakehouse.sessionlog.writing.row_queue import ACK_S_MAX, PendingRow, RowQueue, settle
from lakehouse.sessionlog.writing.segments import (
    SEGMENT_AGE_S_MAX,
    SEGMENT_BYTES_MAX,
    Record,
    Segment,
    Segments,
    text_of,
)
from lakehouse.sessionlog.writing.space import space_trouble

Durability = Literal["commit", "os"]

_LOG = logging.getLogger(__name__)
_SEGMENT: Final = attrgetter("segment")

SYNC_S_MAX: Final = 5.0  # a write or sync that hangs longer makes us refuse new sessions
PROBE_INTERVAL_S: Final = 1.0  # between attempts to write again after a failure
SPACE_INTERVAL_S: Final = 1.0  # between looks at the free space
SYNC_TRIES_MAX: Final = 3  # segments that one group of rows is tried in


class SessionLogWriter:
    """A `RecordSink` on disk: one writer of one session log. Safe to call from any thread.

    With durability `commit` a row is acknowledged after fdatasync; with `os` once it is in the
    page cache, which survives the process but not the machine. Cost: about 20 µs of CPU a row.
    """

    def __init__(
        self, root: Path, segments: Segments, *, durability: Durability, disk: Disk
    ) -> None:
        self._durability = durability
        self._disk = disk
        self._root = root
        self._segments = segments
        self._queue = RowQueue()
        self._lock = threading.Lock()  # protects the segments, and what says that they fail
        self._failure: str | None = None
        self._disk_since: float | None = None
        self._space_at = 0.0
        self._space_trouble: str | None = None
        self._thread = threading.Thread(target=self._run, name="session-log-sync", daemon=True)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        daemon: str,
        durability: Durability = "commit",
        clock: Clock | None = None,
        disk: Disk | None = None,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        segment_age_s_max: float = SEGMENT_AGE_S_MAX,
    ) -> "SessionLogWriter":
        """Join the stream at `path` as a new writer, with a lock and a first segment of its own.

        Directories that are missing are created. A segment that is full or old is followed by
        another at the next row, or by `tend`.

        Raises:
            SetupError: The directory cannot be used, or a first segment cannot be made durable.
        """
        root = prepare(path)
        disk = disk or Disk()
        segments = Segments(
            root,
            daemon=daemon,
            clock=clock or SystemClock(),
            disk=disk,
            bytes_max=segment_bytes_max,
            age_s_max=segment_age_s_max,
        )
        writer = cls(root, segments, durability=durability, disk=disk)
        try:
            writer._sync(segments.next())
        except OSError as error:
            segments.abandon()
            raise SetupError(
                f"Session log: cannot write to {root}: {reason(error)}.",
                hint="Free some space, check permissions, or choose another log.path.",
            ) from error
        writer._thread.start()
        forks.watch(writer)
        return writer

    @property
    def writer_id(self) -> str:
        """The id in the names of this writer's files; a new one if they were all removed."""
        return self._segments.writer_id

    def check_writable(self) -> None:
        """Refuse early, before a token is bought, when a row could not be made durable.

        Raises:
            Refusal: `log_unavailable`; the writer tries again by itself.
        """
        trouble = self._trouble()
        if trouble is not None:
            raise Refusal(
                "log_unavailable",
                f"The session log cannot be written: {trouble}.",
                hint="Check the disk behind the session log: `lakehouse doctor`.",
                retry_after_s=2,
            )

    def started(self, record: Started) -> None:
        """Write the started line, not synced: it survives the process, not a power cut.

        Raises:
            InfraError: `log_unavailable`.
        """
        line = encode_fitting(record)
        with self._lock:
            self._queue.check_room()
            try:
                self._segments.write([Record(line, record.row_id, ends=False)])
            except (OSError, SetupError) as error:
                self._fail(error)
                raise LogUnavailable(text_of(error)) from error

    async def append(self, row: Row) -> None:
        """Make one final row durable. Returns after the sync; concurrent calls share one.

        Raises:
            InfraError: `log_unavailable`; the row is not in the log as far as anyone knows.
        """
        await self._queue.add(encode_fitting(row), row.row_id)

    def tend(self) -> list[str]:
        """Do what comes with time: rotate by age, take the reserve back, close what is finished.

        Returns:
            The names of this writer's segments that may be sealed: nothing is written to them
            any more, and what is still needed of them is durable in a later one. Blocks for one
            sync; call it from a thread, every now and then.
        """
        with self._lock:
            if self._queue.closed:
                return []
            self._segments.rotate_if_due()
            with contextlib.suppress(OSError):
                self._segments.reserve.take()
            self._segments.close_retired(self._queue.segments())
            current = self._segments.current
            finished = list(self._segments.finished)
        if not finished or current is None:
            return []
        try:
            # A descriptor of its own: a failed sync is told once per descriptor, and the one
            # that rows are acknowledged by must hear it.
            self._disk.sync_by_name(current.path)
            self._disk.sync_directory(current.path.parent)
        except OSError:
            return []
        return finished

    def sealed(self, name: str) -> None:
        """Hear that a finished segment is sealed."""
        with self._lock:
            if name in self._segments.finished:
                self._segments.finished.remove(name)

    def close(self) -> None:
        """Write and sync the rows that wait, and let go of the files. Blocks for the disk.

        Waits at most `ACK_S_MAX`; a disk that hangs longer keeps the files.
        """
        if not self._queue.close():
            return
        self._thread.join(ACK_S_MAX)
        if not self._thread.is_alive():
            with self._lock:
                self._segments.close()
        forks.forget(self)

    def _fail(self, error: OSError | SetupError) -> None:
        """Refuse new sessions until the thread has synced something; call it under the lock."""
        self._failure = text_of(error)
        self._queue.wake()  # so that the thread begins to probe

    def _trouble(self) -> str | None:
        if self._queue.closed:
            return "the writer is closed"
        if self._failure is not None:
            return self._failure
        since = self._disk_since
        now = time.monotonic()
        if since is not None and now - since > SYNC_S_MAX:
            return f"the disk has not finished a write or a sync for {now - since:.0f} s"
        if now - self._space_at >= SPACE_INTERVAL_S:
            self._space_at = now
            self._space_trouble = self._look_at_disk()
        return self._space_trouble

    def _look_at_disk(self) -> str | None:
        if (trouble := space_trouble(self._disk, self._root)) is not None:
            return trouble
        with self._lock:
            current = self._segments.current
            if current is not None and not current.in_place():
                self._segments.retire()
                self._failure = f"{current.path.name} was removed from the log"
                self._queue.wake()
        return self._failure

    # --- The background thread ---

    def _run(self) -> None:
        queue = self._queue
        while True:
            try:
                if queue.take():
                    self._commit(queue.taken)
                elif queue.closed:
                    return
                elif not queue.wait(PROBE_INTERVAL_S if self._failure is not None else None):
                    self._probe()
            except Exception as error:  # noqa: BLE001  the thread's boundary: rows wait for it
                _LOG.exception("the session log could not be written")
                self._failure = str(error) or type(error).__name__
                settle(queue.taken, self._failure)

    def _commit(self, rows: list[PendingRow]) -> None:
        """Make rows durable and answer for them; rows whose sync failed go into a new segment."""
        tries = SYNC_TRIES_MAX
        while True:
            unwritten = self._write(rows)
            trouble = self._sync_written(rows) or unwritten
            if trouble is None:
                self._succeed()  # before the answers: who hears of success is not refused after it
                settle(rows, None)
                return
            with self._lock:
                self._fail(trouble)
            settle([row for row in rows if row.segment is not None], None)
            rows = self._queue.taken = [row for row in rows if row.segment is None]
            tries -= 1
            if tries == 0 or unwritten is not None:
                settle(rows, text_of(trouble))
                return

    def _write(self, rows: list[PendingRow]) -> OSError | SetupError | None:
        """Write rows; returns what kept the rest from it, which have no segment."""
        self._disk_since = time.monotonic()
        try:
            with self._lock:
                self._segments.write(rows)
        except (OSError, SetupError) as error:
            return error
        finally:
            self._disk_since = None
        return None

    def _sync_written(self, rows: list[PendingRow]) -> OSError | None:
        """Sync what rows lie in; if that fails, they have no segment any more."""
        trouble: OSError | None = None
        for segment in dict.fromkeys(map(_SEGMENT, rows)):
            if segment is None:
                continue
            try:
                self._sync(segment)
            except OSError as error:
                trouble = error
                with self._lock:
                    self._segments.retire(segment)
                    for row in rows:
                        if row.segment is segment:
                            row.segment = None
        return trouble

    def _succeed(self) -> None:
        with self._lock:
            if self._segments.current is not None:
                self._failure = None
            if self._segments.retired:
                self._segments.close_retired(set())

    def _probe(self) -> None:
        """Try to begin a new segment, and be well again if that works."""
        segment: Segment | None = None
        try:
            with self._lock:
                segment = self._segments.next()
            self._sync(segment)
        except (OSError, SetupError) as error:
            with self._lock:
                self._failure = text_of(error)
                if segment is not None:
                    self._segments.discard_if_empty(segment)
        else:
            self._succeed()

    def _sync(self, segment: Segment) -> None:
        if self._durability == "os":
            return
        self._disk_since = time.monotonic()
        try:
            if not segment.name_durable:
                self._disk.sync_directory(segment.path.parent)
                segment.name_durable = True
            self._disk.sync(segment.descriptor)
        finally:
            self._disk_since = None

    def abandon_in_child(self) -> None:
        """Close the child's copies after a fork, or they would keep a dead writer's lock alive."""
        self._queue.abandon()
        self._lock = threading.Lock()
        self._segments.close(dropping_reserve=False)
