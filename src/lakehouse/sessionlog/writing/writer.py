"""The writer of one daemon: acknowledges rows once they survive a power cut.

The caller's thread writes each record with one write(2), so that it survives the process at once.
One background thread syncs; rows that come meanwhile share the next sync. A row whose sync failed
is not acknowledged, and its file is not synced again: the kernel may have dropped the data.

A forked child finds its copy of the writer closed. A subprocess inherits no descriptor.
"""

import asyncio
import contextlib
import logging
import threading
import time
from operator import attrgetter
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, Literal

from lakehouse.core.clock import Clock, SystemClock
from lakehouse.core.errors import InfraError, LogUnavailable, Refusal, SetupError
from lakehouse.core.row import Row, Started
from lakehouse.core.row_codec import encode_fitting
from lakehouse.files.disk import Disk, reason
from lakehouse.sessionlog.layout import prepare
from lakehouse.sessionlog.writing import forks
from lakehouse.sessionlog.writing.segments import (
    SEGMENT_AGE_S_MAX,
    SEGMENT_BYTES_MAX,
    PendingRow,
    Segment,
    Segments,
    resolve,
    settle,
    text_of,
)
from lakehouse.sessionlog.writing.space import space_trouble

Durability = Literal["commit", "os"]

_LOG = logging.getLogger(__name__)
_SEGMENT: Final = attrgetter("segment")

