"""What every `RecordSink` promises, held over every adapter of the port."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.limits import ROW_BYTES_MAX
from lakehouse.core.ports import RecordSink
from lakehouse.core.row import Row
from lakehouse.core.row_codec import decode_row, decode_started
from lakehouse.files.disk import Disk
from lakehouse.sessionlog.layout import log_files
from lakehouse.sessionlog.lines import classify_file
from lakehouse.sessionlog.writing.memory import MemoryLog
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.rows import make_attempt, make_row, make_started


class BreakableDisk(Disk):
    """The real disk until it is broken."""

    broken = False

    def create(self, path: Path) -> int:
        self._check()
        return super().create(path)

    def write(self, descriptor: int, data: bytes) -> int:
        self._check()
        return super().write(descriptor, data)

    def _check(self) -> None:
        if self.broken:
            raise OSError(28, "No space left on device")


class Case:
    """One sink with a way to read it back and to break it."""

    def __init__(
        self,
        sink: RecordSink,
        lines: Callable[[str], list[bytes]],
        break_it: Callable[[], None],
        close: Callable[[], None],
    ) -> None:
        self.sink = sink
        self.lines = lines
        self.break_it = break_it
        self.close = close

    def rows(self) -> list[Row]:
        return [decode_row(line) for line in self.lines("row")]


def _disk_case(root: Path, durability: str) -> Case:
    disk = BreakableDisk()
    writer = SessionLogWriter.open(
        root,
        daemon="validatord",
        durability=durability,  # type: ignore[arg-type]
        disk=disk,
    )

    def lines(kind: str) -> list[bytes]:
        return [
            entry.line.data
            for file in log_files(writer._root)
            for entry in classify_file(file)
            if entry.kind == kind
        ]

    return Case(writer, lines, lambda: setattr(disk, "broken", True), writer.close)


def _memory_case() -> Case:
    log = MemoryLog()

    def lines(kind: str) -> list[bytes]:
        return log.row_lines if kind == "row" else log.started_lines

    return Case(log, lines, lambda: setattr(log, "trouble", "broken"), lambda: None)


@pytest.fixture(params=["commit", "os", "memory"])
def case(request: pytest.FixtureRequest, tmp_path: Path):
    found = (
        _memory_case() if request.param == "memory" else _disk_case(tmp_path / "log", request.param)
    )
    yield found
    found.close()


def test_an_acknowledged_row_can_be_read(case: Case):
    """What append returned for is in the log, equal to what was given."""
    row = make_row()
    asyncio.run(case.sink.append(row))
    assert case.rows() == [row]


def test_concurrent_rows_are_each_there_once(case: Case):
    """Many at once: none lost, none doubled."""
    rows = [make_row() for _ in range(50)]

    async def run() -> None:
        await asyncio.gather(*(case.sink.append(row) for row in rows))

    asyncio.run(run())
    assert sorted(row.row_id for row in case.rows()) == sorted(row.row_id for row in rows)


def test_a_started_line_is_there_at_once(case: Case):
    """The started line needs no event loop and is no row."""
    started = make_started(make_row())
    case.sink.started(started)
    assert [decode_started(line) for line in case.lines("started")] == [started]
    assert case.rows() == []


def test_a_row_over_the_limit_is_cut_not_refused(case: Case):
    """The line fits, the artifact is whole, and the row says what it lost."""
    row = make_row(attempts=(make_attempt(output="x" * (9 << 20)),))
    asyncio.run(case.sink.append(row))
    [line] = case.lines("row")
    assert len(line) <= ROW_BYTES_MAX
    [written] = case.rows()
    assert written.artifact == row.artifact
    assert written.attempts[0].output_truncated.bytes == 9 << 20  # type: ignore[union-attr]


def test_a_broken_sink_says_log_unavailable_everywhere(case: Case):
    """Before: a refusal that can be retried. During: an infra error. Never another exception."""
    case.sink.check_writable()
    case.break_it()
    with pytest.raises(InfraError) as appending:
        asyncio.run(case.sink.append(make_row()))
    with pytest.raises(InfraError) as starting:
        case.sink.started(make_started(make_row()))
    with pytest.raises(Refusal) as checking:
        case.sink.check_writable()
    assert {error.value.code for error in (appending, starting, checking)} == {"log_unavailable"}
    assert checking.value.retry_after_s is not None
    assert case.rows() == []


def test_text_that_is_no_unicode_is_an_infra_error(case: Case):
    """A lone surrogate that slipped through costs one session, not the daemon."""
    with pytest.raises(InfraError, match="cannot be written"):
        asyncio.run(case.sink.append(make_row(prompt="\ud800")))
    case.sink.check_writable()
