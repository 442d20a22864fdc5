"""Moves sealed segments into the log's table: each row once, however often it runs.

A plan lists the segments of one commit and is durable before the commit; the commit contains the
plan's version as a transaction of this log. So after a crash the same plan is executed again, or
found done. A segment is deleted only after its rows are on disk elsewhere, in a version of the
table that `durability.py` has marked.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from lakehouse.core.clock import moment_of
from lakehouse.core.errors import LakehouseError, SetupError
from lakehouse.core.ids import new_id
from lakehouse.files.disk import Disk, make_directories, write_durably
from lakehouse.files.locks import exclusively
from lakehouse.sessionlog.forgotten import forgotten_sessions
from lakehouse.sessionlog.keeping.durability import hold_table, make_durable, open_durable
from lakehouse.sessionlog.keeping.records import batches, record_batch
from lakehouse.sessionlog.keeping.sealing import LOCK_WAIT_S, quarantine
from lakehouse.sessionlog.keeping.table import (
    append,
    check_place,
    create_table,
    merge_small_files,
    remove_old_files,
)
from lakehouse.sessionlog.layout import (
    COMPACT_LOCK,
    COMPACTED,
    IDENTITY,
    INBOX_WRITER,
    SEALED,
    TABLE,
    log_files,
    manifest_path,
    prepare,
)
from lakehouse.sessionlog.lines import LogLine, RowKey, classify_file, row_key
from lakehouse.sessionlog.manifest import digest, read_manifest
from lakehouse.sessionlog.reading.compacted import (
    RETENTION_H,
    Compacted,
    LogIdentity,
    Plan,
    day_of,
    plan_path,
    read_identity,
    read_plans,
    table_uri,
)

_PLAN_BYTES_MAX: Final = 512 << 20  # of segments in one commit
_COMMITS_TRIED_MAX: Final = 20


class Compaction(msgspec.Struct, frozen=True, kw_only=True):
    """What one call did.

    `rows` were added; `duplicates` were there already, `forgotten` left out. `merged` counts small
    Parquet files that became larger ones, `removed` segments past their retention. `damaged`
    segments do not match their manifest, and stay where they are.
    """

    table: str
    commits: int
    segments: int
    damaged: tuple[str, ...]
    rows: int
    duplicates: int
    forgotten: int
    merged: int
    removed: int


class _Tally:
    def __init__(self) -> None:
        self.rows = self.duplicates = self.forgotten = 0


def compact(
    root: Path,
    *,
    table: str | None = None,
    retention_h: float = RETENTION_H,
    wait_s: float = LOCK_WAIT_S,
) -> Compaction:
    """Move the rows of all sealed segments into the log's table.

    First repairs a local table torn by a power cut, and marks each of its own commits when it is
    durable.

    Args:
        root: The log directory.
        table: A URI or a path relative to the log, for the first compaction; later ones use the
            same. None: `table` in the log directory.
        retention_h: How long a compacted segment stays on the disk, in hours.
        wait_s: How long to wait for another process that compacts.

    Raises:
        Busy: Another process held the lock of the log or the table for all of `wait_s`.
        SetupError: `table` is not the one this log began with.
        LakehouseError: The table cannot be read or written; commits so far stay, the rest is done
            next time.

    Cost: about 30 µs a row. Memory: 500 MB for a segment's rows as Parquet.
    """
    root = prepare(root)
    with exclusively(root / COMPACT_LOCK, wait_s):
        identity = _identity(root, table)
        uri = table_uri(root, identity)
        check_place(uri)
        try:
            make_directories(root / COMPACTED)
            with hold_table(uri, wait_s):
                create_table(uri)
                return _compact(root, identity, uri, retention_h)
        except (DeltaError, OSError, pa.ArrowException) as error:
            raise LakehouseError(
                f"The compacted table at {uri} cannot be written: {error}",
                hint="Nothing is lost: the segments stay until their rows are in the table.",
            ) from error


def _compact(root: Path, identity: LogIdentity, uri: str, retention_h: float) -> Compaction:
    tally = _Tally()
    damaged = _damaged_segments(root)
    done = _done(open_durable(uri), identity)
    plans = [plan for plan in read_plans(root) if plan.version > done]
    for unfinished in plans:
        _check_segments(root, unfinished, damaged)
        _execute(root, unfinished, identity, uri, tally)
    while (plan := _next_plan(root, identity, uri, damaged)) is not None:
        write_durably(plan_path(root, plan.version), msgspec.json.encode(plan) + b"\n")
        _execute(root, plan, identity, uri, tally)
        plans.append(plan)
    merged = _merge(uri)
    removed = _remove_expired(root, identity, uri, retention_h)
    return Compaction(
        table=uri,
        commits=len(plans),
        segments=sum(len(plan.segments) for plan in plans),
        damaged=tuple(sorted(damaged)),
        rows=tally.rows,
        duplicates=tally.duplicates,
        forgotten=tally.forgotten,
        merged=merged,
        removed=removed,
    )


def _identity(root: Path, table: str | None) -> LogIdentity:
    identity = read_identity(root)
    if identity is None:
        identity = LogIdentity(log_id=new_id(), table=table or TABLE)
        write_durably(root / IDENTITY, msgspec.json.encode(identity) + b"\n")
    elif table is not None and table != identity.table:
        raise SetupError(
            f"log.table is {table!r}; this log is compacted into {identity.table!r}.",
            hint=f"Copy the table there and write the new location into {root / IDENTITY}.",
        )
    return identity


def _done(table: DeltaTable, identity: LogIdentity) -> int:
    return table.transaction_version(identity.application) or 0


def _damaged_segments(root: Path) -> set[str]:
    """Find the sealed segments whose bytes changed since: their lost rows must not be let go."""
    damaged = set()
    for file in log_files(root):
        manifest = read_manifest(root, file.name) if file.directory == SEALED else None
        if manifest is None:
            continue
        with file.opened() as descriptor:
            if descriptor is not None and digest(descriptor) != manifest.sha256:
                damaged.add(file.name)
    return damaged


def _next_plan(root: Path, identity: LogIdentity, uri: str, damaged: set[str]) -> Plan | None:
    """Choose sealed segments that no plan holds, in their order; None when there is none left."""
    plans = read_plans(root)
    planned = {name for plan in plans for name in plan.segments}
    chosen: list[str] = []
    size = 0
    for file in log_files(root):
        if file.directory != SEALED or file.name in planned | damaged:
            continue
        manifest = read_manifest(root, file.name)
        if manifest is None:
            continue  # an inbox copy that is being made
        if chosen and size + manifest.bytes > _PLAN_BYTES_MAX:
            break
        chosen.append(file.name)
        size += manifest.bytes
    if not chosen:
        return None
    last = max((plan.version for plan in plans), default=0)
    version = max(last, _done(open_durable(uri), identity)) + 1
    return Plan(version=version, segments=tuple(chosen))


def _check_segments(root: Path, plan: Plan, damaged: set[str]) -> None:
    for name in plan.segments:
        whole = (root / SEALED / name).is_file() and read_manifest(root, name) is not None
        if name in damaged or not whole:
            raise LakehouseError(
                f"{SEALED}/{name} is planned for the table and was changed after it was sealed.",
                hint=f"Restore it from a copy; or remove {plan_path(root, plan.version)} to skip "
                f"it as damaged.",
            )


def _execute(root: Path, plan: Plan, identity: LogIdentity, uri: str, tally: _Tally) -> None:
    for _ in range(_COMMITS_TRIED_MAX):
        table = open_durable(uri)
        # On a fresh handle the same transaction would be taken twice: it must be looked up.
        if _done(table, identity) >= plan.version:
            return
        counted = _Tally()
        records = _records(root, plan, table, counted)
        try:
            append(
                table,
                records,
                application=identity.application,
                version=plan.version,
                rows=_rows_planned(root, plan),
            )
        except CommitFailedError:
            continue  # another log, or another compactor of this one
        make_durable(uri)
        tally.rows += counted.rows
        tally.duplicates += counted.duplicates
        tally.forgotten += counted.forgotten
        return
    raise LakehouseError(
        f"The compacted table at {uri} was changed by other writers {_COMMITS_TRIED_MAX} times "
        f"in a row.",
        hint="Compact again when there are fewer writers.",
    )


def _rows_planned(root: Path, plan: Plan) -> int:
    manifests = (read_manifest(root, name) for name in plan.segments)
    return sum(manifest.rows for manifest in manifests if manifest is not None)


def _records(root: Path, plan: Plan, table: DeltaTable, tally: _Tally) -> Iterator[pa.RecordBatch]:
    """Read the rows of a plan's segments: each once, none that the table has."""
    # Asked before the first record: the Delta library cannot be asked from within its own write.
    known = _known(root, plan, table)
    return _fresh_records(root, plan, known, tally)


