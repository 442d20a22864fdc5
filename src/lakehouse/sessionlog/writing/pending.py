"""Rows that are written and wait for their sync, and how their callers hear of it."""

import asyncio

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.files.disk import reason
from lakehouse.sessionlog.writing.encoding import log_unavailable
from lakehouse.sessionlog.writing.segments import Segment


class PendingRow(msgspec.Struct, eq=False):
    """A row that is written and waits for its sync; `since_s` in its loop's time."""

    line: bytes
    segment: Segment
    future: "asyncio.Future[None]"
    since_s: float


def answer(rows: list[PendingRow], trouble: str | None) -> None:
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
            future.set_exception(log_unavailable(trouble))


def text_of(error: OSError | SetupError) -> str:
    """Name the trouble for people."""
    return reason(error) if isinstance(error, OSError) else error.public
