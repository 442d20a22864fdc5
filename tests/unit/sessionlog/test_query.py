"""SQL over the log: live, damaged, empty and hostile."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import lakehouse
from lakehouse.core.errors import SetupError
from lakehouse.core.row import LoggedError
from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.layout import LogFile, manifest_path
from lakehouse.sessionlog.manifest import BadLine, Manifest, encode_manifest, examine
from lakehouse.sessionlog.reading.columns import SESSION_COLUMNS
from lakehouse.sessionlog.reading.query import QueryFailed, query
from lakehouse.sessionlog.reading.reader import find_rows
from lakehouse.sessionlog.reading.sessions import list_sessions
from lakehouse.sessionlog.reading.stats import stats
from lakehouse.sessionlog.reading.views import open_views
from support.filled_log import fill
from support.rows import (
    make_attempt,
    make_feedback,
    make_replay_run,
    make_row,
    rejected_attempt,
)

SOURCE = str(Path(lakehouse.__file__).parent.parent)
TESTS = str(Path(__file__).parents[2])
VIEWS = ("sessions", "attempts", "findings", "replays", "feedback", "log_bad_lines")


def ask(root: Path, sql: str):
    with open_views(root, bad=True) as connection:
        return connection.execute(sql).fetchall()


def manifest_of(path: Path) -> Manifest:
    """Examine a sealed segment, as sealing does."""
    file = LogFile(path.parents[1], "sealed", path.name, path.name.partition("-")[0], 0)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return examine(file, descriptor)[0]
    finally:
        os.close(descriptor)


def append(root: Path, data: bytes) -> None:
    [path] = (root / "active").iterdir()
    with path.open("ab") as file:
        file.write(data)


@pytest.mark.parametrize("made", [False, True])
def test_an_empty_log_has_empty_views(tmp_path: Path, made: bool):
    """No directory, or a log that no session came to: zero rows, no error."""
    if made:
        fill(tmp_path)
    for view in VIEWS:
        assert ask(tmp_path, f"SELECT count(*) FROM {view}") == [(0,)]


def test_the_columns_are_the_members_of_a_row(tmp_path: Path):
    """Every member is a column, in the row's order; what can be cut has its marker beside it."""
    members = list(json.loads(encode_line(make_row())))
    assert [name for name in SESSION_COLUMNS if not name.endswith("_truncated")] == members
    fill(tmp_path, make_row())
    attempt = list(json.loads(encode_line(make_row()))["attempts"][0])
    with open_views(tmp_path) as connection:
        names = [column[0] for column in connection.execute("FROM attempts").description]
    assert [name for name in names if not name.endswith("_truncated")] == [
        "session_id",
        "row_id",
        *attempt,
        "narrowed",
    ]


def test_values_arrive_with_their_types(tmp_path: Path):
    """Numbers, times, structs and JSON can be used without a cast; null is NULL."""
    row = make_row(verdict="infra_error", error=LoggedError("connect", "no"), kind=None)
    fill(tmp_path, row)
    assert ask(
        tmp_path,
        "SELECT timestamp = TIMESTAMP '2026-01-02 03:04:05.678901', usage.prompt_tokens, "
        "error.code, kind, conversation_id, artifact ->> '$.airport', duration_ms + 1, grounded, "
        "inline_schema, settings ->> '$.constrain' FROM sessions",
    ) == [(True, 10, "connect", None, None, "OSL", 13, True, None, "auto")]


def test_attempts_and_findings_are_rows_of_their_own(tmp_path: Path):
    """One per attempt and per finding, joined by row_id."""
    attempts = (
        rejected_attempt(0, "ungrounded"),
        rejected_attempt(1, told="again"),
        make_attempt(2, told="once more"),
    )
    fill(tmp_path, make_row(attempts=attempts, iterations=3, accepted_iteration=2), make_row())
    assert ask(tmp_path, "SELECT count(*), sum(usage.completion_tokens) FROM attempts") == [(4, 80)]
    assert ask(tmp_path, "SELECT iteration, code, path, got FROM findings ORDER BY iteration") == [
        (0, "ungrounded", "/airport", '"QQQ"'),
        (1, "schema", "/airport", '"QQQ"'),
    ]
    assert ask(tmp_path, "SELECT told FROM attempts WHERE iteration = 1") == [("again",)]


