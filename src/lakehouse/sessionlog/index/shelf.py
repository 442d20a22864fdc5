"""All rows of a log as one view, `rows`: packs, and the rows in memory that no pack holds yet.

Each row once, without those of forgotten sessions. Beside it `labels`, the newest feedback of each
row; `place` orders them. `refresh` looks at the log again; between two calls nothing changes.
"""

import os
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
import pyarrow as pa

from lakehouse.files.regular import open_regular
from lakehouse.sessionlog.forgotten import forgotten_sessions
from lakehouse.sessionlog.index.live import LiveRows, Missing
from lakehouse.sessionlog.index.packs import Finished, Heads, Pack, Source, covered
from lakehouse.sessionlog.index.records import SCHEMA, START_CHARS
from lakehouse.sessionlog.layout import FEEDBACK, LogFile, check_parts, log_files
from lakehouse.sessionlog.reading.compacted import Compacted, open_local_compacted
from lakehouse.sessionlog.reading.plain_lines import classify_plain
from lakehouse.sql.quoting import quoted_name, quoted_texts

_LOOKS_MAX: Final = 4
_COLUMNS: Final = ", ".join(map(quoted_name, SCHEMA.names))

_TEXT: Final = pa.string()
_LABELS: Final = pa.schema(
    [
        *((name, _TEXT) for name in ("row_id", "label", "comment", "author", "given")),
        ("place", pa.int64()),
    ]
)


class _Label(msgspec.Struct):
    row_id: str
    label: str
    timestamp: str
    comment: str | None = None
    author: str | None = None


class _Part(msgspec.Struct, frozen=True):
    """One pack and the sources that are not read from it."""

    pack: Pack
    without: tuple[str, ...]


