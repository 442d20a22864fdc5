"""The sessions to forget: hidden from every reader at once.

`forgotten.jsonl` is a plain shared file in the log directory, one line per session. Compaction also
skips these sessions. Its lines are never edited or removed.
"""

from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from lakehouse.core.clock import timestamp
from lakehouse.core.row_codec import add_crc
from lakehouse.sessionlog.shared_file import append_lines, whole_lines

FORGOTTEN: Final = "forgotten.jsonl"


class ForgottenSession(msgspec.Struct, frozen=True, kw_only=True):
    """`session_log.forgotten.v1`: a line of the file, `crc` aside."""

    schema: Literal["session_log.forgotten.v1"] = "session_log.forgotten.v1"
    session_id: str
    timestamp: str


def forgotten_sessions(root: Path) -> frozenset[str]:
    """List the sessions to hide. Cost: one `open` for a log that forgot nothing."""
    return frozenset(_DECODER.decode(line).session_id for line in whole_lines(root / FORGOTTEN))


def hide_session(root: Path, session_id: str, moment: datetime) -> None:
    """Hide a session from every reader permanently; durable when this returns.

    Raises:
        OSError: The line could not be made durable.
    """
    entry = ForgottenSession(session_id=session_id, timestamp=timestamp(moment))
    append_lines(root / FORGOTTEN, [add_crc(msgspec.json.encode(entry))])


_DECODER: Final = msgspec.json.Decoder(ForgottenSession)