def test_damage_gives_no_ghosts_and_costs_no_good_row(tmp_path: Path):
    """Torn, garbled, wrong and foreign lines are no sessions, and all but the last are listed."""
    good, late = make_row(), make_row()
    fill(tmp_path, good)
    torn = encode_line(make_row())[:300]
    wrong = encode_line(make_row()).replace(b'"iterations":1', b'"iterations":{}')
    for damage in (torn, b"\x00" * 50, b'"text"', b"[1]", b"{}", b"\xff", wrong, b'{"a":NaN}'):
        append(tmp_path, b"\n" + damage + b"\n")
    append(tmp_path, b"\n" + encode_line(late) + b"\n")
    assert sorted(ask(tmp_path, "SELECT row_id, iterations FROM sessions")) == sorted(
        [(good.row_id, 1), (late.row_id, 1)]
    )
    bad = ask(tmp_path, "SELECT file, line, bytes, reason FROM log_bad_lines ORDER BY line")
    assert len(bad) == 8
    assert bad[0][2] == 300
    assert all(file.startswith("active/") and reason for file, _, _, reason in bad)


def test_a_row_written_twice_is_one_session(tmp_path: Path):
    """After a disk error the same row lies in two segments."""
    row = make_row()
    fill(tmp_path, row)
    (tmp_path / "inbox.jsonl").write_bytes(b"\n" + encode_line(row) + b"\n")
    assert ask(tmp_path, "SELECT count(*) FROM sessions") == [(1,)]
    assert ask(tmp_path, "SELECT count(*) FROM attempts") == [(1,)]


def test_the_longest_row_can_be_queried(tmp_path: Path):
    """8 MiB in one line, and a damaged line of 40 MB beside it."""
    fill(tmp_path, make_row(attempts=(make_attempt(output="x" * (8_380_000)),)))
    append(tmp_path, b"\n" + b"x" * 40_000_000 + b"\n")
    assert ask(tmp_path, "SELECT length(output) FROM attempts") == [(8_380_000,)]


