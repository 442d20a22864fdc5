"""What became of one run: found by its row id, cheaply, and only where it can be."""

import asyncio
import os
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.core.ids import new_id
from lakehouse.core.row import Row
from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.lines import lines_with, split_lines
from lakehouse.sessionlog.reading.outcome import outcome_of
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.rows import make_row, make_started


def append(root: Path, *rows: Row) -> None:
    writer = SessionLogWriter.open(root, daemon="validatord")
    for row in rows:
        writer.started(make_started(row))
        asyncio.run(writer.append(row))
    writer.close()


def test_a_session_of_the_same_id_is_not_its_row(tmp_path: Path):
    """The first run's row id may be the session's; a second run has another."""
    identity = new_id()
    append(tmp_path, make_row(session_id=identity))
    assert outcome_of(tmp_path, identity).row is None


def test_files_of_before_the_run_are_not_read(tmp_path: Path):
    """That is what makes it cheap; an id of another form is looked for everywhere."""
    row, foreign = make_row(), make_row(row_id="ab" * 16)
    append(tmp_path, row, foreign)
    [segment] = (tmp_path / "active").iterdir()
    made_at = int(row.row_id[:12], 16) / 1000
    for hours, found in ((0.9, True), (1.1, False)):
        os.utime(segment, (made_at - hours * 3600,) * 2)
        assert (outcome_of(tmp_path, row.row_id).row is not None) is found
    assert outcome_of(tmp_path, foreign.row_id).row is not None


@given(
    lines=st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=8),
    ended=st.booleans(),
    block=st.integers(min_value=4, max_value=40),
)
def test_a_search_of_blocks_finds_the_lines_that_a_search_of_lines_finds(
    lines: list[bytes], ended: bool, block: int
):
    """Wherever the blocks end; with the same offsets."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryFile() as file:
        patch.setattr("lakehouse.sessionlog.lines._BLOCK_BYTES", block)
        patch.setattr("lakehouse.sessionlog.lines._HEADER_BYTES_MAX", block)
        marked = [line.replace(b"\0", b"KEY") for line in lines]
        file.write(b"\n".join(marked) + (b"\n" if ended else b""))
        file.flush()
        found = list(lines_with(file.fileno(), b"KEY"))
        wanted = [line for line in split_lines(file.fileno()) if b"KEY" in line.data]
    assert found == [msgspec.structs.replace(line, number=0) for line in wanted]


def test_a_huge_hole_is_not_read(tmp_path: Path):
    """A sparse file of a terabyte, and the row behind it."""
    row = make_row()
    append(tmp_path, row)
    [segment] = (tmp_path / "active").iterdir()
    written = segment.read_bytes()
    with segment.open("r+b") as file:
        file.truncate(1 << 40)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + written)
    with segment.open("rb") as file:
        needle = row.row_id.encode()
        found = [line.data for line in lines_with(file.fileno(), needle)]
    assert found == [encode_line(make_started(row)), encode_line(row)] * 2
