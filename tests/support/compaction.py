"""Sealed rows of three days, and what is shown of a log whose rows are compacted."""

from pathlib import Path

import msgspec

from lakehouse.core.row import Row
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.reading.compacted import Compacted, open_compacted
from lakehouse.sessionlog.reading.filters import SessionFilter
from lakehouse.sessionlog.reading.sessions import list_sessions
from support.dead_writer import dead_writer
from support.rows import make_row, rejected_attempt

ODD = msgspec.Raw('{"b":1.10,"a":18446744073709551616,"text":"é\\u0001|\U0001f6eb"}'.encode())


def rows_of_three_days() -> list[Row]:
    """Rows of all sorts, whose values lose something in many a database."""
    return [
        make_row(
            timestamp=f"2026-01-0{day}T0{hour}:00:00.00000{hour}Z",
            artifact=ODD if hour % 2 else msgspec.Raw(b"null"),
            verdict="accepted" if hour % 2 else "max_iter_exhausted",
            accepted_iteration=0 if hour % 2 else None,
            kind=None if hour == 3 else "airport_event",
            inline_schema=msgspec.Raw(b'{"type":"object"}') if hour == 3 else msgspec.Raw(b"null"),
            attempts=(rejected_attempt(0), rejected_attempt(1, "ungrounded")),
            metadata={"a\nb": "c|d"} if hour == 1 else {},
            prompt="\u2028 prompt ' \" \x7f",
        )
        for day in (1, 2, 3)
        for hour in range(5)
    ]


def compacted(root: Path) -> Compacted:
    found = open_compacted(root)
    assert found is not None
    return found


def write_sealed(root: Path, rows: list[Row]) -> None:
    """Have a writer write rows and end; seal what it left."""
    dead_writer(root, rows=rows)
    seal(root)


def pages(root: Path, limit: int, where: SessionFilter | None = None) -> list[bytes]:
    """Read every page of the sessions."""
    rows: list[bytes] = []
    cursor = None
    while True:
        page = list_sessions(root, where, limit=limit, cursor=cursor)
        rows += page.rows
        if (cursor := page.next) is None:
            return rows
