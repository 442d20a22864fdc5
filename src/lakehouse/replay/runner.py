"""Running a corpus: many sessions at once, each to one answer, outages tried again at the end.

Refuses to retry inside a session: that is the model's side of the house.
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
_PAUSES_S: Final = (2.0, 10.0)  # before each further round: a breaker opens for 10 s


class Engine(Protocol):
    """Where sessions are run."""

    async def round(self, entries: Mapping[str, str], books: Books) -> dict[str, str]:
        """Give every session one chance; gives those that an outage ended.

        `entries`: row id → SHA-256 of the row's line. Ends early when the run is stopped.

        Raises:
            LakehouseError: The log cannot be read or written; what has its line is done.
        """
        ...


async def run_corpus(
    engine: Engine,
    books: Books,
    entries: Mapping[str, str],
    *,
    pauses_s: tuple[float, ...] = _PAUSES_S,
) -> None:
    """Run these sessions; those that an outage ended are run again after all others.

    Args:
        engine: Where they are run.
        books: The run's.
        entries: Row id → SHA-256 of the row's line.
        pauses_s: Before each round after the first, in seconds.

    Raises:
        LakehouseError: From the engine.
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
    """Runs sessions in this process, `concurrency` at once. Memory: 400 bytes a session."""

    def __init__(self, replay: Replay, *, concurrency: int, patience_s: float = 1.0) -> None:
        """Take a way to repeat sessions.

        Args:
            replay: That way.
            concurrency: Sessions at once.
            patience_s: A worker that met an outage waits so long, times the outages in a row.
        """
        self._replay = replay
        self._concurrency = concurrency
        self._patience_s = patience_s

    async def round(self, entries: Mapping[str, str], books: Books) -> dict[str, str]:
        """Give every session one chance; see `Engine`."""
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
                    # An endpoint that is away for a moment must not use up all sessions.
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
    """Rows for many workers, read a batch at a time off the event loop."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._read: deque[bytes] = deque()
        self._reading = asyncio.Lock()
        self._ended = False

    async def next(self) -> bytes | None:
        """Give the next row; None when there are no more."""
        async with self._reading:
            if not self._read and not self._ended:
                batch = await asyncio.to_thread(lambda: list(islice(self._lines, _BATCH_ROWS)))
                self._read.extend(batch)
                self._ended = not batch
            return self._read.popleft() if self._read else None
