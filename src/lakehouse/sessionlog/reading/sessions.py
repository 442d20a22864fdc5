"""Pages of sessions, newest first, without a database: rows keep their own bytes (1.10 is 1.10).

Files are read backwards, the one written last first, and reading stops as soon as nothing newer
can come. It does not read rows whole that a look at their bytes rules out. Blocks: call it from a
thread.
"""

import base64
import binascii
import functools
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.core.clock import UNDATED, ordering_moment, timestamp, within
from lakehouse.core.errors import Refusal
from lakehouse.core.limits import (
    PAGE_BYTES_MAX,
    ROW_BYTES_MAX,
    SESSIONS_LIMIT_DEFAULT,
    SESSIONS_LIMIT_MAX,
)
from lakehouse.sessionlog.forgotten import forgotten_sessions
from lakehouse.sessionlog.layout import LogFile, log_files
from lakehouse.sessionlog.lines import Line, classify_lines, is_hole
from lakehouse.sessionlog.reading.compacted import Compacted, open_compacted
from lakehouse.sessionlog.reading.filters import REPLAY_DAEMON, SessionFilter
from lakehouse.sessionlog.reading.newest import NewestRows, Order, compacted_batches
from lakehouse.sessionlog.reading.reader import rows_of

_BLOCK_BYTES: Final = 1 << 20
# A file holds no row of a later moment than its last change, unless a clock was set; by this much
# it may have been.
CLOCK_ERROR: Final = timedelta(hours=1)
# Rows follow each other in time, but those of crashed sessions, which name their start and come
# in bunches. So many rows in a row that are older than the page, and the rest is older too.
_OLD_ROWS_MAX: Final = 5_000

_SESSION_ROWS_MAX: Final = 10_000  # in one page of one session; rows are at least 800 bytes

_OUR_FORM: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}(:[0-9]{2}){2}\.[0-9]{6}Z")


class SessionsPage(msgspec.Struct, frozen=True):
    """Rows, each a JSON object's own bytes; `next` begins the rest."""

    rows: tuple[bytes, ...]
    next: str | None


class _Finding(msgspec.Struct):
    code: str


class _Attempt(msgspec.Struct):
    findings: list[_Finding]


class _Error(msgspec.Struct):
    code: str


class _Head(msgspec.Struct):
    session_id: str
    row_id: str
    timestamp: str
    daemon: str
    kind: str | None
    model: str
    model_alias: str
    verdict: str
    error: _Error | None
    conversation_id: str | None


class _Whole(_Head):
    attempts: list[_Attempt]


def list_sessions(
    root: Path,
    where: SessionFilter | None = None,
    *,
    limit: int = SESSIONS_LIMIT_DEFAULT,
    cursor: str | None = None,
    whole: bool = False,
) -> SessionsPage:
    """Return one page of sessions, newest first by timestamp, then by `row_id`.

    Rows whose timestamp is no time come last.

    Args:
        root: The log directory; one that is not there has no sessions.
        where: Which sessions.
        limit: 1 to 200; a page may have fewer rows where they take over `PAGE_BYTES_MAX`.
        cursor: `next` of the page before.
        whole: Give the rows as they were written, `attempts` and `crc` included.

    Raises:
        Refusal: `invalid_request`; the limit is out of range, or the cursor is invalid.

    Cost: the newest page reads about one block per file that was written to since; a filter that
    hardly any row passes costs a pass over the log, about 0.5 GB/s. Memory: one page of rows.
    """
    if not 1 <= limit <= SESSIONS_LIMIT_MAX:
        message = f"`limit` is {limit}; it must be between 1 and {SESSIONS_LIMIT_MAX}."
        raise Refusal("invalid_request", message)
    before = decode_cursor(cursor) if cursor is not None else None
    hidden = forgotten_sessions(root)
    search = _Search(
        where or SessionFilter(), limit=limit, before=before, hidden=hidden, whole=whole
    )
    for changed_at, file in newest_first(root):
        if file.writer_id is not None and search.ended_before(changed_at, CLOCK_ERROR):
            break
        search.read(file)
    # After the files: what is compacted and removed meanwhile is in the table by then.
    compacted = open_compacted(root)
    if compacted is not None:
        search.read_compacted(compacted)
    return _page(search.newest)


