"""Builds the packs of a log: what is missing is made, small packs are merged, old ones removed.

Every step can be repeated, so the next call completes what a crash left. It writes only into the
index's own directory. Nothing waits for it: a reader answers from what there is.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakehouse.files.disk import make_directories, replacing
from lakehouse.files.locks import exclusively
from lakehouse.sessionlog.forgotten import forgotten_sessions
from lakehouse.sessionlog.index.packs import (
    Finished,
    Heads,
    Pack,
    Source,
    covered,
    finish,
    loose_files,
    new_pack_path,
)
from lakehouse.sessionlog.index.records import SCHEMA, LinePlace, records
from lakehouse.sessionlog.layout import ACTIVE, LogFile, log_files
from lakehouse.sessionlog.lines import classify_lines, split_lines
from lakehouse.sessionlog.reading.compacted import open_local_compacted

LOCK: Final = "build.lock"
PACK_ROWS: Final = 100_000
"""A pack is closed when it has so many; one that has half of them is not merged."""
_TRIES_MAX: Final = 4
_SMALL_PACKS_MAX: Final = 6
_GROUP_ROWS: Final = 10_000
_MERGED_ROWS_MAX: Final = 4 * PACK_ROWS
_SEARCHED: Final = "searched"
# Texts are read whole by a search: a quick codec. The rest is read by columns.
_CODECS: Final = {_SEARCHED: "lz4"}
_WORDS: Final = [
    *("source", "daemon", "kind", "kind_digest", "config_digest", "model", "model_alias"),
    *("provider", "verdict", "error_code", "door", "client", "api_key", "offered", "metadata"),
]


class Built(msgspec.Struct, frozen=True):
    """What one call did in its last try: files read, their rows, and packs removed."""

    sources: int
    rows: int
    removed: int


def build(root: Path, place: Path, *, pack_rows: int = PACK_ROWS) -> Built:
    """Make the packs of all finished files that have none, and clear away what is old.

    Packs whose bytes are not what was written are made again.

    Args:
        root: The log directory; only read.
        place: The index's directory; created if it is missing.
        pack_rows: Rows of a pack, about.

    Raises:
        Busy: Another process builds.
        LakehouseError: The compacted table cannot be read.
        OSError: The place cannot be written.

    Cost: 60 µs a row, 300 MB of memory at most; 2 GB/s to look at the packs that are there.
    """
    make_directories(place)
    with exclusively(place / LOCK, wait_s=0):
        for _ in range(_TRIES_MAX - 1):
            # `forget_session` removes what is being written or merged: it may hold the session.
            with contextlib.suppress(FileNotFoundError):
                return _build(root, place, pack_rows=pack_rows)
        return _build(root, place, pack_rows=pack_rows)


def _build(root: Path, place: Path, *, pack_rows: int) -> Built:
    hidden = forgotten_sessions(root)
    heads, finished = Heads(place), Finished(root)
    read = rows = 0
    for pack in heads.packs():
        if not pack.is_sound():
            pack.remove()
    # Asked again after each pack: what was sealed or compacted meanwhile comes next.
    passed: set[str] = set()
    while pending := _pending(root, finished, heads, passed):
        try:
            pack = _write_pack(root, place, pending, hidden, pack_rows=pack_rows)
        except _Changed as changed:
            passed.add(changed.name)
            continue
        read += len(pack.head.sources)
        rows += pack.head.rows
        passed |= {source.name for source in pack.head.sources}
    removed = _tidy(root, place, finished, heads, hidden, pack_rows=pack_rows)
    return Built(read, rows, removed)


def forget_session(place: Path, session_id: str) -> None:
    """Remove the packs that hold a session; the builder makes them again without it.

    Also what a builder is writing, which began before the session was hidden, say.
    """
    heads = Heads(place)
    seen: set[Path] = set()
    # Until there is none that a builder wrote meanwhile.
    while new := [pack for pack in heads.packs() if pack.path not in seen]:
        seen |= {pack.path for pack in new}
        for pack in new:
            try:
                held = _holds(pack, frozenset({session_id}))
            except (OSError, pa.ArrowException):
                held = True  # merged meanwhile, or torn
            if held:
                pack.remove()
        _remove_loose(place, heads)
    _remove_loose(place, heads)


def _pending(root: Path, finished: Finished, heads: Heads, passed: Iterable[str]) -> list[Source]:
    now = finished.sources(log_files(root), open_local_compacted(root))
    done = covered(heads.packs(), now)
    # The newest are asked for most: they come first.
    names = sorted(
        now.keys() - done.keys() - set(passed), key=lambda name: now[name].changed_ns, reverse=True
    )
    return [now[name] for name in names]


class _Changed(Exception):
    """A file went or changed while it was read: its pack is not kept."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _write_pack(
    root: Path, place: Path, pending: list[Source], hidden: frozenset[str], *, pack_rows: int
) -> Pack:
    """Write one pack of the first of these files.

    Raises:
        _Changed: One of them is not what it was; nothing was written.
    """
    path = new_pack_path(place)
    taken: list[Source] = []
    rows = 0
    with replacing(path) as file, _writer(file) as writer:
        for source in pending:
            if rows and rows + source.rows > pack_rows:
                break
            bad: list[int] = []
            read = _table_rows(source) if source.is_of_table else _segment_rows(root, source, bad)
            before = rows
            for batch in records(read, at_once=_GROUP_ROWS):
                writer.write_batch(_without(batch, hidden))
                rows += batch.num_rows
            taken.append(source.read(rows - before, sum(bad)))
            if rows >= pack_rows:
                break
    return finish(path, rows=rows, forgotten=len(hidden), sources=taken)


