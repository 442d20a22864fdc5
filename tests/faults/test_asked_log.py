"""Pages' questions while four programs write, and one seals, compacts and forgets."""

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from faults.oracle import Program, start, times, wait_until
from lakehouse.sessionlog.index.packs import INDEX, Heads
from lakehouse.sessionlog.index.reader import LogReader
from lakehouse.sessionlog.reading.compacted import open_compacted
from lakehouse.sessionlog.reading.reader import read_rows

WRITERS = 4
ROWS = times(200, 3_000)  # of each writer
FORGOTTEN = times(6, 60)
SEGMENT_BYTES = 60_000
PAGE = 200
COMPLETE = 10  # answers, at least


class _Heard:
    """What a program has said on stdout by now."""

    def __init__(self, program: Program) -> None:
        assert program.stdout is not None
        self._descriptor = program.stdout.fileno()
        os.set_blocking(self._descriptor, False)
        self._rest = b""
        self._words: dict[str, list[str]] = {}

    def of(self, word: str) -> list[str]:
        self._listen()
        return [*self._words.get(word, [])]

    def _listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._descriptor, 1 << 16):
                *lines, self._rest = (self._rest + piece).split(b"\n")
                for line in lines:
                    word, _, rest = line.decode().partition(" ")
                    self._words.setdefault(word, []).append(rest)


class _Counts:
    """What the programs said so far."""

    def __init__(self, writers: list[_Heard], keeper: _Heard) -> None:
        self._writers = writers
        self._keeper = keeper
        self.asked_to_forget: list[str] = []

    def ids(self, word: str) -> set[str]:
        return {row_id for one in self._writers for row_id in one.of(word)}

    def least(self) -> set[str]:
        """Give what a question must find that is asked now."""
        return self.ids("acked") - {*self.asked_to_forget}

    def started(self) -> set[str]:
        return self.ids("started")

    def forgotten(self) -> set[str]:
        return {*self._keeper.of("forgot")}

    def compactions(self) -> int:
        return len(self._keeper.of("compacted"))


class _Answered(NamedTuple):
    """Numbers of answers: those that were complete, and those that lacked rows and said so."""

    complete: int = 0
    lacking: int = 0


def _listed(reader: LogReader) -> tuple[list[str], bool]:
    """Read all pages of the list: the row ids, and whether every page was complete."""
    found: list[str] = []
    complete = True
    cursor = None
    while True:
        page = reader.sessions(limit=PAGE, cursor=cursor)
        assert page.progress.lines_unreadable == 0, page.progress
        complete = complete and page.progress.complete
        found += [line.row_id for line in page.sessions]
        if (cursor := page.next) is None:
            return found, complete


def _ask(reader: LogReader, counts: _Counts, before: _Answered) -> _Answered:
    """Ask once for a number, and once for the list."""
    least, gone = counts.least(), counts.forgotten()
    answer = reader.rates()
    sessions, progress = answer.total.sessions, answer.progress
    most = counts.started() - gone
    assert progress.lines_unreadable == 0, progress
    assert progress.rows == sessions
    assert sessions <= len(most), f"{sessions} rows of {len(most)}: {progress}"
    lacks = sessions < len(least)
    assert not lacks or not progress.complete, f"{sessions} rows of {len(least)}: {progress}"

    least, gone = counts.least(), counts.forgotten()
    found, complete = _listed(reader)
    most = counts.started() - gone
    assert len(found) == len(set(found)), "a row is shown twice"
    assert {*found} <= most, "a row is shown that nobody wrote, or that was forgotten"
    unlisted = least - {*found}
    assert not unlisted or not complete, f"{len(unlisted)} acknowledged rows are missing"
    return _Answered(
        before.complete + progress.complete + complete, before.lacking + lacks + bool(unlisted)
    )


@contextmanager
def _running(root: Path) -> Iterator[tuple[list[Program], Program]]:
    options = ["--rows", ROWS, "--at-once", 2, "--segment-bytes", SEGMENT_BYTES]
    pace = ["--row-bytes", 2_000, "--pause-s", 0.05, "--tend", "--wait"]
    writers = [start("producer.py", root, *options, *pace) for _ in range(WRITERS)]
    keeper = start("keeper.py", root)
    try:
        yield writers, keeper
    finally:
        for one in (*writers, keeper):
            if one.poll() is None:
                one.kill()
            one.wait(60)
            for pipe in (one.stdin, one.stdout, one.stderr):
                if pipe is not None:
                    pipe.close()


@pytest.mark.timeout(times(600, 7_200))
def test_every_acknowledged_row_is_counted_once_whatever_happens_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An answer may lack rows only if it says so: of the table, until they are indexed."""
    # Compactions come each second here, and the index must keep up with them.
    monkeypatch.setattr("lakehouse.sessionlog.index.background_builder._AGAIN_S", 0.1)
    root = tmp_path / "log"
    answered = _Answered()
    with _running(root) as (writers, keeper), LogReader(root) as reader:
        heard, kept = [_Heard(one) for one in writers], _Heard(keeper)
        counts = _Counts(heard, kept)
        assert keeper.stdin is not None
        until = time.monotonic() + times(300, 7_000)
        while (
            not all(one.of("done") for one in heard)
            or len(counts.forgotten()) < FORGOTTEN
            or answered.complete < COMPLETE
        ):
            assert time.monotonic() < until, "the writers or the keeper come to no end"
            assert all(one.poll() is None for one in (*writers, keeper)), _errors(*writers, keeper)
            asked = counts.asked_to_forget
            if len(asked) < FORGOTTEN and len(counts.forgotten()) == len(asked):
                known = sorted(counts.least())
                if len(known) > 20 * len(asked):
                    asked.append(known[len(known) // 2])
                    os.write(keeper.stdin.fileno(), f"{asked[-1]}\n".encode())
            answered = _ask(reader, counts, answered)
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write(b"\n")
            writer.stdin.flush()
        assert [writer.wait(60) for writer in writers] == [0] * WRITERS
        answered = _ask(reader, counts, answered)
        keeper.stdin.close()
        assert keeper.wait(60) == 0, _errors(keeper)
        compactions, forgotten = counts.compactions(), counts.forgotten()
        assert len(counts.ids("acked")) == WRITERS * ROWS
        wait_until(lambda: reader.rates().progress.complete, "the whole index")
        assert reader.rates().total.sessions == WRITERS * ROWS - FORGOTTEN
    assert len(list(read_rows(root))) == WRITERS * ROWS - FORGOTTEN
    table = open_compacted(root)
    assert table is not None
    files = {name.rpartition("-")[0] for name in table.held}
    assert len(files) == WRITERS
    assert len(table.held) > 3 * WRITERS, "they did rotate, and it was compacted"
    assert compactions > 1
    assert len(forgotten) == FORGOTTEN
    assert Heads(root / INDEX).packs(), "the index was built"
    print(f"{answered}, {compactions} compactions, {len(table.held)} segments")


def _errors(*programs: Program) -> str:
    said = []
    for one in programs:
        one.kill()
        assert one.stderr is not None
        said.append(one.stderr.read().decode())
    return " ".join(said)
