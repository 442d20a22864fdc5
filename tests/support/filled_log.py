"""A log with rows in it."""

import asyncio
from pathlib import Path

from lakehouse.core.row import Row
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.rows import make_started


def fill(root: Path, *rows: Row) -> None:
    """Append rows as a writer does that then ends."""
    writer = SessionLogWriter.open(root, daemon="validatord")
    for row in rows:
        writer.started(make_started(row))
        asyncio.run(writer.append(row))
    writer.close()
