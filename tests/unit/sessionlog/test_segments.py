"""Many records in one write: what a cut or a failure leaves of them, and what goes where."""

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.core.clock import FixedClock
from lakehouse.files.disk import Disk
from lakehouse.sessionlog.layout import prepare
from lakehouse.sessionlog.writing.segments import Record, Segments


class UnsureDisk(Disk):
    """Fails at its writes in turn: a number cuts a write there, -1 fails it, None lets it be."""

    def __init__(self, faults: Iterable[int | None] = ()) -> None:
        self.faults: Iterator[int | None] = iter(faults)
        self.writes: list[bytes] = []
        self.fired = 0

    def write(self, descriptor: int, data: bytes) -> int:
        self.writes.append(data)
        fault = next(self.faults, None)
        if fault is None:
            return super().write(descriptor, data)
        self.fired += 1
        if fault < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(descriptor, data[: min(fault, len(data) - 1)])


def opened(root: Path, disk: Disk, bytes_max: int = 1 << 20) -> Segments:
    clock = FixedClock()
    return Segments(prepare(root), daemon="v", clock=clock, disk=disk, bytes_max=bytes_max)


def row(name: str, size: int = 20) -> Record:
    return Record(f"{name}:".encode().ljust(size, b"."), name, ends=True)


def started(name: str, size: int = 20) -> Record:
    return Record(f"started {name}:".encode().ljust(size, b"."), name, ends=False)


def lines_of(segments: Segments) -> dict[str, list[bytes]]:
    """Read each file's lines behind its header, blank ones left out."""
    active = segments.root / "active"
    paths = sorted(active.iterdir(), key=lambda path: int(path.stem.rpartition("-")[2]))
    return {path.name: list(filter(None, path.read_bytes().split(b"\n")))[1:] for path in paths}


records_of_sizes = st.lists(
    st.tuples(st.booleans(), st.integers(min_value=12, max_value=90)), min_size=1, max_size=12
)


@given(
    sizes=records_of_sizes,
    faults=st.lists(st.one_of(st.none(), st.integers(min_value=-1, max_value=300)), max_size=8),
    bytes_max=st.sampled_from([1, 150, 1 << 20]),
)
def test_whatever_a_write_leaves_each_record_is_whole_or_unwritten(
    sizes: list[tuple[bool, int]], faults: list[int | None], bytes_max: int
):
    """None is glued to another, none is taken for written that is not, and the order stays."""
    with tempfile.TemporaryDirectory() as name:
        # The first write is the header's: without it there is nothing to see.
        disk = UnsureDisk([None, *faults])
        segments = opened(Path(name) / "log", disk, bytes_max)
        segments.next()
        records = [
            (row if ends else started)(f"{number}", size)
            for number, (ends, size) in enumerate(sizes)
        ]
        failed = False
        try:
            segments.write(records)
        except OSError:
            failed = True
        written = [record for record in records if record.segment is not None]
        assert failed == (len(written) < len(records))
        assert not failed or disk.fired > 0

        found = lines_of(segments)
        for record in written:
            assert record.segment is not None
            assert record.line in found[record.segment.path.name]
        whole = [record.line for record in records]
        seen = [line for lines in found.values() for line in lines]
        for line in seen:
            assert line in whole or any(each.startswith(line) for each in whole)
        first_seen = dict.fromkeys(line for line in seen if line in whole)
        assert list(first_seen)[: len(written)] == whole[: len(written)]
        assert list(segments.running.values()) == [
            record.line for record in written if not record.ends
        ]
        segments.close()


def test_records_that_come_together_are_one_write(tmp_path: Path):
    """Each with a newline before and behind it."""
    disk = UnsureDisk()
    segments = opened(tmp_path, disk)
    segments.next()
    segments.write([started("a"), row("b"), row("a")])
    assert disk.writes[1:] == [
        b"\nstarted a:..........\n\nb:..................\n\na:..................\n"
    ]
    segments.close()


def test_a_write_has_a_limit_and_a_larger_record_is_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """At most so many bytes of several records."""
    monkeypatch.setattr("lakehouse.sessionlog.writing.segments.WRITE_BYTES_MAX", 100)
    disk = UnsureDisk()
    segments = opened(tmp_path, disk)
    segments.next()
    segments.write([row("a", 48), row("b", 48), row("c", 48), row("d", 500), row("e", 48)])
    assert [len(data) for data in disk.writes[1:]] == [100, 50, 502, 50]
    segments.close()


def test_a_segment_ends_where_it_would_with_a_write_for_each(tmp_path: Path):
    """Behind the record that fills it, however many come together."""
    sizes = (60, 60, 60, 200, 10, 10, 98, 10)
    ends = []
    for name, together in (("one", 1), ("all", len(sizes))):
        segments = opened(tmp_path / name, Disk(), bytes_max=100)
        segments.next()
        records = [row(f"{number}", size) for number, size in enumerate(sizes)]
        for at in range(0, len(records), together):
            segments.write(records[at : at + together])
        ends.append([record.segment.path.name.rpartition("-")[2] for record in records])  # type: ignore[union-attr]
        segments.close()
    assert ends[0] == ends[1]
    assert len(set(ends[0])) == 4


def test_a_disk_that_cuts_every_write_takes_every_record(tmp_path: Path):
    """A cut is a failure of the record that it tears, and of no other."""
    disk = UnsureDisk([None, *[30] * 5])
    segments = opened(tmp_path, disk)
    segments.next()
    rows = [row(name) for name in "abcdef"]
    segments.write(rows)
    assert disk.fired == 5
    [lines] = lines_of(segments).values()
    whole = [each.line for each in rows]
    assert [line for line in lines if line in whole] == whole
    segments.close()


def test_a_full_disk_cuts_one_record_off_and_the_reserve_takes_the_rest(tmp_path: Path):
    """The rows before the cut stay where they are; the others are whole in the next segment."""
    disk = UnsureDisk([None, 30, -1])
    segments = opened(tmp_path, disk)
    segments.next()
    segments.reserve.take()
    reserve = segments.reserve.path
    assert reserve is not None
    assert reserve.exists()
    rows = [row(name) for name in "abc"]
    segments.write(rows)
    assert not reserve.exists()
    assert list(lines_of(segments).values()) == [
        [rows[0].line, rows[1].line[:7]],
        [rows[1].line, rows[2].line],
    ]
    segments.close()
