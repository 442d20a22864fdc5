"""The rows that no pack holds yet, in memory: of segments that are written, and of small files.

Each file is read from where the last look ended. What would take too long or too much memory is
left out and counted, never waited for.
"""

import os
import time
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from typing import Final

import duckdb
import msgspec
import pyarrow as pa

from lakehouse.core.row_codec import crc_holds
from lakehouse.sessionlog.inbox_copies import last_copy, reached
from lakehouse.sessionlog.index.packs import SMALL_BYTES_MAX, Source
from lakehouse.sessionlog.index.records import SCHEMA, LinePlace, records
from lakehouse.sessionlog.layout import INBOX_WRITER, SEALED, LogFile, segment_name
from lakehouse.sessionlog.lines import classify_lines, may_be_writing, split_lines

LIVE_BYTES_MAX: Final = 256 << 20
"""Of lines whose rows are held; they take about half of it."""
_READ_S_MAX: Final = 0.8  # in one question
_FIRST_READ_S_MAX: Final = 2.0  # in the first
_BATCH_ROWS: Final = 2_000


class _Position(msgspec.Struct):
    """How far a file was read, and from where. `inode` tells one that was put in its place.

    `rows` and `bad` are the lines that were read, but for headers. `cut`: the last one has no
    end, and its writer is gone.
    """

    inode: int
    begin: int
    offset: int
    rows: int = 0
    bad: int = 0
    cut: bool = False


class Missing(msgspec.Struct):
    """What was not read: whole files, or the rest of one. `gone`: files that went meanwhile.

    `unreadable`: the lines of each file that are damage, or gone from it.
    """

    files: int = 0
    bytes: int = 0
    gone: int = 0
    unreadable: dict[str, int] = {}

    def add(self, count: int) -> None:
        """Count one more file of which so many bytes were not read."""
        self.files += 1
        self.bytes += count


class _Bounds:
    """What one question may read: time from its first new line on, and room in memory."""

    def __init__(self, held_bytes: int, seconds: float) -> None:
        self._room = LIVE_BYTES_MAX - held_bytes
        self._seconds = seconds
        self._until: float | None = None

    def take(self, count: int) -> None:
        """Count so many bytes that were read."""
        if self._until is None:
            self._until = time.monotonic() + self._seconds
        self._room -= count

    @property
    def over(self) -> bool:
        """Whether nothing more may be read."""
        return self._until is not None and (self._room <= 0 or time.monotonic() >= self._until)