ACK_S_MAX: Final = 30.0  # a row that is not durable by then is reported as not written
WATCH_INTERVAL_S: Final = 1.0  # between looks for such rows; a timer per row costs 10 µs
SYNC_S_MAX: Final = 5.0  # a sync that hangs longer makes us refuse new sessions
PROBE_INTERVAL_S: Final = 1.0  # between attempts to write again after a failure
SPACE_INTERVAL_S: Final = 1.0  # between looks at the free space
SYNC_TRIES_MAX: Final = 3  # segments that one group of rows is tried in
EARLY_ROWS: Final = 4  # of one turn: worth a sync beside the writing of the rest, if none runs
PENDING_ROWS_MAX: Final = 10_000  # waiting for a sync; more is a caller without a bound


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
        self._lock = threading.Lock()  # protects every member below
        self._pending: list[PendingRow] = []
        self._committing: list[PendingRow] = []
        self._watched: set[asyncio.AbstractEventLoop] = set()
        self._woken = False
        self._failure: str | None = None
        self._closed = False
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._syncing_since: float | None = None
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
            if self._closed or len(self._pending) >= PENDING_ROWS_MAX:
                raise self._no_room()
            try:
                self._segments.write(line, starts=record.row_id)
            except (OSError, SetupError) as error:
                raise self._failed(error) from error

    async def append(self, row: Row) -> None:
        """Make one final row durable. Returns after the sync; concurrent calls share one.

        Raises:
            InfraError: `log_unavailable`; the row is not in the log as far as anyone knows.
        """
        line = encode_fitting(row)
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with self._lock:
            if self._closed or len(self._pending) >= PENDING_ROWS_MAX:
                raise self._no_room()
            try:
                segment = self._segments.write(line, ends=row.row_id)
            except (OSError, SetupError) as error:
                raise self._failed(error) from error
            if self._durability == "os":
                return
            self._pending.append(PendingRow(line, segment, future, loop.time()))
            if len(self._pending) == EARLY_ROWS and not self._committing:
                self._wake.put(None)
            elif not self._woken:
                self._woken = True
                # At the end of this turn of the loop, so that the few rows of a turn share a sync:
                # one for each would cost a daemon a fifth of its throughput.
                loop.call_soon(self._wake.put, None)
            if loop not in self._watched:
                self._watched = {known for known in self._watched if not known.is_closed()}
                self._watched.add(loop)
                loop.call_later(WATCH_INTERVAL_S, self._watch, loop)
        await future

    def tend(self) -> list[str]:
        """Do what comes with time: rotate by age, take the reserve back, close what is finished.

        Returns:
            The names of this writer's segments that may be sealed: nothing is written to them
            any more, and what is still needed of them is durable in a later one. Blocks for one
            sync; call it from a thread, every now and then.
        """
        with self._lock:
            if self._closed:
                return []
            self._segments.rotate_if_due()
            with contextlib.suppress(OSError):
                self._segments.reserve.take()
            self._segments.close_retired(set(map(_SEGMENT, (*self._pending, *self._committing))))
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
        """Sync what is written, answer who waits, and let go of the files. Blocks for the sync.

        Waits at most `ACK_S_MAX`; a disk that hangs longer keeps the files.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._wake.put(None)
        self._thread.join(ACK_S_MAX)
        if not self._thread.is_alive():
            self._segments.close()
        forks.forget(self)

    # --- The caller's side, under the lock ---

    def _no_room(self) -> InfraError:
        waiting = f"{PENDING_ROWS_MAX} rows wait for the disk"
        return LogUnavailable("the writer is closed" if self._closed else waiting)

    def _failed(self, error: OSError | SetupError) -> InfraError:
        """Turn a failed write into a refusal of new sessions, and give the port's error."""
        self._fail(error)
        return LogUnavailable(text_of(error))

    def _fail(self, error: OSError | SetupError) -> None:
        self._failure = text_of(error)
        self._wake.put(None)  # so that the thread begins to probe

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer rows of a loop that a hanging disk keeps waiting; runs in that loop."""
        with self._lock:
            waiting = [
                row
                for row in (*self._pending, *self._committing)
                if row.future.get_loop() is loop and not row.future.done()
            ]
            if not waiting:
                self._watched.discard(loop)
                return
        late = loop.time() - ACK_S_MAX
        overdue = [row.future for row in waiting if row.since_s < late]
        resolve(overdue, f"no sync within {ACK_S_MAX:.0f} s")
        loop.call_later(WATCH_INTERVAL_S, self._watch, loop)

    def _trouble(self) -> str | None:
        if self._closed:
            return "the writer is closed"
        if self._failure is not None:
            return self._failure
        since = self._syncing_since
        now = time.monotonic()
        if since is not None and now - since > SYNC_S_MAX:
            return f"the disk has not finished a sync for {now - since:.0f} s"
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
                self._wake.put(None)
        return self._failure

    # --- The background thread ---

    def _run(self) -> None:
        ended = False
        while not ended:
            try:
                ended = self._turn()
            except Exception as error:  # noqa: BLE001  the thread's boundary: rows wait for it
                _LOG.exception("the session log could not be synced")
                self._failure = str(error) or type(error).__name__
                settle(self._committing, self._failure)
                with self._lock:
                    ended = self._closed and not self._pending

    def _turn(self) -> bool:
        """Wait for rows and commit them, or try again after a failure; says whether to end."""
        try:
            self._wake.get(timeout=PROBE_INTERVAL_S if self._failure is not None else None)
        except Empty:
            self._probe()
            return False
        with self._lock:
            batch, self._pending = self._pending, []
            self._committing = batch
            self._woken = False
            closed = self._closed
        if batch:
            self._commit(batch)
        self._committing = []
        return closed

    def _commit(self, batch: list[PendingRow]) -> None:
        """Make rows durable and answer for them; rows whose sync failed go into a new segment."""
        for _ in range(SYNC_TRIES_MAX):
            failed: dict[Segment, OSError] = {}
            for segment in dict.fromkeys(map(_SEGMENT, batch)):
                try:
                    self._sync(segment)
                except OSError as error:
                    failed[segment] = error
            if not failed:
                self._succeed()  # before the answers: who hears of success is not refused after it
                settle(batch, None)
                return
            settle([pending for pending in batch if pending.segment not in failed], None)
            batch = [pending for pending in batch if pending.segment in failed]
            last_error: OSError | SetupError = next(iter(failed.values()))
            with self._lock:
                # Rows that came meanwhile lie in the same suspect pages.
                batch += [pending for pending in self._pending if pending.segment in failed]
                self._pending = [row for row in self._pending if row.segment not in failed]
                self._committing = batch
                for segment in failed:
                    self._segments.retire(segment)
                self._fail(last_error)
                try:
                    for pending in batch:
                        pending.segment = self._segments.write(pending.line)
                except (OSError, SetupError) as error:
                    last_error = error
                    break
        with self._lock:
            self._segments.retire()
            self._fail(last_error)
        settle(batch, text_of(last_error))

    def _succeed(self) -> None:
        with self._lock:
            if self._segments.current is not None:
                self._failure = None
            if self._segments.retired:
                self._segments.close_retired(set(map(_SEGMENT, self._pending)))

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
        self._syncing_since = time.monotonic()
        try:
            if not segment.name_durable:
                self._disk.sync_directory(segment.path.parent)
                segment.name_durable = True
            self._disk.sync(segment.descriptor)
        finally:
            self._syncing_since = None

    def abandon_in_child(self) -> None:
        """Close the child's copies after a fork, or they would keep a dead writer's lock alive."""
        self._lock = threading.Lock()
        self._closed = True
        self._segments.close(dropping_reserve=False)
