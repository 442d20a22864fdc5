"""Labels as replays read them: the latest one of each row. What is saved twice, and what checks."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from lakehouse.core.clock import FixedClock
from lakehouse.core.errors import Refusal
from lakehouse.core.replay_row import Feedback, FeedbackRequest
from lakehouse.core.row_codec import encode_line
from lakehouse.feedback.labels import check_correction, give_feedback, latest_feedback
from lakehouse.sessionlog.layout import FEEDBACK
from lakehouse.sessionlog.shared_file import append_lines, whole_lines
from support.filled_log import fill
from support.joint import EVENT, kind_of
from support.rows import make_feedback, make_row
from support.sessions import catalog


def test_the_latest_label_of_a_row_holds(tmp_path: Path):
    """Rows do not share labels, even those of one session."""
    first, other = make_feedback(label="wrong"), make_feedback(label="right")
    later = make_feedback(row_id=first.row_id, label="right", comment="checked again")
    append_lines(tmp_path / FEEDBACK, [encode_line(one) for one in (first, other, later)])

    assert latest_feedback(tmp_path) == {first.row_id: later, other.row_id: other}


def test_a_damaged_line_changes_no_label(tmp_path: Path):
    """Neither a changed byte nor a line that is not JSON; the lines around them are read."""
    before, damaged, after = (make_feedback() for _ in range(3))
    line = encode_line(damaged).replace(b'"author":"ana"', b'"author":"bob"')
    assert line != encode_line(damaged)
    append_lines(tmp_path / FEEDBACK, [encode_line(before), line, b"{", encode_line(after)])

    assert set(latest_feedback(tmp_path)) == {before.row_id, after.row_id}


def test_without_a_file_there_are_no_labels(tmp_path: Path):
    """A new log has none."""
    assert latest_feedback(tmp_path) == {}


def test_what_is_said_at_the_same_time_twice_is_one_label(tmp_path: Path):
    """A form that is sent by a double click; the other way of giving feedback writes each."""
    row = make_row()
    fill(tmp_path, row)
    request = FeedbackRequest(session_id=row.session_id, label="right", author="ana")
    together = threading.Barrier(4)

    def give(once: bool) -> Feedback:
        together.wait(60)
        return give_feedback(tmp_path, request, catalog=catalog(), clock=FixedClock(), once=once)

    with ThreadPoolExecutor(4) as threads:
        given = list(threads.map(give, [True] * 4))
        assert len({one.feedback_id for one in given}) == 1
        assert len(list(whole_lines(tmp_path / FEEDBACK))) == 1
        list(threads.map(give, [False] * 4))
    assert len(list(whole_lines(tmp_path / FEEDBACK))) == 5


def test_a_check_writes_nothing_and_says_where(tmp_path: Path):
    """Of the schema in force; without one that can check, it is refused."""
    row = make_row(kind="event")
    known = catalog(event=kind_of(EVENT))
    [finding] = check_correction(row, msgspec.Raw(b'{"code":1}'), known)
    assert (finding.code, finding.path) == ("schema", "/code")
    assert check_correction(row, msgspec.Raw(b'{"code":"LHR"}'), known) == ()
    with pytest.raises(Refusal, match="'event' is not configured now") as told:
        check_correction(row, msgspec.Raw(b'{"code":"LHR"}'), catalog())
    assert told.value.code == "unknown_kind"