class LiveRows:
    """The table `live` of a database, kept up with the files of a log."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._positions: dict[str, _Position] = {}
        connection.register("no_rows", SCHEMA.empty_table())
        connection.execute("CREATE TABLE live AS SELECT * FROM no_rows")
        connection.execute("CREATE TABLE packed_keys (row_key BIGINT)")
        connection.unregister("no_rows")

    def reset(self) -> None:
        """Forget all rows and positions."""
        self._positions.clear()
        self._connection.execute("DELETE FROM live")

    def drop(self, names: Collection[str]) -> None:
        """Forget the rows of these files: packs have them."""
        gone = [name for name in names if self._positions.pop(name, None) is not None]
        if gone:
            self._delete("source IN (SELECT unnest(?::VARCHAR[]))", gone)

    def drop_packed(self) -> None:
        """Forget the rows that are in packs by their keys."""
        self._delete("row_key IN (SELECT row_key FROM packed_keys)")

    def hide(self, sessions: Collection[str]) -> None:
        """Forget the rows of these sessions."""
        if sessions:
            self._delete("session_id IN (SELECT unnest(?::VARCHAR[]))", sorted(sessions))

    def read(
        self, files: list[LogFile], finished: Mapping[str, Source], hidden: frozenset[str]
    ) -> Missing:
        """Read what came into these files since the last look; what was left out.

        Of the `finished`, large ones wait for their packs, unless they were begun before.
        """
        missing = Missing()
        gone = self._positions.keys() - {file.name for file in files}
        self.drop(gone)
        held = sum(one.offset - one.begin for one in self._positions.values())
        bounds = _Bounds(held, _READ_S_MAX if self._positions else _FIRST_READ_S_MAX)
        files = sorted(files, key=lambda one: one.directory == SEALED)
        try:
            rows = self._all_rows(files, bounds, finished, missing)
            for batch in records(rows, at_once=_BATCH_ROWS):
                self._insert(batch)
        except BaseException:
            self.reset()  # positions are ahead of the rows that are in the table
            raise
        self.hide(hidden)
        return missing

    def _insert(self, batch: pa.RecordBatch) -> None:
        self._connection.register("incoming", batch)
        self._connection.execute(
            "INSERT INTO live SELECT DISTINCT ON (row_id) * FROM incoming "
            "ANTI JOIN live USING (row_id) "
            "ANTI JOIN packed_keys ON incoming.row_key = packed_keys.row_key"
        )
        self._connection.unregister("incoming")

    def _all_rows(
        self,
        files: Iterable[LogFile],
        bounds: _Bounds,
        finished: Mapping[str, Source],
        missing: Missing,
    ) -> Iterator[tuple[LinePlace, bytes]]:
        """Give the new rows of all files, one after another: a batch is of many small ones."""
        for file in files:
            with file.opened() as descriptor:
                if descriptor is None:
                    missing.gone += 1
                    missing.add(0)
                    continue
                if left := (yield from self._read(file, descriptor, bounds, finished)):
                    missing.add(left)
                if lines := self._unreadable(file, None if left else finished.get(file.name)):
                    missing.unreadable[file.name] = lines

    def _unreadable(self, file: LogFile, whole: Source | None) -> int:
        """Count the lines of a file that are no rows; of one read whole, against its manifest."""
        position = self._positions.get(file.name)
        if position is None:
            return 0
        bad = position.bad + position.cut
        return whole.read(position.rows, bad).unreadable if whole else bad

    def _read(
        self, file: LogFile, descriptor: int, bounds: _Bounds, finished: Mapping[str, Source]
    ) -> Generator[tuple[LinePlace, bytes], None, int]:
        """Read on in one file; how many bytes are left."""
        status = os.fstat(descriptor)
        position = self._positions.get(file.name)
        waits = position is None and file.name in finished
        if waits and status.st_size > SMALL_BYTES_MAX:
            return status.st_size
        if position is not None and (
            position.inode != status.st_ino
            or position.offset > status.st_size
            or _is_counted_twice(file, descriptor, position, finished)
        ):
            self.drop([file.name])  # somebody cut or replaced it: the inbox, say
            position = None
        if position is None:
            begin = _copied(file, descriptor, finished) if file.writer_id is None else 0
            position = self._positions[file.name] = _Position(status.st_ino, begin, begin)
        if position.offset < status.st_size and not bounds.over:
            yield from self._rows(file, descriptor, position, bounds)
        if position.offset >= status.st_size or self._is_tail(position, descriptor):
            return 0
        return status.st_size - position.offset

    def _rows(
        self, file: LogFile, descriptor: int, position: _Position, bounds: _Bounds
    ) -> Iterator[tuple[LinePlace, bytes]]:
        lines = split_lines(descriptor, position.offset)
        alive = may_be_writing(file)
        for entry in classify_lines(file, descriptor, lines, alive=alive):
            line = entry.line
            position.cut = not line.ended and entry.kind == "bad"
            taken = line.ended or crc_holds(line.data) or (entry.kind == "row" and not alive)
            if not taken:
                return  # not whole yet: looked at again next time
            before, position.offset = position.offset, line.offset + line.bytes + line.ended
            bounds.take(position.offset - before)
            position.bad += entry.kind == "bad"
            position.rows += entry.kind == "row"
            if entry.kind == "row":
                yield LinePlace(file.name, line.offset, line.bytes), line.data
            if bounds.over:
                return

    def _is_tail(self, position: _Position, descriptor: int) -> bool:
        """Return whether only a line without its end is left."""
        line = next(split_lines(descriptor, position.offset), None)
        return line is None or not line.ended

    def _delete(self, condition: str, *values: object) -> None:
        self._connection.execute(f"DELETE FROM live WHERE {condition}", list(values))  # noqa: S608 - constants of ours; values are bound


def _is_counted_twice(
    file: LogFile, descriptor: int, position: _Position, finished: Collection[str]
) -> bool:
    """Return whether damaged lines of the inbox may be in a sealed copy by now."""
    if file.writer_id is not None or not position.bad:
        return False
    return _copied(file, descriptor, finished) > position.begin


def _copied(inbox: LogFile, descriptor: int, finished: Collection[str]) -> int:
    """Return the end of what of the inbox is in sealed copies: it is read from those."""
    number, part = last_copy(inbox.root)
    # One that was sealed since the files were listed is not among them yet.
    return reached(descriptor, part) if segment_name(INBOX_WRITER, number) in finished else 0
