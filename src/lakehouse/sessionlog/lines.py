"""Classifies a line of the log: a row, another line of ours, or damage with a reason.

One rule for every reader: a line is a row if `decode_row` accepts it, its crc matches, and it has a
crc if its file requires one. Anything else is damage: it is listed, and no reader shows, counts,
replays or compacts it. Bytes that are not certainly a whole row are never shown as one.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from lakehouse.core.limits import ROW_BYTES_MAX
from lakehouse.core.row import SegmentHeader
from lakehouse.core.row_codec import RowError, crc_holds, decode_row, decode_started, has_crc
from lakehouse.files.locks import lock_held
from lakehouse.sessionlog.layout import ACTIVE, INBOX_WRITER, LogFile, lock_path, log_files

LineKind = Literal["row", "started", "segment", "blank", "tail", "bad"]

# Larger ones stay with the process: of 4 MiB, a daemon that seals its segments kept 70 MiB.
_BLOCK_BYTES: Final = 256 << 10
_LINE_BYTES_MAX: Final = ROW_BYTES_MAX + 1  # one more, so that a line that is too long shows
_HEADER_BYTES_MAX: Final = 8192


class Line(msgspec.Struct, frozen=True):
    """One line of a file. `number` counts from 1, `offset` in bytes from 0.

    `ended` is false for what follows the last newline. A line over the limit is cut to it and
    `bytes` says how long it is.
    """

    offset: int
    number: int
    data: bytes
    ended: bool
    bytes: int


class LogLine(msgspec.Struct, frozen=True):
    """A classified line. `reason` says why it is bad; `checked` whether a crc confirmed it.

    `tail` is the unfinished last line of a writer that lives: not damage, and not a row yet.
    """

    file: str
    line: Line
    kind: LineKind
    reason: str | None = None
    checked: bool = False


class RowKey(msgspec.Struct, frozen=True):
    """The members of a row that find, order and de-duplicate it."""

    session_id: str
    row_id: str
    timestamp: str


class _Schema(msgspec.Struct):
    schema: str


_SCHEMA: Final = msgspec.json.Decoder(_Schema)
_KEY: Final = msgspec.json.Decoder(RowKey)


def split_lines(descriptor: int, offset: int = 0, number: int = 1) -> Iterator[Line]:
    """Cut a file into lines from an offset on; blank ones too. Reads up to the end as it is now.

    Memory: one block and one line. Cost: about 1 GB/s.
    """
    rest = b""
    skipped = 0  # bytes of an over-long line that are not kept in `rest`
    position = offset
    while block := os.pread(descriptor, _BLOCK_BYTES, position):
        position += len(block)
        pieces = block.split(b"\n")
        for piece in pieces[:-1]:
            data = rest + piece if rest else piece
            length = skipped + len(data)
            yield Line(offset, number, data[:_LINE_BYTES_MAX], ended=True, bytes=length)
            offset += length + 1
            number += 1
            rest, skipped = b"", 0
        kept = pieces[-1][: _LINE_BYTES_MAX - len(rest)]
        rest += kept
        skipped += len(pieces[-1]) - len(kept)
        if skipped:  # over-long already: a hole in the file is only more of it, however large
            data_at = _next_data(descriptor, position)
            skipped += data_at - position
            position = data_at
    if rest:
        yield Line(offset, number, rest, ended=False, bytes=skipped + len(rest))


def lines_with(descriptor: int, needle: bytes) -> Iterator[Line]:
    """Return the lines of a file that hold some bytes; their numbers are not known and stay 0.

    Cost: about 3 GB/s, since lines are cut only where the bytes are.
    """
    position = 0
    while len(block := os.pread(descriptor, _BLOCK_BYTES, position)) >= len(needle):
        found = block.find(needle)
        if found < 0:
            position = _next_data(descriptor, position + len(block) - len(needle) + 1)
            continue
        start = _line_start(descriptor, position + found)
        line = next(split_lines(descriptor, start, number=0))
        yield line
        position = start + line.bytes + 1


def _line_start(descriptor: int, offset: int) -> int:
    """Return where a line begins; in one that is over-long already, a place within it."""
    end = offset
    while end > max(0, offset - _LINE_BYTES_MAX):
        start = max(0, end - _HEADER_BYTES_MAX)
        cut = os.pread(descriptor, end - start, start).rfind(b"\n")
        if cut >= 0:
            return start + cut + 1
        end = start
    return end


def is_hole(descriptor: int, start: int, end: int) -> bool:
    """Return whether a sparse file has a hole there: zeros that need not be read."""
    return _next_data(descriptor, start) >= end


def _next_data(descriptor: int, position: int) -> int:
    try:
        return os.lseek(descriptor, position, os.SEEK_DATA)
    except OSError as error:
        # Nothing but a hole is left; or the system does not tell.
        return os.fstat(descriptor).st_size if error.errno == errno.ENXIO else position


def classify_file(file: LogFile) -> Iterator[LogLine]:
    """Classify each line of a file, wherever it is by now; empty if the file is gone.

    Cost: 1 GB/s, and 15 µs a row of ours; of another runtime's, up to 45.
    """
    with file.opened() as descriptor:
        if descriptor is not None:
            # Asked before reading: a writer that dies meanwhile leaves its tail for the next look.
            alive = may_be_writing(file)
            yield from classify_lines(file, descriptor, split_lines(descriptor), alive=alive)


def classify_lines(
    file: LogFile, descriptor: int, lines: Iterable[Line], *, alive: bool
) -> Iterator[LogLine]:
    """Tell what each of these lines of an open file is; `alive` is its writer."""
    required = crc_is_required(descriptor, file)
    for line in lines:
        yield classify(line, file=file.label, crc_required=required, alive=alive)


def crc_is_required(descriptor: int, file: LogFile) -> bool:
    """Return whether a line without crc is damage in this file: any of its lines has one.

    A file without any is foreign and unchecked. The inbox belongs to any program: its lines are
    taken with a crc and without. Cost: one look at a segment whose first line has a crc, as every
    runtime of ours writes it; a pass over any other, 1 GB/s.
    """
    if file.writer_id in {None, INBOX_WRITER}:
        return False
    first, newline, _ = os.pread(descriptor, _HEADER_BYTES_MAX, 0).lstrip(b"\n").partition(b"\n")
    if newline and has_crc(first):
        return True
    return any(has_crc(line.data) for line in split_lines(descriptor))


def read_header(descriptor: int) -> SegmentHeader | None:
    """Read a segment's first line; None if it is not one."""
    first, _, _ = os.pread(descriptor, _HEADER_BYTES_MAX, 0).lstrip(b"\n").partition(b"\n")
    try:
        return msgspec.json.decode(first, type=SegmentHeader)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def may_be_writing(file: LogFile) -> bool:
    """Return whether an unfinished last line may still be completed: its writer is alive."""
    if file.writer_id is None:
        return True
    return file.directory == ACTIVE and lock_held(lock_path(file.root, file.writer_id))