def _known(root: Path, plan: Plan, table: DeltaTable) -> set[str]:
    keys: list[RowKey] = []
    bad: dict[str, list[bytes]] = {}
    for name, entry in _entries(root, plan):
        key = row_key(entry.line.data) if entry.kind == "row" else None
        if key is not None:
            keys.append(key)
        elif entry.kind == "bad":
            bad.setdefault(name, []).append(entry.line.data)
    for name, lines in bad.items():
        manifest = read_manifest(root, name)
        # A version that was less strict sealed it, and put none of them aside.
        if manifest is None or len(lines) > len(manifest.bad_lines):
            quarantine(root, name, lines, Disk())
    if not keys:
        return set()
    # By day, and not the least text: an offset may put a row on the day before.
    since = min(day_of(moment_of(key.timestamp)) for key in keys)
    return Compacted(table, held=frozenset()).row_ids_among([key.row_id for key in keys], since)


def _fresh_records(
    root: Path, plan: Plan, known: set[str], tally: _Tally
) -> Iterator[pa.RecordBatch]:
    hidden = forgotten_sessions(root)
    seen: set[bytes] = set()
    for lines in batches(_lines(root, plan)):
        fresh = [
            line
            for line in lines
            if (key := row_key(line)) is not None and _is_new(key, seen, known, hidden, tally)
        ]
        if fresh:
            tally.rows += len(fresh)
            yield record_batch(fresh)


