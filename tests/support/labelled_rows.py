"""Rows of a log whose answers people label."""

from pathlib import Path

from lakehouse.core.row import Row
from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.layout import FEEDBACK
from lakehouse.sessionlog.shared_file import append_lines
from support.rows import NULL, make_feedback, make_row


def event_row(number: int, **changes: object) -> Row:
    """Give a session of the kind `event`; a higher number ended later."""
    changes.setdefault("kind", "event")
    return make_row(timestamp=f"2026-01-02T03:04:{number:02}.000000Z", **changes)


def give(log: Path, row: Row, label: str, **changes: object) -> None:
    """Append a label to a log."""
    changes.setdefault("artifact", NULL)
    one = make_feedback(row_id=row.row_id, session_id=row.session_id, label=label, **changes)
    append_lines(log / FEEDBACK, [encode_line(one)])
