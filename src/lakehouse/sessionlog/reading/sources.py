"""The files that SQL reads: those without damage, and cleaned copies of the others.

DuckDB checks no crc and takes whatever parses. So each file is looked through by the rule that
every reader has (`lines.py`), and one that holds a line of damage is read as a copy without it.
Sealed segments were looked through when they were sealed. It does not trust one that changed since.
"""

import os
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import duckdb
import msgspec

from lakehouse.core.limits import ROW_BYTES_MAX
from lakehouse.files.regular import open_regular
from lakehouse.sessionlog.forgotten import forgotten_sessions
from lakehouse.sessionlog.layout import (
    FEEDBACK,
    REPLAY_RUNS,
    SEALED,
    LogFile,
    log_files,
    manifest_path,
)
from lakehouse.sessionlog.lines import (
    LogLine,
    classify_lines,
    may_be_writing,
    read_header,
    split_lines,
)
from lakehouse.sessionlog.manifest import read_manifest
from lakehouse.sessionlog.reading.compacted import Compacted, open_compacted
from lakehouse.sessionlog.reading.held_files import HeldFiles
from lakehouse.sessionlog.reading.plain_lines import classify_plain

# DuckDB takes 3 ms for each file, however small: of more sealed ones, the small are read as one.
_STRICT_MAX: Final = 500
_SMALL_BYTES_MAX: Final = 1 << 20


class Sources(msgspec.Struct, frozen=True):
    """The files that hold a log at one moment, and the table beside them.

    `strict` holds sealed segments without damage; in `tolerant`, a living writer's last line may
    not be finished. `plain` are the replays and feedback by what they are called. `live_since` is
    the UTC date that the rows of both are no older than, None if that is unknown. All but the
    sealed ones are `held`. `damaged` files hold lines that were left out and that no manifest
    lists.
    """

    strict: tuple[str, ...]
    tolerant: tuple[str, ...]
    plain: tuple[tuple[str, str], ...]
    live_since: str | None
    compacted: Compacted | None
    forgotten: frozenset[str]
    held: HeldFiles
    damaged: tuple[str, ...] = ()

    def close(self) -> None:
        """Let go of the active segments and the copies; once."""
        self.held.close()

    @property
    def paths(self) -> list[str]:
        """All that a query may touch."""
        local = self.compacted is not None and self.compacted.is_local
        table = self.compacted.files if self.compacted is not None and local else ()
        return [*self.strict, *self.held.names, *table]


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
    done = compacted.held if compacted is not None else frozenset()
    files = [file for file in files if file.name not in done]
    strict: list[str] = []
    damaged: list[str] = []
    held = HeldFiles(spill)
    try:
        for file in files:
            clean_bytes = _clean_bytes(file) if trusting else None
            small = clean_bytes is not None and clean_bytes <= _SMALL_BYTES_MAX
            many = len(strict) >= _STRICT_MAX
            if clean_bytes is not None and not (small and many):
                strict.append(str(file.path))
            elif not _take(file, held, alone=clean_bytes is None) and _is_news(file):
                damaged.append(file.label)
        tolerant = tuple(held.names)
        plain = tuple(_take_plain(root, held))
        return Sources(
            tuple(strict),
            tolerant,
            plain,
            _live_since(files) if compacted is not None else None,
            compacted,
            forgotten_sessions(root),
            held,
            tuple(damaged),
        )
    except BaseException:
        held.close()
        raise


def is_damage(root: Path, error: duckdb.Error) -> bool:
    """Return whether a query failed because of a sealed file's content, not its SQL."""
    return f"{root / SEALED}/" in str(error)


def _clean_bytes(file: LogFile) -> int | None:
    """Return the size of a file that was sealed without damage and is unchanged by its time."""
    if file.directory != SEALED or not _sealed_clean(file):
        return None
    try:
        sealed_at = manifest_path(file.root, file.name).stat().st_mtime_ns
        descriptor = open_regular(file.path)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        return status.st_size if status.st_mtime_ns <= sealed_at else None
    finally:
        os.close(descriptor)


def _sealed_clean(file: LogFile) -> bool:
    manifest = read_manifest(file.root, file.name)
    return manifest is not None and not manifest.bad_lines


def _is_news(file: LogFile) -> bool:
    """Return whether a file has damage that no manifest lists."""
    return file.directory != SEALED or _sealed_clean(file)


def _take(file: LogFile, held: HeldFiles, *, alone: bool) -> bool:
    """Hold a file, or a copy of its rows; say whether it is without damage. One that is gone is."""
    descriptor = file.open()
    if descriptor is None:
        return True
    keep = False
    try:
        sound = fits = True
        for entry in _entries(file, descriptor):
            sound = sound and entry.kind != "bad"
            # An unfinished line is no damage, and may be too long for DuckDB already.
            fits = fits and entry.line.bytes <= ROW_BYTES_MAX
        alone = alone and held.has_room
        keep = sound and fits and alone
        if not keep:
            rows = (one.line.data for one in _entries(file, descriptor) if one.kind == "row")
            if alone:
                held.copy(rows, os.fstat(descriptor).st_size)
            else:
                held.copy_together(rows)
        return sound
    finally:
        if keep:
            held.keep(descriptor, file.path)
        else:
            os.close(descriptor)


def _take_plain(root: Path, held: HeldFiles) -> Iterator[tuple[str, str]]:
    """Hold the replays and feedback: file by file, what it is called and DuckDB's name for it."""
    for name in (REPLAY_RUNS, FEEDBACK):
        try:
            descriptor = open_regular(root / name)
        except OSError:
            continue  # not there, or no file: `odd_entries` tells
        if all(entry.kind == "row" for entry in classify_plain(descriptor, name)):
            yield name, held.keep(descriptor, root / name)
            continue
        try:
            entries = classify_plain(descriptor, name)
            rows = (entry.line.data for entry in entries if entry.kind == "row")
            yield name, held.copy(rows, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)


def _entries(file: LogFile, descriptor: int) -> Iterator[LogLine]:
    return classify_lines(file, descriptor, split_lines(descriptor), alive=may_be_writing(file))


def _live_since(files: list[LogFile]) -> str | None:
    """Return a date that no row of these files is older than; None if unknown."""
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
    if file.writer_id is None:
        return "unknown"
    with file.opened() as descriptor:
        header = read_header(descriptor) if descriptor is not None else None
    return header.started_at[:10] if header is not None else "unknown"
