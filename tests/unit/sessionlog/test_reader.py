"""The reader: every byte of a log accounted for, whatever was done to it."""

import asyncio
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.core.limits import ROW_BYTES_MAX
from lakehouse.core.row import Row, SegmentHeader
from lakehouse.core.row_codec import add_crc, crc_holds, encode_line
from lakehouse.sessionlog import lines
from lakehouse.sessionlog.forgotten import hide_session
from lakehouse.sessionlog.keeping.sealing import seal as seal_log
from lakehouse.sessionlog.reading.reader import (
    Follower,
    bad_lines,
    find_rows,
    read_lines,
    read_rows,
)
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.log_counts import count, unfinished
from support.rows import make_row, make_started

WRITER_ID = "0123456789abcdef" * 2
HEADER = encode_line(
    SegmentHeader(
        writer_id=WRITER_ID,
        segment=0,
        daemon="validatord",
        runtime="python",
        version="0",
        started_at="2026-01-02T03:04:05.678901Z",
    )
)
ROWS = [make_row(prompt=f"row {number} é€𝄞 \u2028") for number in range(4)]
LINES = [encode_line(row) for row in ROWS]
STARTED = encode_line(make_started(ROWS[0]))
WHOLE = HEADER + b"\n" + b"".join(b"\n%b\n" % line for line in [STARTED, *LINES])


def write_segment(root: Path, data: bytes, *, directory: str = "active", number: int = 0) -> Path:
    path = root / directory / f"{WRITER_ID}-{number}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def without_crc(line: bytes) -> bytes:
    return line[:-18] + b"}"


def test_every_line_is_told_apart_with_its_place(tmp_path: Path):
    """Kinds, line numbers and byte offsets of a healthy segment."""
    write_segment(tmp_path, WHOLE)
    entries = list(read_lines(tmp_path))
    assert [entry.kind for entry in entries] == [
        "segment",
        *["blank", "started"],
        *["blank", "row"] * 4,
    ]
    for entry in entries:
        assert WHOLE[entry.line.offset :].startswith(entry.line.data)
        assert entry.line.number == WHOLE[: entry.line.offset].count(b"\n") + 1
    assert entries[0].file == f"active/{WRITER_ID}-0.jsonl"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (LINES[1][: len(LINES[1]) // 2], "no crc"),
        (LINES[1].replace(b"row 1", b"row 9"), "crc does not match"),
        (b"\x00" * 300, "no crc"),
        (without_crc(LINES[1]), "no crc, in a segment whose lines have one"),
        (b"x" * (ROW_BYTES_MAX + 100_000), f"{ROW_BYTES_MAX + 100_000} bytes"),
        (b"\xff\xfe", "no crc"),
    ],
)
def test_damage_is_named_and_harms_no_neighbour(tmp_path: Path, damage: bytes, reason: str):
    """The rows before and after are read, the damaged one never."""
    write_segment(tmp_path, b"%b\n\n%b\n\n%b\n\n%b\n" % (HEADER, LINES[0], damage, LINES[2]))
    assert list(read_rows(tmp_path)) == [LINES[0], LINES[2]]
    [bad] = bad_lines(tmp_path)
    assert reason in (bad.reason or "")
    assert (bad.line.number, bad.line.bytes) == (5, len(damage))
    assert bad.line.offset == len(HEADER) + len(LINES[0]) + 4


def test_a_valid_crc_does_not_make_a_row(tmp_path: Path):
    """A strict pass reads the row itself, too."""
    broken = encode_line(ROWS[0])[:-18].replace(b'"iterations":1', b'"iterations":"one"')
    sealed = add_crc(broken + b"}")
    assert crc_holds(sealed) is True
    write_segment(tmp_path, b"%b\n\n%b\n" % (HEADER, sealed))
    [bad] = bad_lines(tmp_path)
    assert "iterations" in (bad.reason or "")