class Shelf:
    """The views of one log over a database of this process."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, root: Path, place: Path) -> None:
        self.missing = Missing()
        self.unreadable: dict[str, int] = {}
        self.files: dict[str, LogFile] = {}
        self._connection = connection
        self._root = root
        self._finished = Finished(root)
        self._heads = Heads(place)
        self._live = LiveRows(connection)
        self._parts: tuple[_Part, ...] | None = None
        self._used: frozenset[tuple[str, str]] = frozenset()
        self._packed_unreadable: dict[str, int] = {}
        self._forgotten: frozenset[str] = frozenset()
        self._feedback: tuple[int, ...] | None = None
        self._distrusted: set[Path] = set()
        self._needle: str | None = None  # what `hits` holds of the packs
        connection.execute(
            "CREATE TABLE labels (row_id VARCHAR, label VARCHAR, comment VARCHAR, author VARCHAR, "
            "given VARCHAR, place BIGINT)"
        )
        connection.execute("CREATE TABLE hits (row_key BIGINT, live BOOLEAN)")
        connection.execute('CREATE TABLE hidden (source VARCHAR, "offset" BIGINT)')

    @property
    def distrusts(self) -> bool:
        """Whether there are packs that could not be read."""
        return bool(self._distrusted)

    def distrust(self) -> bool:
        """Read no more of the packs that are not what was written; whether there are any."""
        trusted = (pack for pack in self._heads.packs() if pack.path not in self._distrusted)
        found = {pack.path for pack in trusted if not pack.is_sound()}
        self._distrusted |= found
        return bool(found)

    def refresh(self) -> None:
        """Look at the log again; once more while files go meanwhile, into the table say.

        Raises:
            LakehouseError: A directory of segments, the compacted table or the list of forgotten
                sessions cannot be read.

        Cost: a few calls of the system a file, 25 µs for each row that is new, 0.1 s for a million
        rows when a pack came or went.
        """
        for _ in range(_LOOKS_MAX):
            self._look()
            if not self.missing.gone:
                return

    def _look(self) -> None:
        # The files before the table: what is compacted between is seen twice, and shown once.
        check_parts(self._root)
        files = log_files(self._root)
        compacted = open_local_compacted(self._root)
        self.files = {file.name: file for file in files}
        now = self._finished.sources(files, compacted)
        forgotten = forgotten_sessions(self._root)
        parts, done = self._choose(now, compacted)
        if parts != self._parts or forgotten != self._forgotten:
            self._take(parts, done, forgotten)
        self._read_live(files, now, compacted)
        self._read_labels()

    def search(self, needle: str) -> None:
        """Put the keys of the rows that hold a text into the table `hits`.

        Those of the packs are kept until the next text, so that further pages cost nothing.
        Cost: 1.5 GB/s of text for each core.
        """
        execute = self._connection.execute
        execute("DELETE FROM hits" if needle != self._needle else "DELETE FROM hits WHERE live")
        found = "INSERT INTO hits SELECT row_key, ? FROM {} WHERE contains(searched, ?)"
        if needle != self._needle:
            self._needle = None  # until it is done
            execute(found.format("packed"), [False, needle])
            self._needle = needle
        execute(found.format("live"), [True, needle])

    def _choose(
        self, now: dict[str, Source], compacted: Compacted | None
    ) -> tuple[tuple[_Part, ...], frozenset[tuple[str, str]]]:
        """Choose the packs to read, and from each the sources that it holds as they are now."""
        packs = [pack for pack in self._heads.packs() if pack.path not in self._distrusted]
        holder = covered(packs, now)
        if compacted is not None and not all(name in holder for name in compacted.files):
            # Some of its rows are in no pack yet, but in those of the files that they came from.
            for pack in packs:
                for source in pack.head.sources:
                    if source.name not in now:
                        holder.setdefault(source.name, pack)
        parts = []
        used = set()
        for pack in packs:
            names = [one.name for one in pack.head.sources]
            taken = {name for name in names if holder.get(name) is pack}
            used |= {(one.name, one.manifest) for one in pack.head.sources if one.name in taken}
            if taken:
                parts.append(_Part(pack, tuple(name for name in names if name not in taken)))
        return tuple(parts), frozenset(used)

    def _take(
        self,
        parts: tuple[_Part, ...],
        used: frozenset[tuple[str, str]],
        forgotten: frozenset[str],
    ) -> None:
        self._parts = self._needle = None  # until all is done: an error must not leave half of it
        execute = self._connection.execute
        execute("DROP VIEW IF EXISTS rows")
        execute(f"CREATE OR REPLACE VIEW packed AS {_select(parts)}")
        execute("DELETE FROM packed_keys")
        execute("INSERT INTO packed_keys SELECT row_key FROM packed")
        execute("DELETE FROM hidden")
        twice = execute(
            "SELECT row_key FROM packed_keys GROUP BY row_key HAVING count(*) > 1"
        ).fetchall()
        if twice:
            execute(
                'INSERT INTO hidden SELECT source, "offset" FROM (SELECT source, "offset", '
                'row_number() OVER (PARTITION BY row_id ORDER BY length, source, "offset") AS turn '
                "FROM packed WHERE row_key IN (SELECT unnest(?::BIGINT[]))) WHERE turn > 1",
                [[key for (key,) in twice]],
            )
        if forgotten:
            execute(
                'INSERT INTO hidden SELECT source, "offset" FROM packed '
                "WHERE session_id IN (SELECT unnest(?::VARCHAR[]))",
                [sorted(forgotten)],
            )
        (hidden,) = execute("SELECT count(*) FROM hidden").fetchone() or (0,)
        shown = ' ANTI JOIN hidden USING (source, "offset")' if hidden else ""
        execute(
            f"CREATE VIEW rows AS SELECT {_COLUMNS} FROM packed{shown} "  # noqa: S608 - names of ours
            f"UNION ALL SELECT {_COLUMNS} FROM live"
        )
        if self._used - used:
            # Rows of live files may have been left out because they were in a pack that went.
            self._live.reset()
        self._live.drop({name for name, _ in used})
        self._live.drop_packed()
        self._live.hide(forgotten)
        self._parts, self._used, self._forgotten = parts, used, forgotten
        self._packed_unreadable = {
            source.name: source.unreadable
            for part in parts
            for source in part.pack.head.sources
            if source.unreadable and source.name in self.files and source.name not in part.without
        }

    def _read_live(
        self, files: list[LogFile], now: dict[str, Source], compacted: Compacted | None
    ) -> None:
        done = {name for name, _ in self._used}
        table = compacted.files if compacted is not None else ()
        unread = [name for name in table if name not in done]
        # As long as a part of the table is in no pack, the segments that it holds stand for it.
        held = compacted.held if compacted is not None and not unread else frozenset()
        wanted = [file for file in files if file.name not in done and file.name not in held]
        self.missing = self._live.read(wanted, now, self._forgotten)
        for name in unread:
            self.missing.add(now[name].bytes if name in now else 0)
        self.unreadable = self._packed_unreadable | self.missing.unreadable

    def _read_labels(self) -> None:
        try:
            descriptor = open_regular(self._root / FEEDBACK)
        except OSError:
            descriptor = None  # not there, or no file: `odd_entries` tells
        try:
            status = os.fstat(descriptor) if descriptor is not None else None
            mark = (status.st_ino, status.st_size, status.st_mtime_ns) if status else ()
            if mark == self._feedback:
                return
            latest: dict[str, dict[str, Any]] = {}
            for entry in classify_plain(descriptor, FEEDBACK) if descriptor is not None else ():
                if entry.kind == "row":
                    label = msgspec.json.decode(entry.line.data, type=_Label)
                    latest[label.row_id] = {
                        "row_id": label.row_id,
                        "label": label.label,
                        "comment": label.comment and label.comment[:START_CHARS],
                        "author": label.author and label.author[:START_CHARS],
                        "given": label.timestamp,
                        "place": entry.line.offset,
                    }
            self._connection.execute("DELETE FROM labels")
            table = pa.Table.from_pylist([*latest.values()], _LABELS)
            self._connection.register("given_labels", table)
            self._connection.execute("INSERT INTO labels FROM given_labels")
            self._connection.unregister("given_labels")
            self._feedback = mark
        finally:
            if descriptor is not None:
                os.close(descriptor)


def _select(parts: tuple[_Part, ...]) -> str:
    whole = [str(part.pack.path) for part in parts if not part.without]
    selects = [f"SELECT {_COLUMNS} FROM read_parquet([{quoted_texts(whole)}])"] if whole else []  # noqa: S608 - quoted
    selects += [
        f"SELECT {_COLUMNS} FROM read_parquet({quoted_texts([str(part.pack.path)])}) "  # noqa: S608 - quoted
        f"WHERE source NOT IN ({quoted_texts(part.without)})"
        for part in parts
        if part.without
    ]
    return " UNION ALL ".join(selects) or f"SELECT {_COLUMNS} FROM live WHERE false"  # noqa: S608 - names of ours
