"""Keeps a local table safe through power cuts: marks what is on disk, sets aside what is torn.

The Delta library does not sync what it writes. So the newest commits may be torn after a power cut,
and the table unreadable for every engine. Readers of the log open the marked version; the next
compaction restores the table to it and repeats the rest. Object stores acknowledge only durable
writes, so tables there are not affected. Entries set aside are never deleted, complete commits of
other engines are never undone, and versions whose entries another engine has cleaned up are never
restored.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from lakehouse.core.errors import LakehouseError
from lakehouse.core.ids import new_id
from lakehouse.files.disk import Disk, make_directories, write_durably
from lakehouse.files.locks import exclusively
from lakehouse.sessionlog.keeping.table import COMMIT_MARK
from lakehouse.sessionlog.layout import TABLE_STATE
from lakehouse.sessionlog.reading.compacted import (
    DELTA_LOG,
    DurableVersion,
    delta_log_files,
    durable_path,
    durable_version,
    local_path,
    open_table,
)

_LAST_CHECKPOINT: Final = "_last_checkpoint"
_ROWS_AT_ONCE: Final = 1_000


class _Add(msgspec.Struct, frozen=True):
    path: str
    size: int


class _Remove(msgspec.Struct, frozen=True):
    path: str


class _Action(msgspec.Struct, frozen=True):
    add: _Add | None = None
    remove: _Remove | None = None
    info: dict[str, msgspec.Raw] | None = msgspec.field(default=None, name="commitInfo")


class _Hint(msgspec.Struct, frozen=True):
    version: int


class _Commit(msgspec.Struct, frozen=True):
    """An entry of the table's log: paths are relative to the table, sizes in bytes."""

    ours: bool
    added: dict[str, int]
    removed: tuple[str, ...]


_DECODER: Final = msgspec.json.Decoder(_Action)


@contextmanager
def hold_table(uri: str, wait_s: float) -> Iterator[None]:
    """Keep other compactors off a local table, and begin with a table that is durable and whole.

    Commits past the mark that are torn, or that nothing but we made, are set aside first; those of
    another engine are marked if they are whole. If another engine has cleaned up entries that the
    mark needs, or that follow it, the newest version whose files can all be read is marked.

    Raises:
        Busy: Another process held the table for all of `wait_s`.
        LakehouseError: There is a table that cannot be read, and no mark says to which version to
            go back; or entries were cleaned up, and no later version can be read.
        OSError: Something could not be made durable.
    """
    table = local_path(uri)
    if table is None:
        yield
        return
    make_directories(table / TABLE_STATE)
    with exclusively(table / TABLE_STATE / "table.lock", wait_s):
        _restore(table)
        yield


def open_durable(uri: str) -> DeltaTable:
    """Make every commit durable that there is, mark the last, and open the table there.

    Under `hold_table`. What is deleted may rely on that version and on no other.

    Raises:
        LakehouseError: The table is gone, or cannot be read.
        OSError: Something could not be made durable; the mark stays where it was.
    """
    make_durable(uri)
    table = open_table(uri)
    if table is None:
        raise LakehouseError(f"The compacted table at {uri} is gone.")
    if local_path(uri) is not None and table.version() != durable_version(uri):
        raise LakehouseError(
            f"The compacted table at {uri} lost its marked version while it was opened.",
            hint="Compact again, when no other engine cleans up its log.",
        )
    return table


def make_durable(uri: str) -> None:
    """Sync what the commits past the mark have added, then move the mark on.

    Raises:
        LakehouseError: An entry of the table's log cannot be read.
        OSError: Something could not be made durable; the mark stays where it was.

    Cost: a sync for each new file and its directory; a listing of the table's log when there is
    no new commit.
    """
    table = local_path(uri)
    if table is None:
        return
    marked = durable_version(uri)
    assert marked is not None, "the holder of the table has marked it"
    if not _entry(table, marked + 1).exists():
        marked = _past_gap(table, marked)
    commits = _commits_after(table, marked)
    whole = [commit for commit in commits if commit is not None]
    if len(whole) < len(commits):
        raise LakehouseError(
            f"The compacted table at {uri} has an entry in its log that cannot be read.",
            hint="Compact again: this sets the entry aside and adds its rows again.",
        )
    if commits:
        _adopt(table, whole, marked + len(commits))


