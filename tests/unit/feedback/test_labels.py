"""Labels as replays read them: the latest one of each row."""

from pathlib import Path

from lakehouse.core.row_codec import encode_line
from lakehouse.feedback.labels import latest_feedback
from lakehouse.sessionlog.layout import FEEDBACK
from lakehouse.sessionlog.shared_file import append_lines
from support.rows import make_feedback


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
