"""The files of a session-log directory (contract section 5), and checks that it can be used.

It does not repair: a directory that others may write to, or that is not a directory, is reported
with the command that fixes it.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.core.errors import LakehouseError, SetupError
from lakehouse.files.disk import make_directories, reason
from lakehouse.files.regular import NotRegular, open_regular, sort_of

ACTIVE: Final = "active"
SEALED: Final = "sealed"
WRITERS: Final = "writers"
QUARANTINE: Final = "quarantine"
REAP_LOCK: Final = "reap.lock"
COMPACTED: Final = "compacted"  # one plan for each commit of the compacted table
COMPACT_LOCK: Final = "compact.lock"
IDENTITY: Final = "log.json"
TABLE: Final = "table"  # the default place of the compacted table
TABLE_STATE: Final = "_lakehouse"  # in a local table; other engines pass over such names
INBOX: Final = "inbox.jsonl"
INBOX_WRITER: Final = "inbox"  # sealed copies of the inbox are segments of this writer
REPLAY_RUNS: Final = "replay_runs.jsonl"
FEEDBACK: Final = "feedback.jsonl"
KEYS: Final = "keys"  # one file for each idempotency key
KEY_SHARDS: Final = tuple(f"{number:02x}" for number in range(256))  # the directories in `keys`
REPLAYS: Final = "replays"  # the plan of each replay run, and the corpora they share

_SEGMENT_NAME = re.compile(
    r"(?P<writer_id>[A-Za-z0-9][A-Za-z0-9._-]{0,63})-(?P<segment>0|[1-9][0-9]{0,17})\.jsonl"
)


class LogFile(msgspec.Struct, frozen=True):
    """One file of the stream: a segment by its name, or the inbox (`writer_id` None).

    `directory` is where the file was seen; a segment may have moved from active to sealed since.
    """

    root: Path
    directory: str
    name: str
    writer_id: str | None
    segment: int

    @property
    def path(self) -> Path:
        return self.root / self.directory / self.name

    @property
    def label(self) -> str:
        """The path for people, relative to the log."""
        return f"{self.directory}/{self.name}" if self.directory else self.name

    def open(self) -> int | None:
        """Open for reading wherever the file is by now; None when it is gone for good.

        None also for what is no regular file, or may not be read: `odd_entries` tells of it.
        """
        paths = [self.path]
        if self.directory == ACTIVE:
            paths.append(self.root / SEALED / self.name)
        for path in paths:
            try:
                return open_regular(path)
            except (FileNotFoundError, NotRegular, PermissionError):
                continue
        return None

    @contextmanager
    def opened(self) -> Iterator[int | None]:
        """Open as `open` does, for a `with`."""
        descriptor = self.open()
        try:
            yield descriptor
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def stat(self) -> os.stat_result | None:
        """Look at the file wherever it is by now; None when it is gone for good."""
        with self.opened() as descriptor:
            return None if descriptor is None else os.fstat(descriptor)


def segment_name(writer_id: str, segment: int) -> str:
    """Name a segment; `segment` counts from 0 within its writer."""
    return f"{writer_id}-{segment}.jsonl"


def lock_path(root: Path, writer_id: str) -> Path:
    """Return the lock file that a writer holds for its life."""
    return root / WRITERS / f"{writer_id}.lock"


def reserve_path(root: Path, writer_id: str) -> Path:
    """Return the file whose space a writer gives up when the disk is full."""
    return root / WRITERS / f"{writer_id}.reserve"


def manifest_path(root: Path, name: str) -> Path:
    """Return the manifest of a sealed segment."""
    return root / SEALED / f"{name}.manifest.json"


def key_path(root: Path, name: str) -> Path:
    """Return the file of an idempotency key; `name` is a SHA-256 in hex."""
    return root / KEYS / name[:2] / name[2:]


def is_log(root: Path) -> bool:
    """Whether the directory has what a log has, be it without rows."""
    return any(os.path.exists(root / name) for name in (ACTIVE, SEALED, INBOX, TABLE))  # noqa: PTH110 - False where it may not look


def log_files(root: Path) -> list[LogFile]:
    """List the files that hold rows: segments in the order of their names, the inbox last.

    Entries with a segment's name that are not regular files are skipped.

    A missing directory has none. Active segments are listed before sealed ones, so that a segment
    on its way from one to the other is seen once and never missed.
    """
    found: dict[str, LogFile] = {}
    for directory in (ACTIVE, SEALED):
        for name in _file_names(root / directory):
            match = _SEGMENT_NAME.fullmatch(name)
            if match is not None and name not in found:
                number = int(match["segment"])
                found[name] = LogFile(root, directory, name, match["writer_id"], number)
    files = sorted(found.values(), key=lambda file: (file.writer_id or "", file.segment))
    if os.path.lexists(root / INBOX) and sort_of(root / INBOX) is None:
        files.append(LogFile(root, "", INBOX, None, 0))
    return files


def check_parts(root: Path) -> None:
    """Check that the directories of segments can be read.

    Raises:
        LakehouseError: One is there and cannot.
    """
    for trouble in unreadable_parts(root):
        raise LakehouseError(
            trouble, hint="`lakehouse log verify` lists what does not belong in a log."
        )


def unreadable_parts(root: Path) -> Iterator[str]:
    """Say which directories of segments cannot be read: `log_files` takes them for empty.

    A missing one has no files.
    """
    for name in (ACTIVE, SEALED):
        path = root / name
        why = "It is a symbolic link" if path.is_symlink() else ""
        try:
            if not why:
                os.scandir(path).close()
        except FileNotFoundError:
            continue
        except OSError as error:
            why = reason(error)
        if why:
            yield f"The directory `{name}` of the session log cannot be read: {why}."


def prepare(path: Path) -> Path:
    """Make a log directory ready for a writer; directories that are missing are created 0700.

    What is created is durable: a power cut does not take the directory from under synced rows.
    The log itself may be reached through a symbolic link, its parts may not.

    Returns:
        The directory's real path.

    Raises:
        SetupError: It cannot be used; says why and what to do.
    """
    root = path.expanduser()
    _make(root)
    root = root.resolve()
    _check(root)
    for name in (ACTIVE, SEALED, WRITERS):
        part = root / name
        if part.is_symlink():
            raise SetupError(
                f"Session log: {part} is a symbolic link; it must be a real directory.",
                hint="Set log.path to the real directory, or link the whole log directory.",
            )
        _make(part)
        _check(part)
    return root


def _make(path: Path) -> None:
    try:
        make_directories(path)
    except FileExistsError as error:
        raise SetupError(
            f"Session log: {path} is not a directory.",
            hint="log.path names a directory; move the file away or choose another path.",
        ) from error
    except OSError as error:
        raise SetupError(
            f"Session log: cannot create {path}: {reason(error)}.",
            hint="Choose a log.path that this user may write to.",
        ) from error


def _check(path: Path) -> None:
    if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SetupError(
            f"Session log: other users may write to {path}, so they could forge or remove rows.",
            hint=f"chmod go-w {path}",
        )
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise SetupError(
            f"Session log: {path} is not readable and writable for this user.",
            hint=f"chown or chmod it (0700), or choose another log.path: {path}",
        )


def is_segment_name(name: str) -> bool:
    """Return whether a file of this name in `active` or `sealed` holds rows."""
    return _SEGMENT_NAME.fullmatch(name) is not None


def _file_names(directory: Path) -> list[str]:
    if directory.is_symlink():
        return []
    try:
        with os.scandir(directory) as entries:
            return [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
