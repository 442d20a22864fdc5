"""Reads the log: every line accounted for, rows by id, rows as they arrive.

No database is needed, unless segments were compacted into a table. It does not hold the log in
memory, map files (a file cut by somebody else would kill the process), or show a row whose
crc does not hold.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.core.clock import ordering_moment
from lakehouse.core.row_codec import crc_holds
from lakehouse.sessionlog.forgotten import forgotten_sessions
from lakehouse.sessionlog.layout import INBOX_WRITER, LogFile, log_files
from lakehouse.sessionlog.lines import (
    Line,
    LogLine,
    RowKey,
    classify_file,
    classify_lines,
    row_key,
    split_lines,
)
from lakehouse.sessionlog.reading.compacted import open_compacted
from lakehouse.sessionlog.reading.newest import compacted_batches
from lakehouse.sessionlog.reading.odd_entries import odd_entries
from lakehouse.sessionlog.reading.plain_lines import bad_plain_lines

_POLL_S: Final = 0.2
_SESSION_ROWS_MAX: Final = 1_000_000  # looked for in the compacted table
_RECENT_MAX: Final = 10_000  # row ids that a follower remembers, against showing a row twice


def read_lines(root: Path) -> Iterator[LogLine]:
    """Classify every line of the log, file by file; the inbox last."""
    for file in log_files(root):
        yield from classify_file(file)


def read_rows(
    root: Path, *, on_damage: Callable[[LogLine], None] = lambda _: None
) -> Iterator[bytes]:
    """Yield every row once, in no particular order, except those of forgotten sessions.

    `on_damage` is called for each damaged line. Memory: about 100 bytes a row. Cost: 1 GB/s, and 15
    µs a row.
    """
    hidden = forgotten_sessions(root)
    seen: set[bytes] = set()
    for line in _all_rows(root, on_damage):
        key = row_key(line)
        if key is None or key.session_id in hidden:
            continue
        if (identity := key.row_id.encode()) not in seen:
            seen.add(identity)
            yield line


def _all_rows(root: Path, on_damage: Callable[[LogLine], None]) -> Iterator[bytes]:
    """Yield the rows of the files, then of the table, where vanished files have gone."""
    for entry in read_lines(root):
        if entry.kind == "row":
            yield entry.line.data
        elif entry.kind == "bad":
            on_damage(entry)
    compacted = open_compacted(root)
    if compacted is not None:
        yield from compacted.lines()


def bad_lines(root: Path) -> Iterator[LogLine]:
    """Return the damaged lines, strictly checked; the tail of a living writer is not damage.

    Entries that do not belong in the log come first, as line 0.
    """
    nothing = Line(0, 0, b"", ended=True, bytes=0)
    for odd in odd_entries(root):
        yield LogLine(odd.file, nothing, "bad", odd.reason)
    yield from (entry for entry in read_lines(root) if entry.kind == "bad")
    yield from bad_plain_lines(root)


def find_rows(root: Path, identity: str) -> list[bytes]:
    """Find the rows of a session, or the one with that `row_id`: whole lines, newest first.

    Nothing of a forgotten session. Cost: a byte search over all files, about 1 GB/s, of which only
    lines that hold the id are read; 0.1 s for the compacted table.
    """
    found: dict[str, tuple[RowKey, bytes]] = {}
    for key, line in rows_of(root, identity):
        found.setdefault(key.row_id, (key, line))
    ordered = sorted(found.values(), key=lambda pair: order_of(pair[0]), reverse=True)
    return [line for _, line in ordered]


def rows_of(root: Path, identity: str) -> Iterator[tuple[RowKey, bytes]]:
    """Yield what `find_rows` finds, unordered; a row may appear twice."""
    hidden = forgotten_sessions(root)
    try:
        needle = msgspec.json.encode(identity)
    except UnicodeEncodeError:  # a shell passed bytes on that are not UTF-8: no id has them
        return
    for file in log_files(root):
        for entry in _matching(file, needle):
            key = row_key(entry.line.data) if entry.kind == "row" else None
            if key is None or key.session_id in hidden:
                continue
            if identity in {key.session_id, key.row_id}:
                yield key, entry.line.data
    compacted = open_compacted(root)
    if compacted is None:
        return
    condition = "(session_id = ? OR row_id = ?)"
    for batch in compacted_batches(compacted, condition, [identity] * 2, _SESSION_ROWS_MAX):
        for line in batch:
            key = row_key(line)
            if key is not None and key.session_id not in hidden:
                yield key, line


class Follower:
    """Yields rows as they are written, each once, even if its file is renamed.

    Files are known by their names, which are never used twice; a segment keeps its own when it is
    sealed. Begins at the end of what is there, or with everything (`from_start`); of the inbox,
    with what it holds by then. Its sealed copies are passed over: it was followed itself.
    """

    def __init__(self, root: Path, *, from_start: bool = False) -> None:
        self._root = root
        self._offsets: dict[str, int] = {}
        self._recent: deque[str] = deque(maxlen=_RECENT_MAX)
        self._recent_set: set[str] = set()
        if not from_start:
            for file in self._files():
                self._offsets[file.name] = _end_of_lines(file)

    def poll(self) -> Iterator[bytes]:
        """Return the rows that came since the last poll, but those of forgotten sessions.

        Never waits.
        """
        hidden = forgotten_sessions(self._root)
        for file in self._files():
            status = file.stat()
            if status is None or status.st_size == self._offsets.get(file.name, 0):
                continue
            if status.st_size < self._offsets.get(file.name, 0):
                self._offsets[file.name] = 0  # somebody cut or replaced the inbox
            yield from self._rows_of(file, hidden)

    def follow(self, stopped: Callable[[], bool], *, poll_s: float = _POLL_S) -> Iterator[bytes]:
        """Yield new rows, polling every `poll_s` seconds, until `stopped` returns True."""
        while not stopped():
            yield from self.poll()
            time.sleep(poll_s)

    def _files(self) -> list[LogFile]:
        return [file for file in log_files(self._root) if file.writer_id != INBOX_WRITER]

    def _rows_of(self, file: LogFile, hidden: frozenset[str]) -> Iterator[bytes]:
        with file.opened() as descriptor:
            if descriptor is None:
                return
            lines = split_lines(descriptor, self._offsets.get(file.name, 0))
            for entry in classify_lines(file, descriptor, lines, alive=True):
                line = entry.line
                if not line.ended and crc_holds(line.data) is not True:
                    return  # not whole yet: looked at again at the next poll
                self._offsets[file.name] = line.offset + line.bytes + line.ended
                key = row_key(line.data) if entry.kind == "row" else None
                if key is None or key.session_id in hidden:
                    continue
                if self._is_new(key.row_id):
                    yield line.data

    def _is_new(self, row_id: str) -> bool:
        if row_id in self._recent_set:
            return False
        if len(self._recent) == _RECENT_MAX:
            self._recent_set.discard(self._recent[0])
        self._recent.append(row_id)
        self._recent_set.add(row_id)
        return True


def order_of(key: RowKey) -> tuple[str, str]:
    """Return what rows are ordered by: time, then id, so that the order is total."""
    return ordering_moment(key.timestamp), key.row_id


def _matching(file: LogFile, needle: bytes) -> Iterator[LogLine]:
    with file.opened() as descriptor:
        if descriptor is None:
            return
        # A foreign writer may have escaped what need not be.
        lines = (
            line
            for line in split_lines(descriptor)
            if needle in line.data or b"\\u" in line.data or b"\\/" in line.data
        )
        yield from classify_lines(file, descriptor, lines, alive=True)


def _end_of_lines(file: LogFile) -> int:
    """Return the offset after the last newline; the rest may still become a row."""
    with file.opened() as descriptor:
        end = os.fstat(descriptor).st_size if descriptor is not None else 0
        while descriptor is not None and end > 0:
            start = max(0, end - (1 << 16))
            cut = os.pread(descriptor, end - start, start).rfind(b"\n")
            if cut >= 0:
                return start + cut + 1
            end = start
        return 0
