"""Where SQL finds the rows of a log: files that hold no damage, and copies of those that do.

DuckDB checks no crc and takes whatever parses. So each file is looked through by the rule that
every reader has (`lines.py`), and one that holds a line of damage is read as a copy without it.
Sealed segments were looked through when they were sealed. Refuses to trust one that changed since.
"""

import os
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import duckdb
import msgspec

from lakehouse.sessionlog.compacted import Compacted, open_compacted
from lakehouse.sessionlog.forgotten import forgotten_sessions
from lakehouse.sessionlog.layout import (
    FEEDBACK,
    REPLAY_RUNS,
    SEALED,
    LogFile,
    log_files,
    manifest_path,
    sealed_clean,
)
from lakehouse.sessionlog.lines import (
    LogLine,
    classify,
    crc_is_required,
    may_be_writing,
    read_header,
    split,
)
from lakehouse.sessionlog.manifest import read_manifest

# Opens the file behind a descriptor, whatever its name is by now. Elsewhere a path into /dev/fd
# would share the descriptor's offset with every other reader.
_DESCRIPTOR_PATH: Final = "/proc/self/fd/{}"
_MEMORY_BYTES_MAX: Final = 256 << 20  # of one copy; a larger one goes to the disk


class Sources(msgspec.Struct, frozen=True):
    """The files that hold a log at one moment, and the table beside them.

    `strict` holds sealed segments without damage; in `tolerant`, a living writer's last line may
    not be finished. `plain` are the replays and feedback. `live_since` is the UTC date that the
    rows of both are no older than, None if that is unknown. Active segments and copies are held
    open by `descriptors`. `damaged` files hold lines that were left out and that no manifest lists.
    """

    strict: tuple[str, ...]
    tolerant: tuple[str, ...]
    plain: tuple[str, ...]
    live_since: str | None
    compacted: Compacted | None
    forgotten: frozenset[str]
    descriptors: tuple[int, ...]
    damaged: tuple[str, ...] = ()

    def close(self) -> None:
        """Let go of the active segments and the copies; once."""
        for descriptor in self.descriptors:
            os.close(descriptor)

    @property
    def paths(self) -> list[str]:
        """All that a query may touch."""
        local = self.compacted is not None and self.compacted.is_local
        table = self.compacted.files if self.compacted is not None and local else ()
        return [*self.strict, *self.tolerant, *self.plain, *table]


def find_sources(root: Path, *, trusting: bool = True, spill: Path | None = None) -> Sources:
    """Look for the files of a log; segments that its table holds are left out.

    Args:
        root: The log directory.
        trusting: Read sealed segments whose manifests count no damage as they are, unless they
            were written to since. Damage that leaves no trace in a file's times makes DuckDB fail
            where it breaks the JSON, which `is_damage` knows; `log verify` finds all of it.
        spill: Where copies over 256 MiB go; by default where temporary files do.

    Raises:
        LakehouseError: The log has a compacted table that cannot be read.
        OSError: A copy cannot be written.

    Cost: 15 µs for each row that is not sealed yet.
    """
    # The files before the table: a segment that is compacted between is seen twice, not never.
    files = log_files(root)
    compacted = open_compacted(root)
    held = compacted.held if compacted is not None else frozenset()
    strict: list[str] = []
    tolerant: list[str] = []
    live: list[LogFile] = []
    descriptors: list[int] = []
    damaged: list[str] = []
    for file in files:
        if file.name in held:
            continue
        live.append(file)
        if trusting and _is_clean(file):
            strict.append(str(file.path))
            continue
        descriptor = file.open()
        if descriptor is None:
            continue
        if any(entry.kind == "bad" for entry in _entries(file, descriptor)):
            if sealed_clean(root, file.name) or file.directory != SEALED:
                damaged.append(file.label)
            descriptor = _copy_of_rows(file, descriptor, spill)
        descriptors.append(descriptor)
        tolerant.append(_DESCRIPTOR_PATH.format(descriptor))
    plain = [str(root / name) for name in (REPLAY_RUNS, FEEDBACK) if (root / name).is_file()]
    return Sources(
        tuple(strict),
        tuple(tolerant),
        tuple(plain),
        _live_since(live) if compacted is not None else None,
        compacted,
        forgotten_sessions(root),
        tuple(descriptors),
        tuple(damaged),
    )


def is_damage(root: Path, error: duckdb.Error) -> bool:
    """Say whether a query failed because of what a sealed file holds, and not of its SQL."""
    return f"{root / SEALED}/" in str(error)


def _is_clean(file: LogFile) -> bool:
    """Say whether a file is as it was sealed, without damage, as far as its time tells."""
    if file.directory != SEALED or not sealed_clean(file.root, file.name):
        return False
    try:
        sealed_at = manifest_path(file.root, file.name).stat().st_mtime_ns
        return file.path.stat().st_mtime_ns <= sealed_at
    except FileNotFoundError:
        return False


def _entries(file: LogFile, descriptor: int) -> Iterator[LogLine]:
    alive = may_be_writing(file)
    required = crc_is_required(descriptor, file)
    for line in split(descriptor):
        yield classify(line, file=file.label, crc_required=required, alive=alive)


def _copy_of_rows(file: LogFile, descriptor: int, spill: Path | None) -> int:
    """Copy the rows of a file into one without a name, and close the first."""
    try:
        if os.fstat(descriptor).st_size <= _MEMORY_BYTES_MAX:
            copy = os.memfd_create(file.name, os.MFD_CLOEXEC)
        else:
            copy, name = tempfile.mkstemp(dir=spill)
            Path(name).unlink()
        with os.fdopen(os.dup(copy), "wb") as out:
            for entry in _entries(file, descriptor):
                if entry.kind == "row":
                    out.write(entry.line.data + b"\n")
        return copy
    finally:
        os.close(descriptor)


def _live_since(files: list[LogFile]) -> str | None:
    """Give a date that no row of these files is older than; None if one may hold any."""
    try:
        dates = [date.fromisoformat(_first_date(file)) for file in files]
    except ValueError:
        return None
    # A row that is written again keeps its time, and may come into a segment of the next day.
    return str(min(dates) - timedelta(days=1)) if dates else None


def _first_date(file: LogFile) -> str:
    manifest = read_manifest(file.root, file.name)
    if manifest is not None:
        return (manifest.first_timestamp or "9999-12-31")[:10]
    descriptor = file.open() if file.writer_id is not None else None
    if descriptor is None:
        return "unknown"
    try:
        header = read_header(descriptor)
    finally:
        os.close(descriptor)
    return header.started_at[:10] if header is not None else "unknown"
