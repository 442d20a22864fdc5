"""Forgetting one session: gone from every reader at once, and from the disk where it may be."""

from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lakehouse.core.errors import LakehouseError
from lakehouse.core.ids import new_id
from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.forgotten import forgotten_sessions
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.forgetting import forget
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.reading.reader import find_rows, read_rows
from lakehouse.sessionlog.reading.sessions import list_sessions
from lakehouse.sessionlog.reading.stats import stats
from lakehouse.sessionlog.reading.views import open_views
from lakehouse.sessionlog.shared_file import append_lines, whole_lines
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.dead_writer import dead_writer
from support.rows import make_feedback, make_replay_run, make_row, make_started

SECRET = "the words of somebody who asked to be forgotten"


def holds(root: Path) -> list[str]:
    """List the files in which the secret stands, table included; Parquet by its text."""
    found = []
    for path in sorted(root.rglob("*")):
        if path.suffix == ".parquet":
            with open_views(root) as connection:
                query = f"SELECT prompt, line FROM read_parquet('{path}')"
                text = str(connection.execute(query).fetchall())
        elif path.is_file():
            text = path.read_text(errors="replace")
        else:
            continue
        if SECRET in text:
            found.append(path.relative_to(root).as_posix())
    return found


def shown(root: Path, session_id: str) -> list[int]:
    """Count what each reader shows of a session."""
    with open_views(root) as connection:
        [(in_views,)] = connection.execute(
            "SELECT count(*) FROM sessions WHERE session_id = ?", [session_id]
        ).fetchall()
    lines = [line for line in read_rows(root) if session_id.encode() in line]
    pages = [line for line in list_sessions(root, limit=200).rows if session_id.encode() in line]
    return [in_views, len(lines), len(pages), len(find_rows(root, session_id))]


def test_a_session_with_a_number_that_no_float_holds_is_forgotten(tmp_path: Path):
    row = make_row(session_id=new_id(), artifact=msgspec.Raw(b'{"delay":1e400}'))
    dead_writer(tmp_path, rows=[row, make_row()])
    assert forget(tmp_path, row.session_id).rows == 1
    assert shown(tmp_path, row.session_id) == [0, 0, 0, 0]


@pytest.mark.parametrize("place", ["active", "sealed", "table", "segment and table"])
def test_a_session_is_removed_wherever_it_lies(tmp_path: Path, place: str):
    """The other rows stay, byte for byte, and the log is sound."""
    kept = [make_row() for _ in range(3)]
    secret = make_row(session_id=new_id(), prompt=SECRET)
    again = make_row(session_id=secret.session_id, prompt=SECRET)
    dead_writer(tmp_path, rows=[kept[0], secret, kept[1], again, kept[2]])
    if place != "active":
        seal(tmp_path)
    if "table" in place:
        compact(tmp_path, retention_h=0 if place == "table" else 24)
    assert shown(tmp_path, secret.session_id) == [2, 2, 2, 2]
    done = forget(tmp_path, secret.session_id)
    assert (done.rows, done.left) == (2, ())
    assert shown(tmp_path, secret.session_id) == [0, 0, 0, 0]
    assert find_rows(tmp_path, again.row_id) == []
    assert sorted(read_rows(tmp_path)) == sorted(map(encode_line, kept))
    assert stats(tmp_path).sessions == 3
    assert holds(tmp_path) == []
    assert verify(tmp_path).sound


def test_a_file_of_the_table_that_no_commit_names_is_removed_too(tmp_path: Path):
    """Delta leaves such files, with views of strings where it deleted rows."""
    kept, gone = make_row(session_id=new_id()), make_row(session_id=new_id())
    dead_writer(tmp_path, rows=[kept, gone])
    forget(tmp_path, kept.session_id)
    left = {}
    for row in (kept, gone):
        left[row.session_id] = tmp_path / "table" / f"{row.session_id}.parquet"
        ids = pa.array([row.session_id], pa.string_view())
        pq.write_table(pa.table({"session_id": ids}), left[row.session_id])
    forget(tmp_path, gone.session_id)
    assert [path.exists() for path in left.values()] == [True, False]


def test_what_a_living_writer_holds_is_hidden_and_named(tmp_path: Path):
    """Its own file is not ours to change; forgetting again, later, removes it."""
    writer = SessionLogWriter.open(tmp_path, daemon="validatord")
    secret = make_row(prompt=SECRET)
    writer.started(make_started(secret))
    (tmp_path / "inbox.jsonl").write_bytes(
        b"\n" + encode_line(make_row(session_id=secret.session_id, prompt=SECRET)) + b"\n"
    )
    done = forget(tmp_path, secret.session_id)
    segment = next((tmp_path / "active").iterdir()).name
    assert done.left == (f"active/{segment}", "inbox.jsonl")
    assert shown(tmp_path, secret.session_id) == [0, 0, 0, 0]
    assert DeltaTable(str(tmp_path / "table")).count() == 0


def test_its_feedback_and_replays_go_too(tmp_path: Path):
    """Out of files that are never rotated; the lines of other sessions stay as they are."""
    secret, other = make_row(prompt=SECRET), make_row()
    dead_writer(tmp_path, rows=[secret, other])
    kept = [
        encode_line(make_feedback(session_id=other.session_id)),
        encode_line(make_replay_run(session_id=other.session_id)),
    ]
    for name, line in (
        ("feedback.jsonl", make_feedback(session_id=secret.session_id, comment=SECRET)),
        ("replay_runs.jsonl", make_replay_run(session_id=secret.session_id)),
    ):
        append_lines(tmp_path / name, [encode_line(line)])
    append_lines(tmp_path / "feedback.jsonl", kept[:1])
    append_lines(tmp_path / "replay_runs.jsonl", kept[1:])

    assert forget(tmp_path, secret.session_id).left == ()

    assert holds(tmp_path) == []
    assert list(whole_lines(tmp_path / "feedback.jsonl")) == kept[:1]
    assert list(whole_lines(tmp_path / "replay_runs.jsonl")) == kept[1:]
    with open_views(tmp_path) as connection:
        for view in ("feedback", "replays"):
            found = connection.execute(f"SELECT session_id FROM {view}").fetchall()
            assert found == [(other.session_id,)]


def test_an_unknown_session_is_an_error(tmp_path: Path):
    """And is not put on the list; one that was forgotten is not unknown."""
    row = make_row()
    dead_writer(tmp_path, rows=[row])
    with pytest.raises(LakehouseError, match="no session 'nobody'"):
        forget(tmp_path, "nobody")
    assert forgotten_sessions(tmp_path) == frozenset()
    assert forget(tmp_path, row.session_id).rows == 1
    assert forget(tmp_path, row.session_id).rows == 0


def test_a_torn_entry_hides_nothing_and_harms_no_other(tmp_path: Path):
    """Newline first, as in the log."""
    rows = [make_row(), make_row()]
    dead_writer(tmp_path, rows=rows)
    forget(tmp_path, rows[0].session_id)
    path = tmp_path / "forgotten.jsonl"
    path.write_bytes(path.read_bytes() + b'\n{"schema":"session_log.forgo')
    forget(tmp_path, rows[1].session_id)
    assert forgotten_sessions(tmp_path) == {rows[0].session_id, rows[1].session_id}
