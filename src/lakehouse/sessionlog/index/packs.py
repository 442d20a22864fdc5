"""Packs: Parquet files with the columns of finished files of the log, and what each pack holds.

A pack is derived. Its head names the files that it was made of, as they were; a file that is not
the same any more is read from the log itself. A head is written after its pack, so that what a
crash left has none. Only the builder and `forget_session` remove packs.
"""

import os
import time
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from lakehouse.core.ids import new_id
from lakehouse.files.disk import write_durably
from lakehouse.files.regular import read_regular
from lakehouse.sessionlog.layout import SEALED, LogFile, manifest_path
from lakehouse.sessionlog.lines import may_be_writing
from lakehouse.sessionlog.manifest import Manifest, read_manifest
from lakehouse.sessionlog.reading.compacted import Compacted

INDEX_VERSION: Final = 3
"""Grows with every change of what the columns hold; packs of another version are built again."""

INDEX: Final = "index"  # the default place, in the log directory
_HEAD: Final = f".v{INDEX_VERSION}.head.json"
_PACK: Final = f".v{INDEX_VERSION}.parquet"
_OTHERS_AGE_S: Final = 7 * 24 * 3_600.0  # programs of two versions may read one log
_BLOCK_BYTES: Final = 1 << 20


UNSEALED: Final = "unsealed"
"""Instead of a digest: a segment whose writer is gone, not sealed yet."""

SMALL_BYTES_MAX: Final = 1 << 20
"""Of a segment that is read as it is, and needs no pack at once."""


class Source(msgspec.Struct, frozen=True):
    """A finished file of the log, as it was when it was read.

    `name` is a segment's, or the path of a file of the compacted table. `manifest` is the
    digest in the segment's manifest, or `UNSEALED`; empty for the table, whose files are never
    changed. `rows` are the rows taken from it, `unreadable` the lines that are none and should be.
    """

    name: str
    manifest: str
    bytes: int
    changed_ns: int
    rows: int = 0
    unreadable: int = 0

    @property
    def is_of_table(self) -> bool:
        return not self.manifest

    def read(self, rows: int, bad: int) -> "Source":
        """Return it as it was read: lines that its manifest counted and that are gone count too."""
        gone = max(0, self.rows + self.unreadable - rows - bad)
        return msgspec.structs.replace(self, rows=rows, unreadable=bad + gone)

    def is_same(self, now: "Source | None") -> bool:
        """Return whether a file is as it was. Sealing does not change it."""
        return (
            now is not None
            and (self.name, self.bytes, self.changed_ns) == (now.name, now.bytes, now.changed_ns)
            and self.manifest in {now.manifest, UNSEALED}
        )


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """`session_log.index.v1`: what a pack holds.

    `bytes` and `crc32` are the Parquet file's; `forgotten`: how many sessions were by then.
    """

    schema: Literal["session_log.index.v1"] = "session_log.index.v1"
    version: int = INDEX_VERSION
    bytes: int
    crc32: int
    rows: int
    forgotten: int
    sources: tuple[Source, ...]


class Pack(msgspec.Struct, frozen=True):
    """A whole pack. `path` is its Parquet file."""

    path: Path
    head: Head

    @property
    def head_path(self) -> Path:
        return self.path.with_name(self.path.name.removesuffix(_PACK) + _HEAD)

    def is_sound(self) -> bool:
        """Return whether its bytes are those that were written. Cost: 2 GB/s."""
        try:
            return _crc32(self.path) == self.head.crc32
        except OSError:
            return False

    def remove(self) -> None:
        """Remove it, the head first; what a crash leaves is no pack."""
        self.head_path.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