def session_rows(root: Path, identity: str, *, cursor: str | None = None) -> SessionsPage:
    """Return the rows of a session, or the one with that `row_id`: whole lines, newest first.

    One page of at most `PAGE_BYTES_MAX`. Raises and costs as `list_sessions` and `find_rows` do.
    """
    before = decode_cursor(cursor) if cursor is not None else None
    newest = NewestRows(rows_max=_SESSION_ROWS_MAX, bytes_max=PAGE_BYTES_MAX)
    for key, line in rows_of(root, identity):
        order = (ordering_moment(key.timestamp), key.row_id)
        if before is None or order < before:
            newest.offer(order, line)
    return _page(newest)


def _page(newest: NewestRows) -> SessionsPage:
    rows = newest.page()
    more = encode_cursor(rows[-1][0]) if newest.floor is not None else None
    return SessionsPage(tuple(line for _, line in rows), more)


class _Search:
    """The newest rows so far that were asked for."""

    def __init__(
        self,
        where: SessionFilter,
        *,
        limit: int,
        before: Order | None,
        hidden: frozenset[str],
        whole: bool,
    ) -> None:
        self.newest = NewestRows(rows_max=limit, bytes_max=PAGE_BYTES_MAX)
        self._where = where
        self._hidden = hidden
        self._limit = limit
        self._before = before
        self._whole = whole
        self._decoder = msgspec.json.Decoder(_Head if where.code is None else _Whole)
        wanted = (where.kind, where.model, where.verdict, where.code, where.daemon)
        # Minted escapes aside, a value stands in its row as we would write it: most rows are
        # ruled out by a byte search, 20 times as fast as reading them.
        self._needles = [
            msgspec.json.encode(value)
            for value in (*wanted, where.conversation_id)
            if value is not None
        ]

    def ended_before(self, moment: str, tolerance: timedelta = timedelta(0)) -> bool:
        """Return whether all rows up to a moment come after the page."""
        oldest = self._where.since or ""
        if self.newest.floor is not None:
            oldest = max(oldest, self.newest.floor[0])
        return oldest != "" and moment < _earlier(oldest, tolerance)

    def read(self, file: LogFile) -> None:
        with file.opened() as descriptor:
            if descriptor is None:
                return
            lines = (
                line
                for line in _backwards(descriptor)
                if all(needle in line.data for needle in self._needles)
            )
            old_rows = 0
            for entry in classify_lines(file, descriptor, lines, alive=True):
                seen_at = self._offer(entry.line.data) if entry.kind == "row" else None
                # The inbox may hold rows of any age in any order and is read to its beginning.
                if file.writer_id is None or seen_at is None:
                    continue
                old_rows = old_rows + 1 if self.ended_before(seen_at) else 0
                if old_rows >= _OLD_ROWS_MAX:
                    return

    def read_compacted(self, compacted: Compacted) -> None:
        condition, values = _table_condition(self._where, self._before, self._hidden)
        for batch in compacted_batches(compacted, condition, values, self._limit + 1):
            oldest = min(filter(None, map(self._offer, batch)), default="")
            if self.ended_before(oldest):
                return

    def _offer(self, line: bytes) -> str | None:
        """Take a row into the page if it belongs there; give its moment."""
        try:
            row = self._decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        order = (ordering_moment(row.timestamp), row.row_id)
        if self._wanted(row, order):
            cut = not self._whole and self.newest.has_room_for(order)
            shown = _without_attempts(line) if cut else line
            self.newest.offer(order, shown)
        return order[0]

    def _wanted(self, row: _Head, order: Order) -> bool:
        where = self._where
        return (
            (self._before is None or order < self._before)
            and (
                row.daemon != REPLAY_DAEMON if where.daemon is None else row.daemon == where.daemon
            )
            and row.session_id not in self._hidden
            and where.kind in {None, row.kind}
            and where.model in {None, row.model, row.model_alias}
            and where.verdict in {None, row.verdict}
            and where.conversation_id in {None, row.conversation_id}
            and within(order[0], where.since, where.until)
            and (where.code is None or where.code in _codes(row))
        )


