"""A log as processes leave it that were killed: written by a child that ends without a word."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from lakehouse.core.row import Row
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.forking import fork
from support.rows import make_started


def dead_writer(
    root: Path, *, rows: list[Row] | None = None, running: list[Row] | None = None
) -> None:
    """Let a process write these rows, start the `running` sessions, and be gone."""

    def write() -> None:
        writer = SessionLogWriter.open(root, daemon="validatord")
        for row in (*(rows or ()), *(running or ())):
            writer.started(make_started(row))

        async def append() -> None:
            for row in rows or ():
                await writer.append(row)

        asyncio.run(append())

    in_child(write)


def in_child(action: Callable[[], None]) -> None:
    """Run an action in a forked child that ends at once afterwards, without any cleaning up."""
    child = fork()
    if child == 0:
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