def untracked_files(table: DeltaTable) -> list[Path]:
    """List Parquet files in a local table's directory that this version of it does not need."""
    root = local_path(table.table_uri)
    if root is None:
        return []
    needed = {Path(unquote(file.removeprefix("file://"))) for file in table.file_uris()}
    found = (path for path in root.rglob("*.parquet") if DELTA_LOG not in path.parts)
    return sorted(path for path in found if path not in needed)


def _restore(table: Path) -> None:
    marked = durable_version(str(table))
    if marked is None:
        marked = _first_mark(table)
    marked = _past_gap(table, marked)
    commits = _commits_after(table, marked)
    kept = _kept(table, commits)
    newest = marked + len(kept)
    later = [path for version, path in delta_log_files(table) if version > newest]
    torn = [path for version, path in delta_log_files(table) if marked < version <= newest]
    torn = [path for path in torn if path.suffix == ".parquet" and not _is_parquet(path)]
    hint = table / DELTA_LOG / _LAST_CHECKPOINT
    if later or torn or _hinted(hint) > newest:
        _set_aside(table, [hint, *later, *torn])
    if kept:
        _adopt(table, kept, newest)


def _hinted(hint: Path) -> int:
    """Read to which checkpoint the table's log points; -1 if to none: engines look for one then."""
    try:
        return msgspec.json.decode(hint.read_bytes(), type=_Hint).version
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return -1


def _first_mark(table: Path) -> int:
    """Mark a table that has no mark: there is none yet, or it is of before there were marks."""
    marked = next((at for at in _versions_after(table, -1) if _opens(table, at)), -1)
    if marked < 0 and any(version > 0 for version, _ in delta_log_files(table)):
        raise LakehouseError(
            f"The compacted table at {table} cannot be read at any version.",
            hint="Restore it from a copy. Nothing was changed.",
        )
    if marked < 0:
        Disk().sync_directory(table.parent)
    else:
        _sync_all(table)
    _mark(table, marked)
    return marked


def _past_gap(table: Path, marked: int) -> int:
    """Move the mark on if the entries that it needs, or the next one, were cleaned up.

    A missing entry below others is no torn tail: there is nothing to go back to, or the later
    versions stand on a checkpoint. A tail that lost a name in its midst stands on none.
    """
    if all(version <= marked for version, _ in delta_log_files(table)):
        return marked
    reached = marked < 0 or _open(table, marked) is not None
    if reached and _entry(table, marked + 1).exists():
        return marked
    later = _versions_after(table, marked)
    newest = next((at for at in later if _opens(table, at) and _is_readable(table, at)), None)
    if newest is not None:
        _sync_all(table)
        _mark(table, newest)
        return newest
    if not reached:
        raise LakehouseError(
            f"The compacted table at {table} can be read neither at version {marked} nor at a "
            "later one.",
            hint="Restore it from a copy. Nothing was changed.",
        )
    return marked


def _versions_after(table: Path, version: int) -> list[int]:
    """List the later versions that an entry or a checkpoint stands for, the newest first."""
    found = {
        at
        for at, path in delta_log_files(table)
        if at > version and (path == _entry(table, at) or ".checkpoint." in path.name)
    }
    # The Delta library takes an empty entry for a commit that did nothing.
    entries = [at for at in found if _entry(table, at).exists()]
    torn = min((at for at in entries if _read_commit(_entry(table, at)) is None), default=None)
    return sorted((at for at in found if torn is None or at < torn), reverse=True)


def _open(table: Path, version: int) -> dict[str, int] | None:
    """Return the files of a version and their sizes; None if it cannot be opened."""
    try:
        actions = pa.table(DeltaTable(str(table), version=version).get_add_actions(flatten=True))
    except (DeltaError, OSError):
        return None
    paths = map(unquote, actions["path"].to_pylist())
    return dict(zip(paths, actions["size_bytes"].to_pylist(), strict=True))


