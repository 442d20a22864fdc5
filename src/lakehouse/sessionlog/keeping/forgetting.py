"""Forgets one session on request: hides it at once, then removes it wherever possible.

It never touches files that a running program may write to: they are listed, and done when they are
sealed and the command is run again.
"""

import os
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError

from lakehouse.core.clock import SystemClock
from lakehouse.core.errors import LakehouseError, Refusal
from lakehouse.files.disk import Disk
from lakehouse.files.locks import exclusively
from lakehouse.files.regular import NotRegular, open_regular
from lakehouse.sessionlog.forgotten import forgotten_sessions, hide_session
from lakehouse.sessionlog.index.builder import forget_session
from lakehouse.sessionlog.index.packs import INDEX
from lakehouse.sessionlog.keeping.compaction import compact, remove_segment
from lakehouse.sessionlog.keeping.durability import hold_table, open_durable, untracked_files
from lakehouse.sessionlog.keeping.sealing import LOCK_WAIT_S, seal
from lakehouse.sessionlog.keeping.table import delete_session, remove_old_files
from lakehouse.sessionlog.keyed import KeyStore
from lakehouse.sessionlog.layout import (
    COMPACT_LOCK,
    FEEDBACK,
    KEYS,
    QUARANTINE,
    REPLAY_RUNS,
    SEALED,
    prepare,
)
from lakehouse.sessionlog.reading.compacted import local_path, open_compacted
from lakehouse.sessionlog.reading.reader import find_rows
from lakehouse.sessionlog.shared_file import blank_lines

_BLOCK_BYTES = 8 << 20


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """What one call did. `rows` were shown before it; `left` are files that still hold some."""

    session_id: str
    rows: int
    left: tuple[str, ...]


class _Line(msgspec.Struct):
    session_id: object = None


def forget(
    root: Path, session_id: str, *, table: str | None = None, wait_s: float = LOCK_WAIT_S
) -> Forgotten:
    """Hide a session from every reader for good, then remove its rows from the disk.

    Sealed segments are compacted without it, the table's files with its rows are rewritten, and
    older files are deleted. Feedback, replays and idempotency keys of the session are removed too,
    and what the index of the log holds of it. Safe while daemons run; a row that a living writer
    holds in its own segment stays there, hidden, until that is sealed, and the inbox belongs to the
    programs that write it.

    Args:
        root: The log directory.
        session_id: One session; a row id is not one.
        table: As for `compact`.
        wait_s: How long to wait for another process, each time.

    Raises:
        Refusal: `not_found`; nothing was done.
        LakehouseError: The table failed; the session is hidden.
        Busy: Another process seals or compacts; the session is hidden.

    Cost: a compaction, and writing again the table's files that held rows of it.
    """
    root = prepare(root)
    rows = [row for row in find_rows(root, session_id) if _is_of(row, session_id)]
    if not rows and session_id not in forgotten_sessions(root):
        raise Refusal(
            "not_found",
            f"There is no session {session_id!r} in {root}.",
            hint="`lakehouse sessions` lists the sessions, newest first.",
        )
    if rows:
        hide_session(root, session_id, SystemClock().now())
    for name in (FEEDBACK, REPLAY_RUNS):
        blank_lines(root / name, lambda line: _is_of(line, session_id))
    KeyStore(root).forget(session_id)
    seal(root, wait_s=wait_s)
    done = compact(root, table=table, wait_s=wait_s)
    with exclusively(root / COMPACT_LOCK, wait_s):
        try:
            with hold_table(done.table, wait_s):
                _remove_from_table(done.table, session_id)
        except (DeltaError, OSError) as error:
            raise LakehouseError(
                f"The session is hidden; the table at {done.table} cannot be rewritten: {error}",
                hint="Forget it again when the table can be written.",
            ) from error
        _remove_segments(root, session_id)
        forget_session(root / INDEX, session_id)
    return Forgotten(session_id=session_id, rows=len(rows), left=_files_with(root, session_id))


def _is_of(line: bytes, session_id: str) -> bool:
    # Nothing else of it: a row may hold a number that no Python float does.
    return msgspec.json.decode(line, type=_Line).session_id == session_id


def _remove_from_table(uri: str, session_id: str) -> None:
    if delete_session(open_durable(uri), session_id):
        # Old versions hold it too; a query that began before may fail and be asked again.
        remove_old_files(open_durable(uri), older_than_h=0)
    table = open_durable(uri)
    # Of commits that were set aside, and of compactors that were killed before theirs.
    for path in untracked_files(table):
        if _holds_rows(path, session_id):
            path.unlink()
    local = local_path(uri)
    for directory in {*local.glob("*=*/"), local} if local is not None else ():
        Disk().sync_directory(directory)


def _holds_rows(path: Path, session_id: str) -> bool:
    """Return whether a Parquet file has rows of a session; a torn file cannot be read."""
    try:
        found = pq.read_table(path, columns=["session_id"], partitioning=None)["session_id"]
    except (OSError, KeyError, pa.ArrowException):
        return False
    # Delta writes views of strings when it deletes rows, which cannot be compared as they are.
    return bool(pc.any(pc.equal(found.cast(pa.string()), session_id)).as_py())


def _remove_segments(root: Path, session_id: str) -> None:
    """Delete the segments that hold the session: compaction has just put all others' rows away."""
    compacted = open_compacted(root)
    held = sorted(compacted.held) if compacted is not None else []
    holding = [name for name in held if _holds(root / SEALED / name, session_id)]
    for name in holding:
        remove_segment(root, name)
    Disk().sync_directory(root / SEALED)


def _files_with(root: Path, session_id: str) -> tuple[str, ...]:
    """Look for the id in every file of the log, but the list of what was forgotten."""
    places = [*root.glob("*.jsonl"), *root.glob("active/*.jsonl"), *root.glob(f"{SEALED}/*.jsonl")]
    places += [*root.glob(f"{QUARANTINE}/*.bad"), *root.glob(f"{KEYS}/*/*")]
    found = (path.relative_to(root).as_posix() for path in places if _holds(path, session_id))
    return tuple(sorted(name for name in found if name != "forgotten.jsonl"))


def _holds(path: Path, session_id: str) -> bool:
    needle = b'"%b"' % session_id.encode("utf-8")
    overlap = b""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                if needle in overlap + block:
                    return True
                overlap = block[-len(needle) :]
    except (FileNotFoundError, NotRegular):
        return False
    return False