def _table_condition(
    where: SessionFilter, before: Order | None, hidden: frozenset[str]
) -> tuple[str, list[object]]:
    """Write `_wanted` as a condition on the compacted table, with the values to bind."""
    condition, values = where.condition()
    condition += " AND session_id NOT IN (SELECT unnest(?::VARCHAR[]))"
    bound: list[object] = [*values, sorted(hidden)]
    if before is not None:
        moment = f"coalesce(timestamp, '{UNDATED}'::TIMESTAMPTZ)"
        condition += f" AND ({moment}, row_id) < (?::TIMESTAMPTZ, ?)"
        bound += before
    return condition, bound


def _codes(row: _Head) -> set[str]:
    codes = {row.error.code} if row.error is not None else set()
    if isinstance(row, _Whole):
        codes |= {finding.code for attempt in row.attempts for finding in attempt.findings}
    return codes


def newest_first(root: Path) -> list[tuple[str, LogFile]]:
    """List the log's files with the time of their last change, the inbox first."""
    files: list[tuple[str, LogFile]] = []
    for file in log_files(root):
        status = file.stat()
        if status is not None:
            changed_at = timestamp(datetime.fromtimestamp(status.st_mtime, UTC))
            files.append((changed_at, file))
    # The inbox first: nothing can be known about the order of what it holds.
    return sorted(files, key=lambda pair: (pair[1].writer_id is None, pair[0]), reverse=True)


@functools.lru_cache(maxsize=16)  # asked for every row, and changes with the page's oldest only
def _earlier(moment: str, by: timedelta) -> str:
    try:
        return timestamp(datetime.fromisoformat(moment) - by)
    except (ValueError, OverflowError):
        return moment


def _backwards(descriptor: int) -> Iterator[Line]:
    """Return a file's lines from the last to the first; numbers are not known and stay 0."""
    end = os.fstat(descriptor).st_size
    rest: list[bytes] = []  # of the line that goes on in front of the block, last piece first
    held = 0
    ended = False
    while end > 0:
        start = max(0, end - _BLOCK_BYTES)
        if held > ROW_BYTES_MAX and is_hole(descriptor, start, end):
            rest, held, end = [], held + end - start, start
            continue
        pieces = os.pread(descriptor, end - start, start).split(b"\n")
        offset = end
        for index in range(len(pieces) - 1, 0, -1):
            rest.append(pieces[index])
            held += len(pieces[index])
            offset -= len(pieces[index])
            yield _joined(rest, held, offset, ended=ended)
            offset -= 1
            rest, held, ended = [], 0, True
        held += len(pieces[0])
        if held <= ROW_BYTES_MAX:
            rest.append(pieces[0])
        else:
            rest = []  # over-long: only its length is still of interest
        end = start
    yield _joined(rest, held, 0, ended=ended)


def _joined(rest: list[bytes], length: int, offset: int, *, ended: bool) -> Line:
    return Line(offset, 0, b"".join(reversed(rest)), ended=ended, bytes=length)


def _without_attempts(line: bytes) -> bytes:
    members = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    for name in ("attempts", "crc"):
        members.pop(name, None)
    return msgspec.json.format(msgspec.json.encode(members), indent=-1)


def encode_cursor(order: Order) -> str:
    """Write a place in the order of sessions as an opaque text."""
    return base64.urlsafe_b64encode("\n".join(order).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> Order:
    """Read what `encode_cursor` wrote.

    Raises:
        Refusal: `invalid_request`; it is something else.
    """
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode()
        moment, row_id = text.split("\n")
        if not _OUR_FORM.fullmatch(moment):
            raise ValueError(moment)
        datetime.fromisoformat(moment)
    except (binascii.Error, ValueError) as error:
        message = "`cursor` is invalid: it must be the `next` of a page of this log."
        raise Refusal("invalid_request", message, hint="Begin again without a cursor.") from error
    return moment, row_id