def test_clean_sealed_segments_are_read_strictly(tmp_path: Path):
    """Damage since then is left out where the file's time tells of it, and loud where not."""
    row = make_row()
    fill(tmp_path, row)
    [path] = (tmp_path / "active").iterdir()
    sealed = tmp_path / "sealed" / path.name
    path.rename(sealed)
    manifest = sealed.with_name(sealed.name + ".manifest.json")
    clean = manifest_of(sealed)
    manifest.write_bytes(encode_manifest(clean))
    assert ask(tmp_path, "SELECT row_id FROM sessions") == [(row.row_id,)]
    before = sealed.stat()
    with sealed.open("ab") as file:
        file.write(b"\n{torn\n")
    os.utime(sealed, ns=(before.st_atime_ns, manifest.stat().st_mtime_ns + 1))
    assert ask(tmp_path, "SELECT row_id FROM sessions") == [(row.row_id,)]
    os.utime(sealed, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(Exception, match=r"[Mm]alformed JSON"):
        ask(tmp_path, "SELECT row_id FROM sessions")
    damaged = msgspec.structs.replace(clean, bad_lines=(BadLine(7, 0, 6, "no JSON"),))
    manifest.write_bytes(encode_manifest(damaged))
    assert ask(tmp_path, "SELECT row_id FROM sessions") == [(row.row_id,)]


def test_a_manifest_that_is_not_whole_is_not_trusted(tmp_path: Path):
    """The segment is read with care then, damage left out."""
    row = make_row()
    fill(tmp_path, row)
    [path] = (tmp_path / "active").iterdir()
    sealed = tmp_path / "sealed" / path.name
    path.rename(sealed)
    with sealed.open("ab") as file:
        file.write(b"\n{torn\n")
    manifest_path(tmp_path, path.name).write_text('{"bad_lines":[]}')
    assert ask(tmp_path, "SELECT row_id FROM sessions") == [(row.row_id,)]


def test_replays_and_feedback_have_their_views(tmp_path: Path):
    """Both files are plain lines beside the segments."""
    fill(tmp_path)
    run, feedback = make_replay_run(), make_feedback()
    (tmp_path / "replay_runs.jsonl").write_bytes(b"\n%b\n\n{torn" % encode_line(run))
    (tmp_path / "feedback.jsonl").write_bytes(b"\n%b\n" % encode_line(feedback))
    replays = "SELECT run_id, candidate.verdict, baseline.usage.prompt_tokens, artifact_equal"
    assert ask(tmp_path, f"{replays} FROM replays") == [
        (run.run_id, "accepted", run.baseline.usage.prompt_tokens, True)
    ]
    assert ask(tmp_path, "SELECT label, artifact ->> '$.delay' FROM feedback") == [
        ("corrected", "1.1")
    ]


_LIVE_WRITER = f"""
import asyncio, os, sys
sys.path[:0] = [{SOURCE!r}, {TESTS!r}]
from pathlib import Path
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.rows import make_row, make_started

async def main():
    writer = SessionLogWriter.open(Path(sys.argv[1]), daemon=sys.argv[2], durability="os")
    number = 0
    for _ in range(5_000):
        row = make_row(prompt="p" * (number * 7919 % 20_000), daemon=sys.argv[2],
                       metadata={{"n": str(number)}})
        writer.started(make_started(row))
        await writer.append(row)
        number += 1
        if number == 5:
            os.write(1, b"ready\\n")
        await asyncio.sleep(0.01)

asyncio.run(main())
"""


@pytest.mark.slow
def test_queries_beside_two_living_writers(tmp_path: Path):
    """Forty reads or more: no error, no row without an id, no gap, counts that only grow."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _LIVE_WRITER, str(tmp_path / "log"), name],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    try:
        for process in writers:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        before = {"a": 0, "b": 0}
        reads = 0
        while reads < 40 or min(before.values()) <= 20:  # and until both have written meanwhile
            reads += 1
            rows = ask_quick(
                tmp_path / "log",
                "SELECT daemon, count(*), count(DISTINCT row_id), count(prompt), "
                "max(CAST(metadata ->> '$.n' AS BIGINT)) + 1 FROM sessions GROUP BY daemon",
            )
            assert {row[0] for row in rows} == {"a", "b"}
            for daemon, sessions, ids, prompts, highest in rows:
                assert sessions == ids == prompts == highest, "a gap, a ghost or a double"
                assert sessions >= before[daemon]
                before[daemon] = sessions
    finally:
        for process in writers:
            process.kill()
            process.communicate(timeout=60)


def ask_quick(root: Path, sql: str):
    with open_views(root) as connection:
        return connection.execute(sql).fetchall()


def test_query_answers_with_columns_and_json_cells(tmp_path: Path):
    """What the command prints: unique names, nested values as JSON, times in UTC."""
    fill(tmp_path, make_row())
    result = query(
        tmp_path,
        "SELECT verdict, iterations, usage, artifact, timestamp, now() AS now, 1 AS a, 2 AS a, "
        "'NaN'::DOUBLE AS nan, NULL AS nothing FROM sessions; -- done",
    )
    assert [column.name for column in result.columns][-4:] == ["a", "a_1", "nan", "nothing"]
    [row] = json.loads(result.json())
    assert row.pop("now").endswith("+00")
    assert row == {
        "verdict": "accepted",
        "iterations": 1,
        "usage": {"prompt_tokens": 10, "completion_tokens": 20},
        "artifact": {"airport": "OSL", "delay": 1.1},
        "timestamp": "2026-01-02 03:04:05.678901",
        "a": 1,
        "a_1": 2,
        "nan": "NaN",
        "nothing": None,
    }


def test_query_lists_bad_lines_when_it_names_them(tmp_path: Path):
    """The strict pass is made for this view only."""
    fill(tmp_path)
    append(tmp_path, b"\n{torn\n")
    [bad] = json.loads(query(tmp_path, "SELECT line, reason FROM LOG_bad_lines").json())
    assert bad["line"] == 3
    assert "no crc" in bad["reason"]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT 1; SELECT 2", "2 statements"),
        ("", "0 statements"),
        ("COPY (SELECT 1) TO 'x'", "COPY"),
        ("CREATE TABLE t (a INT)", "CREATE"),
        ("ATTACH 'x.db'", "ATTACH"),
        ("SET threads = 1", "SET"),
        ("SELECT * FROM nowhere", "nowhere"),
        ("SELEC 1", "SELEC"),
        ("SELECT * FROM read_text('/etc/passwd')", "Permission Error"),
        ("SELECT * FROM read_csv('{root}/writers/*')", "Permission Error"),
        ("SELECT * FROM glob('/*')", "Permission Error"),
    ],
)
def test_anything_but_one_reading_select_is_refused(tmp_path: Path, sql: str, reason: str):
    """One line that says why; nothing outside the log is read, nothing is written."""
    fill(tmp_path / "log", make_row())
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SetupError, match=reason) as refused:
        query(tmp_path / "log", sql.format(root=tmp_path / "log"))
    assert "\n" not in refused.value.public
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT length(repeat('a', 3000000000))", "Out of Memory"),
        ("SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b", "longer than"),
        ("FROM range(1000)", "more than 100 rows"),
    ],
)
def test_the_operating_system_ends_what_takes_too_much(tmp_path: Path, sql: str, reason: str):
    """Memory, time and rows are bounded, and the caller is told which."""
    with pytest.raises(QueryFailed, match=reason):
        query(tmp_path, sql, timeout_ms=2_000, rows_max=100)


def test_no_environment_reaches_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A key in our environment cannot come out of a query."""
    monkeypatch.setenv("REMOTE_API_KEY", "canary-1234")
    fill(tmp_path)
    with pytest.raises(SetupError):
        query(tmp_path, "SELECT getenv('REMOTE_API_KEY')")
    with pytest.raises(SetupError, match="Permission"):
        query(tmp_path, "SELECT content FROM read_text('/proc/self/environ')")
    assert find_rows(tmp_path, "canary-1234") == []


@pytest.mark.parametrize("told", [True, False], ids=["by its time", "by nothing but its bytes"])
@pytest.mark.parametrize("damage", [0x01, ord("x")], ids=["no JSON", "JSON"])
def test_a_sealed_file_that_was_damaged_later_takes_no_good_row_along(
    tmp_path: Path, told: bool, damage: int
):
    """Its damaged line is left out, and that is said; only a file's own time gives JSON away."""
    fill(tmp_path, *(make_row() for _ in range(3)))
    seal(tmp_path)
    [file] = (tmp_path / "sealed").glob("*.jsonl")
    before = file.stat()
    data = bytearray(file.read_bytes())
    data[data.index(b'"verdict"') + 1] = damage
    file.write_bytes(data)
    if not told:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    found = query(tmp_path, "SELECT count(*) FROM sessions")
    assert [bytes(cell) for row in found.rows for cell in row] == [b"2"]
    assert stats(tmp_path).sessions == 2
    assert len(list_sessions(tmp_path).rows) == 2
    assert not verify(tmp_path).sound
    if told or damage == 0x01:
        assert found.warning is not None
        assert file.name in found.warning