def test_the_inbox_and_foreign_segments_need_no_crc(tmp_path: Path):
    """Accepted and counted as unchecked; a row that is in two files is one row."""
    (tmp_path / "inbox.jsonl").write_bytes(
        b"\n" + without_crc(LINES[0]) + b"\n\n" + LINES[1] + b"\n"
    )
    write_segment(tmp_path, b"\n%b\n\n%b\n" % (without_crc(LINES[2]), without_crc(LINES[1])))
    counts = count(tmp_path)
    assert (counts.rows, counts.unchecked, counts.duplicates, counts.bad) == (3, 3, 1, 0)
    assert len(list(read_rows(tmp_path))) == 3


def test_a_tail_is_damage_only_when_its_writer_is_dead(tmp_path: Path):
    """The same half row: unfinished while the lock is held, damage once it is free."""
    writer = SessionLogWriter.open(tmp_path, daemon="validatord")
    [path] = (tmp_path / "active").iterdir()
    with path.open("ab") as file:
        file.write(b"\n" + LINES[0][:100])
    counts = count(tmp_path)
    assert (counts.tails, counts.bad, counts.rows) == (1, 0, 0)
    writer.close()
    counts = count(tmp_path)
    assert (counts.tails, counts.bad) == (0, 1)
    assert "cut short" in (next(bad_lines(tmp_path)).reason or "")


@settings(max_examples=150)
@given(st.integers(0, len(WHOLE)), st.booleans())
def test_a_log_cut_anywhere_shows_exactly_its_whole_rows(length: int, more: bool):
    """Cut at any byte, with or without a row behind the cut: no half row, no whole row lost."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        last = make_row()
        data = WHOLE[:length] + (b"\n" + encode_line(last) + b"\n" if more else b"")
        write_segment(root, data)
        whole = [line for line in LINES if line in data]
        expected = whole + ([encode_line(last)] if more else [])
        assert list(read_rows(root)) == expected
        kinds = {entry.kind for entry in read_lines(root)}
        assert "tail" not in kinds, "this writer is dead"


@settings(max_examples=150)
@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 7))
def test_a_flipped_bit_is_always_noticed(position: int, bit: int):
    """Any bit: the damaged line is listed, and every other row is still there."""
    data = bytearray(WHOLE)
    data[position] ^= 1 << bit
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        write_segment(root, bytes(data))
        rows = list(read_rows(root))
        assert set(rows) <= set(LINES)
        assert len(rows) >= len(LINES) - 2, "a newline that goes glues two lines, no more"
        if WHOLE[position : position + 1] != b"\n":
            assert list(bad_lines(root))


def test_lines_longer_than_a_block_and_over_block_borders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Reading in tiny blocks gives the same lines as reading at once."""
    write_segment(tmp_path, WHOLE)
    at_once = list(read_lines(tmp_path))
    for size in (1, 7, 1000):
        monkeypatch.setattr(lines, "_BLOCK_BYTES", size)
        assert list(read_lines(tmp_path)) == at_once


def test_rows_are_found_by_session_and_by_row(tmp_path: Path):
    """Newest first, each once, whole lines; an id inside a text finds nothing."""
    first = make_row(session_id="workflow-1", timestamp="2026-01-02T03:04:05.000001Z")
    second = make_row(session_id="workflow-1", timestamp="2026-01-02T03:04:05.000002Z")
    other = make_row(prompt='"workflow-1"', metadata={"x": "workflow-1"})
    data = b"".join(b"\n%b\n" % encode_line(row) for row in (first, second, other, first))
    write_segment(tmp_path, HEADER + b"\n" + data)
    write_segment(tmp_path, HEADER + b"\n" + data, directory="sealed", number=1)
    assert find_rows(tmp_path, "workflow-1") == [encode_line(second), encode_line(first)]
    assert find_rows(tmp_path, first.row_id) == [encode_line(first)]
    assert find_rows(tmp_path, "nobody") == []
    assert find_rows(tmp_path / "not-there", "workflow-1") == []