def dead_writers(root: Path) -> frozenset[str]:
    """List the writers that have active segments and no living process.

    Ask before listing their segments: one that dies between a listing and the question may have
    written a segment that the listing lacks.
    """
    writers = {file.writer_id for file in log_files(root) if file.directory == ACTIVE}
    return frozenset(
        writer
        for writer in writers
        if writer is not None and not lock_held(lock_path(root, writer))
    )


def classify(line: Line, *, file: str, crc_required: bool, alive: bool) -> LogLine:
    """Classify one line; see `classify_file`."""
    data = line.data
    if line.bytes > ROW_BYTES_MAX:
        return _bad(file, line, f"{line.bytes} bytes; a line has at most {ROW_BYTES_MAX}", alive)
    if not data.strip():
        return LogLine(file, line, "blank")
    checked = crc_holds(data)
    if checked is False:
        return _bad(file, line, "the crc does not match", alive)
    if checked is None and crc_required:
        return _bad(file, line, "no crc, in a segment whose lines have one", alive)
    try:
        kind = _decode(data)
    except (RowError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        return _bad(file, line, str(error), alive)
    return LogLine(file, line, kind, checked=checked is True)


def row_key(line: bytes) -> RowKey | None:
    """Read the key of a row or started line; None if it is not JSON with these members."""
    try:
        return _KEY.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _decode(data: bytes) -> LineKind:
    """Read a line whole, by its schema.

    Raises:
        RowError, MsgspecError, UnicodeDecodeError: It is not a line of the log.
    """
    schema = _SCHEMA.decode(data).schema
    if schema == "session.iterate.v1":
        decode_row(data)
        return "row"
    if schema == "session.started.v1":
        decode_started(data)
        return "started"
    if schema == "session_log.segment.v1":
        msgspec.json.decode(data, type=SegmentHeader)
        return "segment"
    raise RowError(f"`schema` is {schema!r}, which is not a schema of the session log")


def _bad(file: str, line: Line, reason: str, alive: bool) -> LogLine:  # noqa: FBT001 - of `classify`
    if not line.ended:
        if alive:
            return LogLine(file, line, "tail")
        reason = f"cut short: {reason}"
    return LogLine(file, line, "bad", reason)