def _segment_rows(root: Path, source: Source, bad: list[int]) -> Iterator[tuple[LinePlace, bytes]]:
    """Give the rows of a segment; in the end `bad` has the number of its damaged lines."""
    damaged = 0
    file = LogFile(root, ACTIVE, source.name, "", 0)  # or sealed, wherever it is by now
    with file.opened() as opened:
        if opened is None:
            raise _Changed(source.name)
        for entry in classify_lines(file, opened, split_lines(opened), alive=False):
            damaged += entry.kind == "bad"
            if entry.kind == "row":
                yield LinePlace(file.name, entry.line.offset, entry.line.bytes), entry.line.data
        _check(source, os.fstat(opened))
    bad.append(damaged)


def _table_rows(source: Source) -> Iterator[tuple[LinePlace, bytes]]:
    try:
        with pq.ParquetFile(source.name) as file:
            number = 0
            for batch in file.iter_batches(_GROUP_ROWS // 10, columns=["line"]):
                for line in batch.column(0).to_pylist():
                    data = line.encode()
                    yield LinePlace(source.name, number, -len(data)), data
                    number += 1
        _check(source, Path(source.name).stat())
    except FileNotFoundError as error:
        raise _Changed(source.name) from error


def _check(source: Source, status: os.stat_result) -> None:
    """Check that a file is what it was when it was chosen: it is read once more otherwise."""
    if (status.st_size, status.st_mtime_ns) != (source.bytes, source.changed_ns):
        raise _Changed(source.name)


def _tidy(
    root: Path,
    place: Path,
    finished: Finished,
    heads: Heads,
    hidden: frozenset[str],
    *,
    pack_rows: int,
) -> int:
    """Merge small packs, write those without forgotten sessions, remove the old; how many went."""
    now = finished.sources(log_files(root), open_local_compacted(root))
    packs = heads.packs()
    holder = covered(packs, now)
    used: dict[str, list[Source]] = {}
    for name, pack in holder.items():
        used.setdefault(pack.path.name, []).append(
            next(one for one in pack.head.sources if one.name == name)
        )
    kept = [pack for pack in packs if pack.path.name in used]
    gone = [pack for pack in packs if pack.path.name not in used]
    small = [pack for pack in kept if pack.head.rows < pack_rows // 2]
    anew = [pack for pack in kept if pack.head.forgotten < len(hidden) and _holds(pack, hidden)]
    if len(small) > _SMALL_PACKS_MAX:
        anew += [pack for pack in small if pack not in anew]
    while anew:
        group = [anew.pop()]
        while anew and sum(one.head.rows for one in (*group, anew[-1])) <= 4 * pack_rows:
            group.append(anew.pop())
        _merge(place, group, [one for pack in group for one in used[pack.path.name]], hidden)
        gone += group
    for pack in gone:
        pack.remove()
    _remove_loose(place, heads)
    return len(gone)


def _remove_loose(place: Path, heads: Heads) -> None:
    for path in loose_files(place, heads.packs()):
        path.unlink(missing_ok=True)


def _merge(place: Path, packs: list[Pack], sources: list[Source], hidden: frozenset[str]) -> None:
    path = new_pack_path(place)
    names = pa.array([source.name for source in sources])
    rows = 0
    with replacing(path) as file, _writer(file) as writer:
        for pack in packs:
            with pq.ParquetFile(pack.path) as old:
                for batch in old.iter_batches(_GROUP_ROWS):
                    shown = batch.filter(pc.is_in(batch["source"], names))
                    shown = _without(shown.cast(SCHEMA), hidden)
                    writer.write_batch(shown)
                    rows += shown.num_rows
    finish(path, rows=rows, forgotten=len(hidden), sources=sources)


def _without(batch: pa.RecordBatch, hidden: frozenset[str]) -> pa.RecordBatch:
    if not hidden:
        return batch
    return batch.filter(pc.invert(pc.is_in(batch["session_id"], pa.array(sorted(hidden)))))


def _holds(pack: Pack, hidden: frozenset[str]) -> bool:
    found = pq.read_table(pack.path, columns=["session_id"])["session_id"]
    return bool(pc.any(pc.is_in(found, pa.array(sorted(hidden)))).as_py())


def _writer(file: object) -> pq.ParquetWriter:
    codecs = dict.fromkeys(_leaves(), "zstd") | _CODECS
    return pq.ParquetWriter(file, SCHEMA, compression=codecs, use_dictionary=_WORDS)


def _leaves() -> list[str]:
    """Name the columns as Parquet does, those inside lists included."""
    names = []
    for field in SCHEMA:
        kind, name = field.type, field.name
        if pa.types.is_list(kind):
            kind, name = kind.value_type, f"{name}.list.element"
        inner = [f"{name}.{one.name}" for one in kind] if pa.types.is_struct(kind) else [name]
        names += inner
    return names