def _opens(table: Path, version: int) -> bool:
    files = _open(table, version)
    return files is not None and all(_size(table / path) == size for path, size in files.items())


def _is_readable(table: Path, version: int) -> bool:
    return all(_is_parquet(table / path) for path in _open(table, version) or ())


def _commits_after(table: Path, version: int) -> list[_Commit | None]:
    """Read the commits that follow a version without a gap; None for one that is torn."""
    commits = []
    while (path := _entry(table, version + 1)).exists():
        commits.append(_read_commit(path))
        version += 1
    return commits


def _entry(table: Path, version: int) -> Path:
    return table / DELTA_LOG / f"{version:020d}.json"


def _read_commit(path: Path) -> _Commit | None:
    try:
        actions = [_DECODER.decode(line) for line in path.read_bytes().splitlines()]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if not actions:
        return None
    return _Commit(
        ours=any(COMMIT_MARK in action.info for action in actions if action.info is not None),
        added={unquote(action.add.path): action.add.size for action in actions if action.add},
        removed=tuple(unquote(action.remove.path) for action in actions if action.remove),
    )


def _kept(table: Path, commits: list[_Commit | None]) -> list[_Commit]:
    """Choose the commits to keep: up to the last of another engine that is whole.

    Ours on top are done again: nothing shows whether a page of them is missing. A file of another
    engine is read once.
    """
    readable: list[_Commit] = []
    for commit in commits:
        if commit is None:
            break
        readable.append(commit)
    while readable and readable[-1].ours:
        readable.pop()
    added = {path: size for commit in readable for path, size in commit.added.items()}
    torn = {path for path, size in added.items() if not _is_whole(table / path, size)}
    while readable and (readable[-1].ours or torn & _added(readable).keys()):
        readable.pop()
    return readable


def _added(commits: list[_Commit]) -> dict[str, int]:
    """Sum up what commits have added and not removed again."""
    added: dict[str, int] = {}
    for commit in commits:
        for path in commit.removed:
            added.pop(path, None)
        added.update(commit.added)
    return added


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _is_whole(path: Path, size: int) -> bool:
    return _size(path) == size and (path.suffix != ".parquet" or _is_parquet(path))


def _is_parquet(path: Path) -> bool:
    """Return whether a file can be read to its end."""
    try:
        with pq.ParquetFile(path) as file:
            for _ in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                pass
    except (OSError, pa.ArrowException):
        return False
    return True


def _set_aside(table: Path, paths: list[Path]) -> None:
    """Move entries and checkpoints out of the table's log, the newest first.

    The Parquet files that they added stay, as files that no version needs.
    """
    aside = table / TABLE_STATE / "set_aside" / new_id()
    make_directories(aside)
    for path in paths:
        if path.exists():
            path.rename(aside / path.name)
    Disk().sync_directory(aside)
    Disk().sync_directory(table / DELTA_LOG)


def _adopt(table: Path, commits: list[_Commit], version: int) -> None:
    """Sync what these commits have added, and mark `version`, the last of them."""
    disk = Disk()
    files = [table / path for path in _added(commits)]
    for path in files:
        disk.sync_by_name(path)
    first = version - len(commits) + 1
    for path in (path for at, path in delta_log_files(table) if first <= at <= version):
        disk.sync_by_name(path)
    # A new day's directory is a name in the table's own.
    for directory in sorted({table, table / DELTA_LOG, *(path.parent for path in files)}):
        disk.sync_directory(directory)
    _mark(table, version)


def _sync_all(table: Path) -> None:
    disk = Disk()
    for directory, _, names in os.walk(table):
        for name in names:
            disk.sync_by_name(Path(directory, name))
        disk.sync_directory(Path(directory))
    disk.sync_directory(table.parent)


def _mark(table: Path, version: int) -> None:
    mark = DurableVersion(version=version)
    write_durably(durable_path(table), msgspec.json.encode(mark) + b"\n")
