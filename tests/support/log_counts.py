"""What a log holds, counted by its lines alone: an oracle beside `lakehouse log verify`."""

from pathlib import Path

import msgspec

from lakehouse.sessionlog.layout import log_files
from lakehouse.sessionlog.lines import classify_file, may_be_writing, row_key
from lakehouse.sessionlog.reading.compacted import row_ids_compacted
from lakehouse.sessionlog.reading.reader import read_lines


class Counts(msgspec.Struct, frozen=True):
    """How many lines of each sort a log holds. `unchecked` rows have no crc."""

    files: int
    rows: int
    started: int
    duplicates: int
    unchecked: int
    bad: int
    tails: int


class Unfinished(msgspec.Struct, frozen=True):
    """A session that was started and has no row. `alive`: its writer is, so it may yet end."""

    row_id: str
    session_id: str
    started_at: str
    file: str
    alive: bool
    line: bytes


def count(root: Path) -> Counts:
    """Count every line of the stream, strictly checked."""
    kinds = dict.fromkeys(("row", "started", "segment", "blank", "tail", "bad"), 0)
    seen: set[bytes] = set()
    rows = unchecked = 0
    for entry in read_lines(root):
        kinds[entry.kind] += 1
        if entry.kind == "row":
            rows += 1
            unchecked += not entry.checked
            key = row_key(entry.line.data)
            seen.add(key.row_id.encode() if key is not None else b"")
    return Counts(
        files=len(log_files(root)),
        rows=len(seen),
        started=kinds["started"],
        duplicates=rows - len(seen),
        unchecked=unchecked,
        bad=kinds["bad"],
        tails=kinds["tail"],
    )


def unfinished(root: Path) -> list[Unfinished]:
    """List the sessions that were started and have no row, oldest first."""
    open_sessions: dict[str, Unfinished] = {}
    for file in log_files(root):
        alive = may_be_writing(file) and file.writer_id is not None
        for entry in classify_file(file):
            if entry.kind not in {"row", "started"}:
                continue
            key = row_key(entry.line.data)
            if key is None:
                continue
            if entry.kind == "row":
                open_sessions.pop(key.row_id, None)
            else:
                open_sessions[key.row_id] = Unfinished(
                    key.row_id, key.session_id, key.timestamp, entry.file, alive, entry.line.data
                )
    # A reaper or a gateway may have written the row in a file that was read before.
    for entry in read_lines(root) if open_sessions else ():
        if entry.kind == "row" and (key := row_key(entry.line.data)) is not None:
            open_sessions.pop(key.row_id, None)
    if open_sessions:
        since = min(session.started_at for session in open_sessions.values())
        for row_id in row_ids_compacted(root, open_sessions.keys(), since):
            open_sessions.pop(row_id, None)
    return sorted(open_sessions.values(), key=lambda session: session.started_at)
