"""Writes the missing row of each session whose writer died, exactly once.

The row is built from the started line alone, so every reaper writes the same bytes. A session whose
writer's lock is held is left alone: a stopped process is not dead.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.core.chat import Usage
from lakehouse.core.clock import SystemClock
from lakehouse.core.json_text import NULL
from lakehouse.core.limits import CRC_BYTES, ROW_BYTES_MAX
from lakehouse.core.row import LoggedError, Row, Started
from lakehouse.core.row_codec import add_crc, crc_holds, decode_started, encode_fitting
from lakehouse.files.disk import Disk
from lakehouse.files.locks import lock_held
from lakehouse.sessionlog.layout import ACTIVE, LogFile, lock_path, log_files
from lakehouse.sessionlog.lines import RowKey, classify_file, row_key
from lakehouse.sessionlog.manifest import read_manifest
from lakehouse.sessionlog.reading.compacted import row_ids_compacted
from lakehouse.sessionlog.writing.segments import Segments

CRASHED_MESSAGE: Final = "The process that ran the session ended before the session did."
_DAEMON: Final = "reaper"


class Reaped(msgspec.Struct, frozen=True):
    """What a reaper did: the ids of its rows, which are durable, and its own segments, finished."""

    row_ids: tuple[str, ...]
    segments: tuple[str, ...]


def dead_writers(root: Path) -> frozenset[str]:
    """List the writers that have active segments and no living process.

    Ask before listing their segments: one that dies between a listing and the question may have
    written a segment that the listing lacks.
    """
    writers = {file.writer_id for file in log_files(root) if file.directory == ACTIVE}
    return frozenset(
        writer
        for writer in writers
        if writer is not None and not lock_held(lock_path(root, writer))
    )


def reap_dead(root: Path, dead: Collection[str], *, disk: Disk) -> Reaped:
    """Write the rows of crashed sessions. The caller holds the reap lock.

    Args:
        root: The log directory.
        dead: What `dead_writers` said.
        disk: The system calls.

    Raises:
        OSError: Not all could be written; what was not is found again next time.

    Cost: reads the segments of dead writers, and the whole log only if a session lacks its row.
    """
    missing = _without_row(root, dead)
    if missing:
        since = min(key.timestamp for key, _ in missing.values())
        for row_id in _rows_among(root, missing.keys(), since):
            missing.pop(row_id, None)
    if not missing:
        return Reaped((), ())
    segments = Segments(root, daemon=_DAEMON, clock=SystemClock(), disk=disk)
    try:
        used = {segments.write(crashed_row(line)) for _, line in missing.values()}
        for segment in used:
            disk.sync(segment.descriptor)
        disk.sync_directory(root / ACTIVE)
    finally:
        segments.close()
    return Reaped(tuple(missing), tuple(segment.path.name for segment in used))


def crashed_row(line: bytes) -> bytes:
    """Make the row of a crashed session of its started line (contract section 5).

    Members that a newer version added to the line follow the known ones, unless they make the
    row too long.
    """
    started = decode_started(line)
    copied = {
        name: getattr(started, name) for name in Started.__struct_fields__ if name != "schema"
    }
    row = Row(
        **copied,
        verdict="infra_error",
        iterations=0,
        accepted_iteration=None,
        grounded=None,
        artifact=NULL,
        attempts=(),
        error=LoggedError("crashed", CRASHED_MESSAGE),
        usage=Usage(None, None),
        duration_ms=0,
        tables={},
    )
    encoded = encode_fitting(row)
    added = _unknown_members(line)
    if not added:
        return encoded
    longer = add_crc(encoded[:-CRC_BYTES] + added + b"}")
    return longer if len(longer) <= ROW_BYTES_MAX else encoded


def _unknown_members(line: bytes) -> bytes:
    members = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    known = {*Row.__struct_fields__, "crc"}
    return b"".join(
        b",%b:%b" % (msgspec.json.encode(name), msgspec.json.format(bytes(raw), indent=-1))
        for name, raw in members.items()
        if name not in known
    )


def _without_row(root: Path, dead: Collection[str]) -> dict[str, tuple[RowKey, bytes]]:
    """Find the sessions of dead writers that have no row in their writer's active segments."""
    started: dict[str, tuple[RowKey, bytes]] = {}
    ended: set[str] = set()
    for file in log_files(root):
        if file.directory != ACTIVE or file.writer_id not in dead:
            continue
        for entry in classify_file(file):
            key = row_key(entry.line.data) if entry.kind in {"started", "row"} else None
            if key is None:
                continue
            if entry.kind == "row":
                ended.add(key.row_id)
            elif _is_whole(entry.line.data):
                started[key.row_id] = (key, entry.line.data)
    return {row_id: found for row_id, found in started.items() if row_id not in ended}


def _is_whole(line: bytes) -> bool:
    """Return whether a started line has enough members for a row; foreign ones may not."""
    try:
        decode_started(line)
    except ValueError:
        return False
    return crc_holds(line) is not False


def _rows_among(root: Path, row_ids: Collection[str], since: str) -> set[str]:
    """Find which of these sessions have a row in any file, or in the compacted table."""
    found: set[str] = set()
    for file in log_files(root):
        if _ended_before(file, since):
            continue
        for entry in classify_file(file):
            key = row_key(entry.line.data) if entry.kind == "row" else None
            if key is not None and key.row_id in row_ids:
                found.add(key.row_id)
    # After the files: what is compacted and removed meanwhile is in the table by then.
    return found | row_ids_compacted(root, row_ids, since)


def _ended_before(file: LogFile, since: str) -> bool:
    """Return whether a sealed segment's manifest excludes it: all its rows ended earlier."""
    manifest = read_manifest(file.root, file.name) if file.directory != ACTIVE else None
    if manifest is None:
        return False
    return manifest.last_timestamp is None or manifest.last_timestamp < since