def _is_new(
    key: RowKey, seen: set[bytes], known: set[str], hidden: frozenset[str], tally: _Tally
) -> bool:
    identity = key.row_id.encode()
    if key.session_id in hidden:
        tally.forgotten += 1
        return False
    if identity in seen or key.row_id in known:
        tally.duplicates += 1
        return False
    seen.add(identity)
    return True


def _lines(root: Path, plan: Plan) -> Iterator[bytes]:
    return (entry.line.data for _, entry in _entries(root, plan) if entry.kind == "row")


def _entries(root: Path, plan: Plan) -> Iterator[tuple[str, LogLine]]:
    files = {file.name: file for file in log_files(root)}
    for name in plan.segments:
        for entry in classify_file(files[name]):
            yield name, entry


def _merge(uri: str) -> int:
    table = open_durable(uri)
    try:
        merged = merge_small_files(table)
    except CommitFailedError:
        return 0  # somebody else merges
    if merged:
        remove_old_files(open_durable(uri))
    return merged


def _remove_expired(root: Path, identity: LogIdentity, uri: str, retention_h: float) -> int:
    """Delete the segments of plans done long enough ago, then the plans."""
    table = open_durable(uri)
    done = _done(table, identity)
    before = time.time() - retention_h * 3600
    expired = [
        plan
        for plan in read_plans(root)
        if plan.version <= done and plan_path(root, plan.version).stat().st_mtime <= before
    ]
    if not expired:
        return 0
    removed = 0
    for plan in expired:
        for name in plan.segments:
            removed += remove_segment(root, name)
        Disk().sync_directory(root / SEALED)
        plan_path(root, plan.version).unlink()
    Disk().sync_directory(root / COMPACTED)
    return removed


def remove_segment(root: Path, name: str) -> bool:
    """Delete a segment whose rows are in the table; returns whether it existed.

    The manifest of an inbox copy stays: it says how far the inbox is done.
    """
    path = root / SEALED / name
    there = path.exists()
    path.unlink(missing_ok=True)
    if not name.startswith(f"{INBOX_WRITER}-"):
        manifest_path(root, name).unlink(missing_ok=True)
    return there