def test_sessions_without_a_row_are_reported(tmp_path: Path):
    """Alive while the writer is; gone once any file holds the row."""
    writer = SessionLogWriter.open(tmp_path, daemon="validatord")
    done, running = make_row(), make_row()
    writer.started(make_started(done))
    writer.started(make_started(running))
    asyncio.run(writer.append(done))
    [session] = unfinished(tmp_path)
    assert (session.row_id, session.alive) == (running.row_id, True)
    writer.close()
    assert [session.alive for session in unfinished(tmp_path)] == [False]
    (tmp_path / "inbox.jsonl").write_bytes(b"\n" + encode_line(running) + b"\n")
    assert unfinished(tmp_path) == []


def test_following_gives_each_new_row_once_across_a_rename(tmp_path: Path):
    """A follower sees what comes, waits for whole lines, and is not lost when a file is sealed."""
    path = write_segment(tmp_path, HEADER + b"\n\n" + LINES[0] + b"\n")
    follower = Follower(tmp_path)
    assert list(follower.poll()) == []

    def append(data: bytes) -> None:
        with path.open("ab") as file:
            file.write(data)

    append(b"\n" + LINES[1] + b"\n\n" + LINES[2][:50])
    assert list(follower.poll()) == [LINES[1]]
    (tmp_path / "sealed").mkdir()
    append(LINES[2][50:] + b"\n")
    shutil.move(path, tmp_path / "sealed" / path.name)
    assert list(follower.poll()) == [LINES[2]]
    write_segment(tmp_path, HEADER + b"\n\n" + LINES[2] + b"\n\n" + LINES[3] + b"\n", number=1)
    assert list(follower.poll()) == [LINES[3]]
    assert list(follower.poll()) == []
    assert list(Follower(tmp_path, from_start=True).poll()) == LINES


def test_following_the_inbox_passes_over_its_sealed_copies(tmp_path: Path):
    """Old rows do not come again when the inbox is copied; after a cut it is followed anew."""
    inbox = tmp_path / "inbox.jsonl"
    inbox.write_bytes(b"\n" + LINES[0] + b"\n\n" + LINES[1] + b"\n")
    follower = Follower(tmp_path)

    assert seal_log(tmp_path).sealed == ("inbox-0.jsonl",)
    assert list(follower.poll()) == []
    inbox.write_bytes(b"\n" + LINES[2] + b"\n")
    assert list(follower.poll()) == [LINES[2]]
    assert seal_log(tmp_path).sealed == ("inbox-1.jsonl",)
    assert list(follower.poll()) == []
    with inbox.open("ab") as file:
        file.write(b"\n" + LINES[3] + b"\n")
    assert list(follower.poll()) == [LINES[3]]


def test_following_does_not_show_forgotten_sessions(tmp_path: Path):
    """Not those forgotten before it began, nor those forgotten since; the others as ever."""
    path = write_segment(tmp_path, HEADER + b"\n")
    hide_session(tmp_path, ROWS[0].session_id, datetime.now(UTC))
    follower = Follower(tmp_path)
    path.write_bytes(HEADER + b"\n" + b"".join(b"\n%b\n" % line for line in LINES[:2]))
    assert list(follower.poll()) == [LINES[1]]
    hide_session(tmp_path, ROWS[2].session_id, datetime.now(UTC))
    path.write_bytes(HEADER + b"\n" + b"".join(b"\n%b\n" % line for line in LINES))
    assert list(follower.poll()) == [LINES[3]]


def test_following_live(tmp_path: Path):
    """Rows of a running writer come as they are written, in order."""
    writer = SessionLogWriter.open(tmp_path, daemon="validatord")
    rows: list[Row] = [make_row() for _ in range(5)]
    follower = Follower(tmp_path)
    seen: list[bytes] = []
    for row in rows:
        asyncio.run(writer.append(row))
        seen += follower.poll()
    writer.close()
    assert seen == [encode_line(row) for row in rows]
    stops = iter([False, True])
    assert list(follower.follow(lambda: next(stops), poll_s=0)) == []
