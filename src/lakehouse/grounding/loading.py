"""Reads one whole table in any format (`tabular.formats`).

A file is read into memory once, and digest and content come from the same bytes. It does not
guess: the name determines the kind of file, and the only reader of its rows is the strict one in
`tabular.rows`. All columns of CSV are text unless the configuration sets types; an empty cell is
null, `""` is the empty text.
"""

import hashlib
import time
from collections.abc import Mapping
from functools import partial
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec
import pyarrow as pa

from lakehouse.core.errors import TableUnavailable
from lakehouse.core.installed import extra_hint
from lakehouse.grounding.table_data import ArrowData, ObjectData, TableData
from lakehouse.tabular.formats import FORMATS, CellType, format_of
from lakehouse.tabular.rows import check_distinct, check_regular

_TRIES_MAX: Final = 5  # readings of a file that changes while it is read
_TRY_AGAIN_S: Final = 0.05
# Two changes within one tick of the file system's clock look like one; ticks are up to 10 ms.
_TICK_NS: Final = 20_000_000


class FileStamp(NamedTuple):
    """The result of one `stat`; other content has another stamp, except within one clock tick."""

    inode: int
    mtime_ns: int
    ctime_ns: int
    size: int


stamp_fields: Final = attrgetter("st_ino", "st_mtime_ns", "st_ctime_ns", "st_size")
"""The fields of a `stat` in a stamp, as a plain tuple."""


class LoadedTable(msgspec.Struct, frozen=True):
    """One version of a table. `settled`: a later change will certainly change the stamp.

    `data` is None if the digest is the known one.
    """

    stamp: FileStamp
    settled: bool
    digest: str
    data: TableData | None


def watched_of(path: Path) -> Path:
    """Return the path that changes with a table: the file itself, or the log of a directory."""
    logs = (path / one.log for one in FORMATS if one.log is not None)
    return next((log for log in logs if log.exists()), path)


def stamp_of(path: Path) -> FileStamp | None:
    """Return the stamp of a table's watched path; None if the path does not exist."""
    try:
        return _stamp(path)
    except (OSError, ValueError):
        return None


def _stamp(path: Path) -> FileStamp:
    return FileStamp(*stamp_fields(watched_of(path).stat()))


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
        return _load(path, types, known_digest)
    except ModuleNotFoundError as error:
        found = format_of(path)
        install = extra_hint(str(found.extra))
        cause = f"a {found.name} table needs the extra `{found.extra}`: {install}"
        raise TableUnavailable(name, f"{path}: {cause}", hint=install) from error
    except OSError as error:
        raise TableUnavailable(name, f"{path}: {error.strerror or error}") from error
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise TableUnavailable(name, f"{path}: {error}") from error


def _load(path: Path, types: Mapping[str, CellType], known_digest: str | None) -> LoadedTable:
    found = format_of(path)
    reader = found.load()
    if found.log is None:
        check_regular(path)
        stamp, content = _whole(path)
        of_types = () if found.typed else (types,)
        read = partial(reader.table, content, *of_types)
    else:  # the format itself isolates readers from writers
        stamp = _stamp(path)
        version = reader.newest(path)
        content, read = version.key.encode("utf-8"), partial(reader.read, version)
    settled = is_settled(stamp)
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    data = None if digest == known_digest else _data(read())
    return LoadedTable(stamp, settled, digest, data)


def _whole(path: Path) -> tuple[FileStamp, bytes]:
    for _ in range(_TRIES_MAX):
        stamp = stamp_of(path)
        content = path.read_bytes()
        if stamp is not None and stamp_of(path) == stamp:
            return stamp, content
        time.sleep(_TRY_AGAIN_S)
    raise ValueError("it kept changing while it was read")


def is_settled(stamp: FileStamp) -> bool:
    """Return whether a change after this moment will certainly change the stamp."""
    return not 0 <= time.time_ns() - max(stamp.mtime_ns, stamp.ctime_ns) < _TICK_NS


def _data(found: Any) -> TableData:
    """Wrap a reader's result: cells by column, or a `pyarrow.Table`."""
    if isinstance(found, dict):
        return ObjectData(found)
    check_distinct(found.column_names)
    return ArrowData(found)
