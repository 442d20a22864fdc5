"""Runs a corpus: sessions at the same time, with outages retried at the end.

There is no retry inside a session here: that is the job of the model's client.
"""

import asyncio
import contextlib
import hashlib
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final, Protocol

from lakehouse.core.row_codec import decode_row
from lakehouse.replay.books import Books
from lakehouse.replay.corpus import rows_among
from lakehouse.replay.session import Replay

_BATCH_ROWS: Final = 64  # read at once, off the event loop
_PATIENCE_S_MAX: Final = 10.0
_PAUSES_S: Final = (2.0, 10.0)  # before each further round: a breaker stays open for 10 s


class Engine(Protocol):
    """Where sessions are run."""

    async def round(self, entries: Mapping[str, str], books: Books) -> dict[str, str]:
        """Run every session once; returns those that an outage ended.

        `entries`: row id → SHA-256 of the row's line. Ends early when the run is stopped.

        Raises:
            LakehouseError: The log cannot be read or written. Sessions with a line are done.
        """
        ...


async def run_corpus(
    engine: Engine,
    books: Books,
    entries: Mapping[str, str],
    *,
    pauses_s: tuple[float, ...] = _PAUSES_S,
) -> None:
    """Run sessions; those that an outage ended run again after all others.

    Args:
        engine: Where to run them.
        books: Of the run.
        entries: Row id → SHA-256 of the row's line.
        pauses_s: Waits before the second and each further round, in seconds.
    """
    left = dict(entries)
    for pause_s in (0.0, *pauses_s):
        if not left or books.stop.is_set():
            return
        await _pause(books.stop, pause_s)
        left = await engine.round(left, books)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait, unless the run is stopped."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


class LocalEngine:
    """Runs sessions in this process. Memory: 400 bytes per session."""

    def __init__(self, replay: Replay, *, concurrency: int, patience_s: float = 1.0) -> None:
        """Make an engine.

        Args:
            replay: Repeats one session.
            concurrency: Sessions at once.
            patience_s: How long a worker waits after an outage, times the outages in a row.
        """
        self._replay = replay
        self._concurrency = concurrency
        self._patience_s = patience_s

    async def round(self, entries: Mapping[str, str], books: Books) -> dict[str, str]:
        source = _RowQueue(rows_among(books.root, entries))
        failed: dict[str, str] = {}
        seen: set[str] = set()

        async def work() -> None:
            while not books.stop.is_set() and (line := await source.next()) is not None:
                row = decode_row(line)
                if hashlib.sha256(line).hexdigest() != entries[row.row_id]:
                    continue
                seen.add(row.row_id)
                if books.settle(row.row_id, await books.run(self._replay, row)):
                    failed[row.row_id] = entries[row.row_id]
                    # A short outage of an endpoint must not use up all sessions.
                    wait_s = self._patience_s * books.tally.outages_in_a_row
                    await _pause(books.stop, min(wait_s, _PATIENCE_S_MAX))

        try:
            async with asyncio.TaskGroup() as tasks:
                flusher = tasks.create_task(books.flush_often())
                workers = [tasks.create_task(work()) for _ in range(self._concurrency)]
                await asyncio.wait(workers)
                flusher.cancel()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            await books.flush()
        if not books.stop.is_set():
            books.tally.gone += len(entries) - len(seen)
        return failed


class _RowQueue:
    """Rows for many workers, read in batches without blocking the event loop."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._read: deque[bytes] = deque()
        self._reading = asyncio.Lock()
        self._ended = False

    async def next(self) -> bytes | None:
        """Return the next row; None at the end."""
        async with self._reading:
            if not self._read and not self._ended:
                batch = await asyncio.to_thread(lambda: list(islice(self._lines, _BATCH_ROWS)))
                self._read.extend(batch)
                self._ended = not batch
            return self._read.popleft() if self._read else None
