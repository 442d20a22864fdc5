"""Runs SQL for browsers: few at a time, each in a process of its own, while somebody waits."""

import asyncio
import tempfile
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from lakehouse.core.errors import Refusal
from lakehouse.sessionlog.index.reader import stopping
from lakehouse.sessionlog.index.root_watch import RootWatch
from lakehouse.sessionlog.reading.query import FileForm, QueryResult, query

SHOWN_ROWS_MAX: Final = 2_000
FILE_ROWS_MAX: Final = 100_000
_SHOWN_BYTES_MAX: Final = 4 << 20
_AT_ONCE_MAX: Final = 2
_TIMEOUT_MS: Final = 30_000
_MEMORY_BYTES: Final = 1 << 30
_LOOK_S: Final = 0.25
_PIECE_BYTES: Final = 1 << 16

Gone = Callable[[], Awaitable[bool]]


class Queries:
    """The queries of one log's pages; their limits are this module's constants."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._watch = RootWatch(log)
        self._running = 0
        self._stopped = False

    def stop(self) -> None:
        """End the queries that run; later ones end at once."""
        self._stopped = True

    async def first_rows(self, sql: str, gone: Gone) -> QueryResult:
        """Run a query and return its first rows.

        Raises:
            Refusal: `rate_limited`: as many run as may.
            LakehouseError: As `query` does.
        """
        run = partial(query, self._log, sql, rows_max=SHOWN_ROWS_MAX, first_bytes=_SHOWN_BYTES_MAX)
        return await self._run(run, gone)

    async def file(
        self, sql: str, form: FileForm, gone: Gone, *, rows_max: int = FILE_ROWS_MAX
    ) -> AsyncGenerator[bytes, None]:
        """Run a query and yield a file of all its rows; what fails, fails before the first piece.

        Raises:
            LakehouseError: As `first_rows`; also when there are more rows than `rows_max`.
        """
        with tempfile.TemporaryDirectory(prefix="lakehouse-rows-") as directory:
            path = Path(directory) / "rows"
            run = partial(query, self._log, sql, output=path, form=form, rows_max=rows_max)
            await self._run(run, gone)
            file: IO[bytes] = await asyncio.to_thread(path.open, "rb")
        with file:  # it has no name any more: nothing is left of it, however this ends
            while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
                yield piece

    async def _run(self, run: Callable[..., Any], gone: Gone) -> QueryResult:
        if self._running >= _AT_ONCE_MAX:
            raise Refusal(
                "rate_limited",
                f"{_AT_ONCE_MAX} queries are running, which is as many as may run at once.",
                hint="Run it again in some seconds.",
                retry_after_s=5,
            )
        self._running += 1
        stopped = threading.Event()
        running: asyncio.Future[QueryResult] = asyncio.ensure_future(
            asyncio.to_thread(
                self._watched,
                run,
                timeout_ms=_TIMEOUT_MS,
                memory_bytes=_MEMORY_BYTES,
                stopped=lambda: self._stopped or stopped.is_set(),
            )
        )
        running.add_done_callback(self._leave)
        try:
            while not running.done():
                await asyncio.wait([running], timeout=_LOOK_S)
                if await gone():
                    stopped.set()
            if self._stopped and running.exception() is not None:
                raise stopping() from running.exception()
            return running.result()
        finally:
            stopped.set()

    def _watched(self, run: Callable[..., QueryResult], **limits: Any) -> QueryResult:
        self._watch.changed()
        return run(**limits)

    def _leave(self, running: asyncio.Future[QueryResult]) -> None:
        self._running -= 1
        if not running.cancelled():
            running.exception()  # nobody asks for it where the browser has gone
