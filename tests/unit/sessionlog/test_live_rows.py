"""Rows that no pack holds yet, of logs with very many files, and after an error in their middle."""

from pathlib import Path

import duckdb
import pytest

from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.index import questions as ask
from lakehouse.sessionlog.index.live import LiveRows
from support.indexed_log import desk_of
from support.rows import make_row

FILES = 300


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of writers that ended after one row each, as commands do."""
    (tmp_path / "active").mkdir()
    for number in range(FILES):
        line = b"\n" + encode_line(make_row()) + b"\n"
        (tmp_path / "active" / f"{number:032x}-0.jsonl").write_bytes(line)
    return tmp_path


def test_rows_of_many_small_files_are_taken_together(log: Path, monkeypatch: pytest.MonkeyPatch):
    """One insertion for each file takes 10 ms: a reader of thousands never came to their end."""
    batches: list[int] = []
    insert = LiveRows._insert

    def counted(self, batch):
        batches.append(batch.num_rows)
        insert(self, batch)

    monkeypatch.setattr(LiveRows, "_insert", counted)
    answer = desk_of(log).answer(ask.AskRates())
    assert (answer.total.sessions, answer.progress.complete) == (FILES, True)
    assert batches == [FILES]


def test_the_time_of_a_question_is_for_files_that_have_something_new(
    log: Path, monkeypatch: pytest.MonkeyPatch
):
    """Looking at those that were read must not use it up: every question gets further."""
    for name in ("_READ_S_MAX", "_FIRST_READ_S_MAX"):
        monkeypatch.setattr(f"lakehouse.sessionlog.index.live.{name}", 0.0)
    desk = desk_of(log)
    found = [desk.answer(ask.AskRates()) for _ in range(6)]
    # One line at a time: each of these files begins with an empty one.
    assert [one.total.sessions for one in found] == [0, 1, 1, 2, 2, 3]
    assert not found[-1].progress.complete


def test_an_error_in_the_middle_loses_no_row(log: Path, monkeypatch: pytest.MonkeyPatch):
    """What was read and is in no table yet is read again."""
    desk = desk_of(log)
    with monkeypatch.context() as broken:
        raised: list[int] = []

        def full(_, batch):
            raised.append(batch.num_rows)
            raise duckdb.OutOfMemoryException("there is no memory left")

        broken.setattr(LiveRows, "_insert", full)
        with pytest.raises(MemoryError):
            desk.answer(ask.AskRates())
        assert raised == [FILES]
    answer = desk.answer(ask.AskRates())
    assert (answer.total.sessions, answer.progress.complete) == (FILES, True)
