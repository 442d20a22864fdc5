"""Writes the missing row of each session whose writer died, exactly once.

The row is built from the started line alone, so every reaper writes the same bytes. A session whose
writer's lock is held is left alone: a stopped process is not dead. So is one of an idempotency key
while somebody holds the key: another process is running the session instead.
"""

from collections.abc import Collection
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.core.chat import Usage
from lakehouse.core.clock import SystemClock, ordering_moment, timestamp
from lakehouse.core.json_text import NULL
from lakehouse.core.limits import CRC_BYTES, ROW_BYTES_MAX
from lakehouse.core.row import IDEMPOTENCY_KEY, LoggedError, Row, Started
from lakehouse.core.row_codec import add_crc, crc_holds, decode_started, encode_fitting
from lakehouse.files.disk import Disk
from lakehouse.sessionlog.keyed import KeyStore
from lakehouse.sessionlog.layout import ACTIVE, LogFile, log_files
from lakehouse.sessionlog.lines import classify_file, row_key
from lakehouse.sessionlog.manifest import read_manifest
from lakehouse.sessionlog.reading.compacted import row_ids_compacted
from lakehouse.sessionlog.writing.segments import Record, Segments

CRASHED_MESSAGE: Final = "The process that ran the session ended before the session did."
_DAEMON: Final = "reaper"
_KEYS_HELD_MAX: Final = 256  # at once: each takes a descriptor


class Reaped(msgspec.Struct, frozen=True):
    """What a reaper did: the ids of its rows, which are durable, and its own segments, finished.

    `left` are dead writers with sessions that others may take over: their segments stay active.
    """

    row_ids: tuple[str, ...]
    segments: tuple[str, ...]
    left: frozenset[str]


class _Crashed(msgspec.Struct):
    """A session without a row in its writers' active segments; several if it was taken over.

    `line` is its newest started line, of `started_at`; `since` the time of the oldest.
    """

    row_id: str
    line: bytes
    started_at: str
    since: str
    writers: set[str]
    key: str | None

    def add(self, other: "_Crashed") -> None:
        self.writers |= other.writers
        self.since = min(self.since, other.since)
        if other.started_at > self.started_at:
            self.started_at, self.line = other.started_at, other.line


def reap_dead(root: Path, dead: Collection[str], *, disk: Disk, keyed_age_s: float = 0) -> Reaped:
    """Write the rows of crashed sessions. The caller holds the reap lock.

    Args:
        root: The log directory.
        dead: What `dead_writers` said.
        disk: The system calls.
        keyed_age_s: Sessions of idempotency keys that began later than so long ago are left: their
            callers may come again, and a session that is taken over needs no row of a crash.

    Raises:
        OSError: Not all could be written; what was not is found again next time.

    Cost: reads the segments of dead writers, and the whole log only if a session lacks its row.
    """
    crashed = _without_row(root, dead)
    young = timestamp(SystemClock().now() - timedelta(seconds=keyed_age_s))
    plain: list[_Crashed] = []
    due: list[_Crashed] = []
    left: list[_Crashed] = []
    for session in crashed:
        if session.key is None:
            plain.append(session)
        elif keyed_age_s and ordering_moment(session.started_at) > young:
            left.append(session)
        else:
            due.append(session)
    store = KeyStore(root)
    row_ids: list[str] = []
    segments: list[str] = []
    batches = [due[at : at + _KEYS_HELD_MAX] for at in range(0, len(due), _KEYS_HELD_MAX)]
    for batch in (plain, *batches):
        with ExitStack() as held:
            # The keys before the look for rows: a session that ends meanwhile is seen.
            free: list[_Crashed] = []
            for session in batch:
                key = session.key
                if key is None or store.keeps_from_claims(key, session.row_id, held):
                    free.append(session)
                else:
                    left.append(session)
            missing = _without_any_row(root, free, dead)
            segments += _write_rows(root, missing, disk)
            row_ids += [session.row_id for session in missing]
    writers = frozenset(writer for session in left for writer in session.writers)
    return Reaped(tuple(row_ids), tuple(segments), writers)


def _write_rows(root: Path, missing: Collection[_Crashed], disk: Disk) -> list[str]:
    """Make the rows of these sessions durable; gives the names of the segments they lie in."""
    if not missing:
        return []
    segments = Segments(root, daemon=_DAEMON, clock=SystemClock(), disk=disk)
    try:
        rows = [Record(crashed_row(each.line), each.row_id, ends=True) for each in missing]
        segments.write(rows)
        used = {row.segment for row in rows if row.segment is not None}  # all are written
        for segment in used:
            disk.sync(segment.descriptor)
        disk.sync_directory(root / ACTIVE)
    finally:
        segments.close()
    return [segment.path.name for segment in used]


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


def _without_row(root: Path, dead: Collection[str]) -> list[_Crashed]:
    """Find the sessions of dead writers that have no row in their writers' active segments."""
    started: dict[str, _Crashed] = {}
    ended: set[str] = set()
    for file in log_files(root):
        if file.directory != ACTIVE or file.writer_id is None or file.writer_id not in dead:
            continue
        for entry in classify_file(file):
            key = row_key(entry.line.data) if entry.kind in {"started", "row"} else None
            if key is None:
                continue
            if entry.kind == "row":
                ended.add(key.row_id)
            elif (session := _crashed(entry.line.data, file.writer_id)) is not None:
                started.setdefault(key.row_id, session).add(session)
    return [session for row_id, session in started.items() if row_id not in ended]


def _crashed(line: bytes, writer: str) -> _Crashed | None:
    """Read a started line; None if it lacks members that a row needs, as foreign ones may."""
    try:
        started = decode_started(line)
    except ValueError:
        return None
    if crc_holds(line) is False:
        return None
    key = started.metadata.get(IDEMPOTENCY_KEY)
    at = started.timestamp
    return _Crashed(started.row_id, line, at, at, {writer}, key)


def _without_any_row(
    root: Path, crashed: Collection[_Crashed], dead: Collection[str]
) -> list[_Crashed]:
    if not crashed:
        return []
    since = min(session.since for session in crashed)
    found = _rows_among(root, {session.row_id for session in crashed}, since, dead)
    return [session for session in crashed if session.row_id not in found]


def _rows_among(
    root: Path, row_ids: Collection[str], since: str, dead: Collection[str]
) -> set[str]:
    """Find which of these sessions have a row in any file, or in the compacted table.

    Or will have one: a living writer that took over has written the started line again.
    """
    found: set[str] = set()
    for file in log_files(root):
        if _ended_before(file, since):
            continue
        living = file.directory == ACTIVE and file.writer_id not in {None, *dead}
        for entry in classify_file(file):
            if entry.kind == "row" or (entry.kind == "started" and living):
                key = row_key(entry.line.data)
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
