"""Seals finished segments: renames them into `sealed/`, with a manifest beside them.

Every step can be repeated, so the next call completes what a crash left. It never seals files that
a living process may still write to, changes a sealed file, or truncates or renames the inbox:
complete lines are copied from it.
"""

import errno
import logging
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.files.disk import Disk, write_durably
from lakehouse.files.locks import exclusively, lock_held
from lakehouse.files.regular import NotRegular, open_regular, read_regular
from lakehouse.sessionlog.inbox_copies import last_copy, reached, tail_digest
from lakehouse.sessionlog.keeping.reaper import reap_dead
from lakehouse.sessionlog.layout import (
    ACTIVE,
    INBOX,
    INBOX_WRITER,
    QUARANTINE,
    REAP_LOCK,
    SEALED,
    WRITERS,
    LogFile,
    log_files,
    manifest_path,
    prepare,
    reserve_path,
    segment_name,
)
from lakehouse.sessionlog.lines import dead_writers, split_lines
from lakehouse.sessionlog.manifest import InboxPart, encode_manifest, examine

LOCK_WAIT_S: Final = 10.0
LOCK_AGE_S_MIN: Final = 60.0  # of a lock without segments: its writer may be about to begin
_INBOX_BYTES_MAX: Final = 64 << 20  # of one sealed copy
# Something that is no file of ours lies where one should go: told by `odd_entries`, tried again.
_IN_THE_WAY: Final = frozenset(
    {errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EEXIST, errno.ENOTEMPTY}
    | {os.EX_NOINPUT, errno.EACCES, errno.EPERM}
)

_log = logging.getLogger(__name__)


class Sealed(msgspec.Struct, frozen=True):
    """What one call did: row ids of crashed sessions, names of sealed segments, writers let go."""

    reaped: tuple[str, ...]
    sealed: tuple[str, ...]
    writers_removed: tuple[str, ...]


def reap(
    root: Path,
    *,
    wait_s: float = LOCK_WAIT_S,
    disk: Disk | None = None,
) -> tuple[str, ...]:
    """Write the missing rows of dead writers; see `reap_dead`.

    Raises:
        Busy: Another process held the lock for all of `wait_s`.
    """
    root = prepare(root)
    with exclusively(root / REAP_LOCK, wait_s):
        return reap_dead(root, dead_writers(root), disk=disk or Disk()).row_ids


def seal(
    root: Path,
    *,
    wait_s: float = LOCK_WAIT_S,
    disk: Disk | None = None,
    own: Collection[str] = (),
    keyed_age_s: float = 0,
    on_sealed: Callable[[str], None] = lambda _: None,
) -> Sealed:
    """Reap, then seal every segment that nobody writes any more, and copy the inbox.

    Args:
        root: The log directory.
        wait_s: How long to wait for another process that seals or reaps.
        disk: The system calls.
        own: Segments of a living writer in this process that it has finished with.
        keyed_age_s: Of sessions that are reaped; see `reap_dead`.
        on_sealed: Hears the name of each sealed segment.

    Raises:
        Busy: Another process held the lock for all of `wait_s`.
        OSError: The disk failed; what is sealed is sealed, the rest is done next time.
    """
    root = prepare(root)
    disk = disk or Disk()
    with exclusively(root / REAP_LOCK, wait_s):
        dead = dead_writers(root)
        reaped = reap_dead(root, dead, disk=disk, keyed_age_s=keyed_age_s)
        sealed = []
        for file in _finished(root, dead - reaped.left, {*own, *reaped.segments}):
            try:
                _seal_one(file, disk)
            except OSError as error:
                if error.errno not in _IN_THE_WAY:
                    raise
                _log.warning("%s could not be sealed: %s", file.label, error)
                continue
            on_sealed(file.name)
            sealed.append(file.name)
        while (name := _seal_inbox(root, disk)) is not None:
            sealed.append(name)
        removed = _remove_writers(root)
    return Sealed(reaped.row_ids, tuple(sealed), tuple(removed))


def _finished(root: Path, dead: Collection[str], own: Collection[str]) -> list[LogFile]:
    """List active segments to seal: in a writer's order, none before those it wrote earlier.

    A writer that died since `dead` was asked for waits for the next round: nobody has looked for
    its sessions yet. So does one whose sessions others may take over.
    """
    held_back: set[str] = set()
    finished = []
    for file in log_files(root):
        if file.directory != ACTIVE or file.writer_id is None or file.writer_id in held_back:
            continue
        if file.writer_id not in dead and file.name not in own:
            held_back.add(file.writer_id)
            continue
        finished.append(file)
    return finished


