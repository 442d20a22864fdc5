"""Rows on their way from the event loops that append them to the one thread that commits them.

No call of a loop waits for the disk. Rows that come while the thread works wait until it comes
back, so that they share its next write and sync; it is woken only if it has nothing to do.
"""

import asyncio
import threading
from queue import Empty, SimpleQueue
from typing import Final

from lakehouse.core.errors import LogUnavailable
from lakehouse.sessionlog.writing.segments import Record, Segment

PENDING_ROWS_MAX: Final = 10_000  # waiting for the thread; more is a caller without a bound
ACK_S_MAX: Final = 30.0  # a row that is not durable by then is reported as not written
WATCH_INTERVAL_S: Final = 1.0  # between looks for such rows; a timer per row costs 10 µs


class PendingRow(Record, eq=False, kw_only=True):
    """A row that waits to be durable; `since_s` in its loop's time."""

    future: "asyncio.Future[None]"
    since_s: float


class RowQueue:
    """The rows that nobody has answered for. Safe to call from any thread.

    `taken` are the rows that the thread is at; only the thread assigns it.
    """

    def __init__(self) -> None:
        self.taken: list[PendingRow] = []
        self.closed = False
        self._lock = threading.Lock()  # protects every member below, and `closed`
        self._pending: list[PendingRow] = []
        self._working = False
        self._waker: asyncio.AbstractEventLoop | None = None
        self._watched: set[asyncio.AbstractEventLoop] = set()
        self._wake: SimpleQueue[None] = SimpleQueue()

    def add(self, line: bytes, row_id: str) -> "asyncio.Future[None]":
        """Hand over a row; call it in a running loop.

        Returns:
            What is done when the row is durable, or fails with `LogUnavailable`.

        Raises:
            LogUnavailable: The writer is closed, or too many rows wait.
        """
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with self._lock:
            self.check_room()
            self._pending.append(
                PendingRow(line, row_id, ends=True, future=future, since_s=loop.time())
            )
            if not self._working and self._waker is not loop:
                # Each loop wakes for itself: another may have been stopped before it did.
                self._waker = loop
                # At the end of this turn of the loop, so that the rows of a turn go together, and
                # the thread does not take the interpreter from the loop before that.
                loop.call_soon(self._wake.put, None)
            if loop not in self._watched:
                self._watched = {known for known in self._watched if not known.is_closed()}
                self._watched.add(loop)
                loop.call_later(WATCH_INTERVAL_S, self._watch, loop)
        return future

    def check_room(self) -> None:
        """Raise `LogUnavailable` if no row can be added."""
        if self.closed:
            raise LogUnavailable("the writer is closed")
        if len(self._pending) >= PENDING_ROWS_MAX:
            raise LogUnavailable(f"{PENDING_ROWS_MAX} rows wait for the disk")

    def close(self) -> bool:
        """Add no more rows, and wake the thread; returns whether it was open until now."""
        with self._lock:
            was_open, self.closed = not self.closed, True
        self.wake()
        return was_open

    def abandon(self) -> None:
        """Close it in a forked child, where another thread may have held the lock."""
        self._lock = threading.Lock()
        self.closed = True

    # --- The thread's side ---

    def take(self) -> bool:
        """Take the rows that wait; returns whether there were any."""
        with self._lock:
            self.taken, self._pending = self._pending, []
            self._waker = None
            self._working = bool(self.taken)
            return self._working

    def wait(self, timeout_s: float | None) -> bool:
        """Wait for rows, or for `wake`; returns False if the time passed. After an empty `take`."""
        try:
            self._wake.get(timeout=timeout_s)
        except Empty:
            return False
        return True

    def wake(self) -> None:
        """End the thread's wait, or its next one."""
        self._wake.put(None)

    def segments(self) -> set[Segment]:
        """Return the files that rows lie in which are not answered for."""
        return {row.segment for row in self.taken if row.segment is not None}

    # --- In a loop of rows that wait ---

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer rows of a loop that a hanging disk keeps waiting; runs in that loop."""
        with self._lock:
            waiting = [
                row
                for row in (*self._pending, *self.taken)
                if row.future.get_loop() is loop and not row.future.done()
            ]
            if not waiting:
                self._watched.discard(loop)
                return
        late = loop.time() - ACK_S_MAX
        overdue = [row.future for row in waiting if row.since_s < late]
        _resolve(overdue, f"no sync within {ACK_S_MAX:.0f} s")
        loop.call_later(WATCH_INTERVAL_S, self._watch, loop)


def settle(rows: list[PendingRow], trouble: str | None) -> None:
    """Resolve the callers' futures, each loop woken once."""
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for row in rows:
        loops.setdefault(row.future.get_loop(), []).append(row.future)
    for loop, futures in loops.items():
        try:
            loop.call_soon_threadsafe(_resolve, futures, trouble)
        except RuntimeError:
            continue  # the loop is closed: nobody waits there any more


def _resolve(futures: "list[asyncio.Future[None]]", trouble: str | None) -> None:
    """Answer who still waits; runs in the futures' own loop."""
    for future in futures:
        if future.done():
            continue
        if trouble is None:
            future.set_result(None)
        else:
            future.set_exception(LogUnavailable(trouble))