class Finished:
    """The finished files of a log, looked at again and again: manifests are read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._manifests: dict[str, tuple[tuple[int, int], Manifest | None]] = {}

    def sources(self, files: Iterable[LogFile], compacted: Compacted | None) -> dict[str, Source]:
        """Return the segments that nobody writes any more, and the files of a local table.

        Without the segments that the table holds. `rows` and `unreadable` are what a manifest
        counted; 0 without one. Cost: two calls of the system a file.
        """
        held = compacted.held if compacted is not None else frozenset()
        found = {}
        for file in files:
            if file.name in held or file.writer_id is None:
                continue
            sealed = file.directory == SEALED
            found[file.name] = self._sealed(file) if sealed else _left(file)
        for name in compacted.files if compacted is not None and compacted.is_local else ():
            found[name] = _table_file(name)
        return {name: source for name, source in found.items() if source is not None}

    def _sealed(self, file: LogFile) -> Source | None:
        try:
            beside = manifest_path(self._root, file.name).stat()
            status = file.path.lstat()
        except OSError:
            return None
        mark = (beside.st_mtime_ns, beside.st_size)
        known = self._manifests.get(file.name)
        if known is None or known[0] != mark:
            known = (mark, read_manifest(self._root, file.name))
            self._manifests[file.name] = known
        manifest = known[1]
        if manifest is None:
            return None
        return Source(
            file.name,
            manifest.sha256,
            status.st_size,
            status.st_mtime_ns,
            manifest.rows,
            len(manifest.bad_lines),
        )


class Heads:
    """The packs of one place, looked at again and again: heads are read once."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._known: dict[str, Pack] = {}

    def packs(self) -> list[Pack]:
        """List the whole packs of this version, by name."""
        names = sorted(_names(self._place, _HEAD))
        self._known = {
            name: pack
            for name in names
            if (pack := self._known.get(name) or _read(self._place, name)) is not None
        }
        return list(self._known.values())


def new_pack_path(place: Path) -> Path:
    """Return the path of a pack to be written."""
    return place / f"{new_id()}{_PACK}"


def finish(path: Path, *, rows: int, forgotten: int, sources: Iterable[Source]) -> Pack:
    """Write the head of a pack whose file is durable: from now on it is one."""
    head = Head(
        bytes=path.stat().st_size,
        crc32=_crc32(path),
        rows=rows,
        forgotten=forgotten,
        sources=tuple(sources),
    )
    pack = Pack(path, head)
    write_durably(pack.head_path, msgspec.json.encode(head) + b"\n")
    return pack


def loose_files(place: Path, packs: Iterable[Pack]) -> list[Path]:
    """List what lies there and is no part of a pack: left by a crash, or by an older version.

    Packs of another version are spared for a week: a program of that version may use them.
    """
    kept = {path.name for pack in packs for path in (pack.path, pack.head_path)}
    endings = (_HEAD, _PACK, f"{_HEAD}.tmp", f"{_PACK}.tmp")
    ours = {name for ending in endings for name in _names(place, ending)}
    others = {*_names(place, ".head.json"), *_names(place, ".parquet"), *_names(place, ".tmp")}
    old = time.time() - _OTHERS_AGE_S
    aged = {name for name in others - ours if (place / name).stat().st_mtime < old}
    return [place / name for name in sorted((ours - kept) | aged)]


def covered(packs: Iterable[Pack], now: Mapping[str, Source]) -> dict[str, Pack]:
    """Return which of these files a pack holds as they are now, and the pack.

    If several hold one, the last is taken.
    """
    return {
        source.name: pack
        for pack in packs
        for source in pack.head.sources
        if source.is_same(now.get(source.name))
    }


def _crc32(path: Path) -> int:
    found = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            found = zlib.crc32(block, found)
    return found


def _left(file: LogFile) -> Source | None:
    """Return an active segment whose writer is gone, as `seal` sees it, unless it is small."""
    try:
        status = file.path.lstat()
    except OSError:
        return None
    if status.st_size <= SMALL_BYTES_MAX or may_be_writing(file):
        return None
    return Source(file.name, UNSEALED, status.st_size, status.st_mtime_ns)


def _table_file(name: str) -> Source | None:
    try:
        status = os.stat(name)  # noqa: PTH116 - a name as the table gives it
    except OSError:
        return None
    return Source(name, "", status.st_size, status.st_mtime_ns)


def _read(place: Path, name: str) -> Pack | None:
    path = place / (name.removesuffix(_HEAD) + _PACK)
    try:
        head = msgspec.json.decode(read_regular(place / name), type=Head)
        size = path.stat().st_size
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if head.version != INDEX_VERSION or head.bytes != size:
        return None
    return Pack(path, head)


def _names(place: Path, ending: str) -> list[str]:
    try:
        return [name for name in os.listdir(place) if name.endswith(ending)]  # noqa: PTH208 - names only
    except OSError:  # not there, or nothing that can be read: the log is read without it
        return []
