"""A log that queries try to harm."""

import asyncio
import hashlib
from pathlib import Path

from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.rows import make_feedback, make_row


def make_log(root: Path) -> list[Path]:
    """A log with something of everything, sealed files of two sorts included."""
    for round_ in range(2):
        writer = SessionLogWriter.open(root, daemon="validatord")
        for _ in range(3):
            asyncio.run(writer.append(make_row()))
        writer.close()
        if not round_:
            seal(root)
    (root / "feedback.jsonl").write_bytes(b"\n%b\n" % encode_line(make_feedback()))
    (root / "replay_runs.jsonl").write_bytes(b"\n")
    (root / "inbox.jsonl").write_bytes(b"\n")
    return sorted(path for path in root.rglob("*") if path.is_file())


def fingerprint(directory: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "directory"
        for path in directory.rglob("*")
    }


WAYS = ["_landlock", "_mount_view", "_call_filter"]