def _seal_one(file: LogFile, disk: Disk) -> None:
    root = file.root
    descriptor = open_regular(file.path)
    try:
        disk.sync(descriptor)
        manifest, bad = examine(file, descriptor)
    finally:
        os.close(descriptor)
    quarantine(root, file.name, bad, disk)
    write_durably(manifest_path(root, file.name), encode_manifest(manifest))
    file.path.rename(root / SEALED / file.name)
    disk.sync_directory(root / SEALED)
    disk.sync_directory(root / ACTIVE)


def quarantine(root: Path, name: str, bad: list[bytes], disk: Disk) -> None:
    """Keep a copy of a segment's bad lines; durable when this returns.

    Raises:
        OSError: It could not be written.
    """
    if not bad:
        return
    directory = root / QUARANTINE
    if not directory.is_dir() or directory.is_symlink():
        directory.mkdir(mode=0o700)
        disk.sync_directory(root)
    write_durably(directory / f"{name}.bad", b"".join(line + b"\n" for line in bad))


# --- The inbox ----------------------------------------------------------------------------------


def _seal_inbox(root: Path, disk: Disk) -> str | None:
    """Copy the whole lines that came into the inbox since the last copy; None if there are none."""
    try:
        source = open_regular(root / INBOX)
    except (FileNotFoundError, NotRegular, PermissionError):
        return None  # `odd_entries` tells of what is no inbox
    try:
        last, past = last_copy(root)
        start = reached(source, past)
        data, end = _whole_lines(source, start)
        part = InboxPart(start, end, os.fstat(source).st_ino, tail_digest(source, start, end))
    finally:
        os.close(source)
    # Blank lines alone are not worth a copy, unless they fill one: more may stand behind them.
    if not data.strip() and end - start < _INBOX_BYTES_MAX:
        return None
    name = _copy_name(root, last + 1, data)
    path = root / SEALED / name
    beside = root / SEALED / f".{name}.tmp"
    write_durably(beside, data)
    copy = LogFile(root, SEALED, name, INBOX_WRITER, 0)
    descriptor = open_regular(beside)
    try:
        manifest, bad = examine(copy, descriptor)
    finally:
        os.close(descriptor)
    quarantine(root, name, bad, disk)
    # The copy before its manifest: the manifest says how far the inbox is done.
    beside.rename(path)
    disk.sync_directory(root / SEALED)
    write_durably(
        manifest_path(root, name), encode_manifest(msgspec.structs.replace(manifest, inbox=part))
    )
    return name


def _whole_lines(source: int, start: int) -> tuple[bytes, int]:
    """Return the content of the next copy, and the offset in the inbox where it ends.

    A line that does not fit into a copy is damage, since no row is as long. It is copied cut to
    what still shows that it is too long, and the next copy goes on behind it.
    """
    data = os.pread(source, _INBOX_BYTES_MAX, start)
    whole = data[: data.rfind(b"\n") + 1]
    if whole or len(data) < _INBOX_BYTES_MAX:
        return whole, start + len(whole)
    line = next(split_lines(source, start))
    if not line.ended:
        return b"", start
    return line.data + b"\n", line.offset + line.bytes + 1


def _copy_name(root: Path, number: int, data: bytes) -> str:
    """Name the next copy.

    One that a crash left without its manifest is made again, unless the inbox was cut since:
    then nothing else holds its lines, and it is passed over.
    """
    name = segment_name(INBOX_WRITER, number)
    while os.path.lexists(path := root / SEALED / name) and not _begins_with(data, path):
        number += 1
        name = segment_name(INBOX_WRITER, number)
    return name


def _begins_with(data: bytes, path: Path) -> bool:
    try:
        return data.startswith(read_regular(path))
    except OSError:
        return False  # something else bears the name


# --- Writers that are gone ----------------------------------------------------------------------


def _remove_writers(root: Path) -> list[str]:
    """Remove the locks of dead writers that have no segment left to seal."""
    writing = {file.writer_id for file in log_files(root) if file.directory == ACTIVE}
    removed = []
    for lock in sorted((root / WRITERS).glob("*.lock")):
        writer = lock.name.removesuffix(".lock")
        if writer in writing or lock_held(lock):
            continue
        try:
            age_s = time.time() - lock.stat().st_mtime
        except FileNotFoundError:
            continue
        if age_s < LOCK_AGE_S_MIN and not _has_sealed(root, writer):
            continue
        try:
            reserve_path(root, writer).unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
        except OSError as error:
            if error.errno not in _IN_THE_WAY:
                raise
            continue
        removed.append(writer)
    return removed


def _has_sealed(root: Path, writer: str) -> bool:
    return (root / SEALED / segment_name(writer, 0)).exists()
