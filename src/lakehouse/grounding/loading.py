"""Reading one table file whole: Parquet, CSV, JSON lines, or a Delta directory.

A file is read into memory once, and digest and content come from the same bytes. It refuses to
guess: the kind of file is told by its name, and its rows are read by the one strict reader there
is (`tabular.rows`). All columns of CSV are text unless the configuration gives them types; an
empty cell is null, `""` is the empty text.
"""

import hashlib
import io
import time
from collections.abc import Callable, Mapping
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pa_parquet

from lakehouse.core.errors import TableUnavailable
from lakehouse.core.json_text import JsonValue
from lakehouse.grounding.table_data import ArrowData, ObjectData, TableData
from lakehouse.tabular import delta
from lakehouse.tabular.csv_table import CellType, read_csv
from lakehouse.tabular.json_rows import json_rows
from lakehouse.tabular.rows import BadRow, FileFault, check_regular

_TRIES_MAX: Final = 5  # readings of a file that changes while it is read
_TRY_AGAIN_S: Final = 0.05
# Two changes within one tick of the file system's clock look like one; ticks are up to 10 ms.
_TICK_NS: Final = 20_000_000


class FileStamp(NamedTuple):
    """What one `stat` says of a file; another content has another stamp, ticks of time aside."""

    inode: int
    mtime_ns: int
    ctime_ns: int
    size: int


stamp_fields: Final = attrgetter("st_ino", "st_mtime_ns", "st_ctime_ns", "st_size")
"""What a stamp holds of a `stat`, as a plain tuple."""


class LoadedTable(msgspec.Struct, frozen=True):
    """One version of a table. `settled`: a later change is sure to change the stamp too.

    `data` is None where the digest is the one already known.
    """

    stamp: FileStamp
    settled: bool
    digest: str
    data: TableData | None


def watched_of(path: Path) -> Path:
    """Name what changes with a table: the file itself, or a Delta table's log."""
    return path / "_delta_log" if path.is_dir() else path


def stamp_of(path: Path) -> FileStamp | None:
    """Take the stamp of what is watched of a table; None if there is none."""
    try:
        return FileStamp(*stamp_fields(watched_of(path).stat()))
    except (OSError, ValueError):
        return None


def load(
    name: str,
    path: Path,
    types: Mapping[str, CellType] = MappingProxyType({}),
    *,
    known_digest: str | None = None,
) -> LoadedTable:
    """Read a table; blocks. A file that changes meanwhile is read again, a few times.

    `types` are those of a CSV file's columns; see `TableSettings`.

    Raises:
        TableUnavailable: Missing, unreadable, broken, or it kept changing.
    """
    try:
        if path.is_dir():
            return _load_directory(path, known_digest)
        return _load_file(path, types, known_digest)
    except ModuleNotFoundError as error:
        cause = "a Delta table needs the extra `delta`: pip install 'lakehouse-stack[delta]'"
        hint = "Install the extra: pip install 'lakehouse-stack[delta]'."
        raise TableUnavailable(name, f"{path}: {cause}", hint=hint) from error
    except OSError as error:
        raise TableUnavailable(name, f"{path}: {error.strerror or error}") from error
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise TableUnavailable(name, f"{path}: {error}") from error


def _load_file(path: Path, types: Mapping[str, CellType], known_digest: str | None) -> LoadedTable:
    read = _reader(path, types)
    check_regular(path)
    stamp, content = _whole(path)
    settled = is_settled(stamp)
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    if digest == known_digest:
        return LoadedTable(stamp, settled, digest, None)
    return LoadedTable(stamp, settled, digest, read(content))


def _whole(path: Path) -> tuple[FileStamp, bytes]:
    for _ in range(_TRIES_MAX):
        stamp = stamp_of(path)
        content = path.read_bytes()
        if stamp is not None and stamp_of(path) == stamp:
            return stamp, content
        time.sleep(_TRY_AGAIN_S)
    raise ValueError("it kept changing while it was read")


def is_settled(stamp: FileStamp) -> bool:
    """Say whether a change after this moment is sure to change the stamp."""
    return not 0 <= time.time_ns() - max(stamp.mtime_ns, stamp.ctime_ns) < _TICK_NS


def _load_directory(path: Path, known_digest: str | None) -> LoadedTable:
    """Read a Delta table at its newest version; the format itself keeps readers whole."""
    stamp = stamp_of(path)
    if stamp is None:
        raise ValueError("the directory is not a Delta table: it has no _delta_log")
    version = delta.newest(path)
    digest = "sha256:" + hashlib.sha256(version.key.encode("utf-8")).hexdigest()
    settled = is_settled(stamp)
    if digest == known_digest:
        return LoadedTable(stamp, settled, digest, None)
    return LoadedTable(stamp, settled, digest, _arrow_data(delta.read(version)))


def _reader(path: Path, types: Mapping[str, CellType]) -> Callable[[bytes], TableData]:
    readers: dict[str, Callable[[bytes], TableData]] = {
        ".parquet": _read_parquet,
        ".pq": _read_parquet,
        ".csv": lambda content: ArrowData(read_csv(content, types)),
        ".jsonl": _read_json_lines,
        ".ndjson": _read_json_lines,
    }
    try:
        return readers[path.suffix.lower()]
    except KeyError:
        endings = ", ".join(readers)
        raise ValueError(f"its name must end in one of {endings}, or it is a Delta table") from None


def _read_parquet(content: bytes) -> TableData:
    return _arrow_data(pa_parquet.ParquetFile(pa.BufferReader(content)).read())


def _read_json_lines(content: bytes) -> TableData:
    columns: dict[str, list[JsonValue]] = {}
    count = 0
    for row in json_rows(io.BytesIO(content)):
        if isinstance(row, BadRow):
            raise FileFault(row.told)
        for name, cell in row.members.items():
            cells = columns.setdefault(name, [])
            cells.extend([None] * (count - len(cells)))
            cells.append(cell)
        count += 1
    for cells in columns.values():
        cells.extend([None] * (count - len(cells)))
    return ObjectData(columns)


def _arrow_data(table: Any) -> TableData:
    names = table.column_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"it has more than one column {twice[0]!r}")
    return ArrowData(table)
