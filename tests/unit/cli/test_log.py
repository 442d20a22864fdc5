"""`lakehouse log`: what an operator sees, and the exit codes."""

import json
import os
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.files.locks import exclusively
from support.dead_writer import dead_writer
from support.forked_commands import run_command
from support.rows import make_row


def log(directory: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    return lakehouse_("log", *arguments, directory=directory, code=code)


def ask(directory: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    return lakehouse_("query", *arguments, directory=directory, code=code)


def lakehouse_(
    *arguments: str, directory: Path, code: int | None = 0
) -> subprocess.CompletedProcess[str]:
    done = run_command(
        arguments,
        cwd=directory,
        env={**os.environ, "LAKEHOUSE_LOG__PATH": '"sessions"'},
        timeout=60,
    )
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done


def test_an_operator_finds_reaps_and_seals(tmp_path: Path):
    """One session crashed; its row is written, its file sealed, everything is sound."""
    dead_writer(tmp_path / "sessions", rows=[make_row()], running=[make_row()])

    before = json.loads(log(tmp_path, "verify", "--json").stdout)
    assert {key: before[key] for key in ("files", "rows", "unfinished", "bad")} == {
        "files": 1,
        "rows": 1,
        "unfinished": 1,
        "bad": [],
    }
    assert log(tmp_path, "reap").stdout == "wrote 1 row of crashed sessions\n"
    assert "sealed 2 segments" in log(tmp_path, "seal").stdout
    after = log(tmp_path, "verify").stdout
    assert after.startswith(
        "2 files, 2 rows, 0 of them in the table, 0 written twice, 0 without crc,"
    )
    assert after.endswith("sound\n")


def test_damage_is_exit_code_1(tmp_path: Path):
    """With file, line, byte and reason."""
    dead_writer(tmp_path / "sessions", rows=[make_row()])
    (path,) = (tmp_path / "sessions" / "active").iterdir()
    with path.open("ab") as file:
        file.write(b"\nnonsense\n")

    shown = log(tmp_path, "verify", code=1).stdout
    (bad,) = json.loads(log(tmp_path, "verify", "--json", code=1).stdout)["bad"]

    assert f"active/{path.name}:" in shown
    assert "damaged" in shown
    assert bad["file"] == f"active/{path.name}"
    assert (bad["bytes"], bad["listed"]) == (8, False)
    log(tmp_path, "seal")
    log(tmp_path, "verify")


def test_a_log_that_is_not_there_is_sound(tmp_path: Path):
    """And is not made by looking at it."""
    assert "sound" in log(tmp_path, "verify").stdout
    assert not (tmp_path / "sessions").exists()


def test_another_process_at_it_is_exit_code_3(tmp_path: Path, monkeypatch):
    """After ten seconds, with one clear message."""
    (tmp_path / "sessions").mkdir(mode=0o700)
    with exclusively(tmp_path / "sessions" / "reap.lock", 0):
        done = log(tmp_path, "reap", code=3)
    assert "reap.lock" in done.stderr
    assert "Traceback" not in done.stderr


def test_compact_and_forget(tmp_path: Path):
    """What was done, in a sentence or as JSON; the log is one log before and after."""
    rows = [make_row(), make_row()]
    dead_writer(tmp_path / "sessions", rows=rows)

    shown = log(tmp_path, "compact").stdout
    assert shown.startswith(
        f"added 2 rows of 1 segments to {tmp_path}/sessions/table (0 already there"
    )
    again = json.loads(log(tmp_path, "compact", "--json", "--retention-h", "0").stdout)
    assert (again["rows"], again["removed"], again["damaged"]) == (0, 1, [])
    shown = log(tmp_path, "forget", rows[0].session_id).stdout
    assert shown == f"forgot {rows[0].session_id}: 1 rows, hidden from every reader\n"
    refused = log(tmp_path, "forget", "nobody", code=1)
    assert f"no session 'nobody' in {tmp_path}/sessions" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_damaged_segment_is_left_out_of_the_table_with_exit_code_1(tmp_path: Path):
    """And named."""
    dead_writer(tmp_path / "sessions", rows=[make_row()])
    log(tmp_path, "seal")
    (path,) = (tmp_path / "sessions" / "sealed").glob("*.jsonl")
    path.write_bytes(path.read_bytes() + b"x")

    assert f"sealed/{path.name} is damaged" in log(tmp_path, "compact", code=1).stdout


def test_a_query_is_printed_in_every_format(tmp_path: Path):
    """The same two cells, one of them empty, one with what would end a cell."""
    dead_writer(tmp_path / "sessions", rows=[make_row(kind=None, prompt='a|b\n"c"')])
    sql = "SELECT kind, prompt FROM sessions"

    assert ask(tmp_path, sql).stdout.split() == ["kind", "prompt", "a|b", '"c"']
    assert ask(tmp_path, "--format", "csv", sql).stdout == 'kind,prompt\n,"a|b\n""c"""\n'
    assert ask(tmp_path, "--format", "markdown", sql).stdout.splitlines() == [
        "| kind | prompt |",
        "| --- | --- |",
        '|  | a\\|b "c" |',
    ]
    cells = [{"kind": None, "prompt": 'a|b\n"c"'}]
    assert json.loads(ask(tmp_path, "--format", "json", sql).stdout) == cells
    assert json.loads(ask(tmp_path, "--json", sql).stdout) == cells


def test_a_query_into_parquet_keeps_its_types(tmp_path: Path):
    """Times are times, nested members JSON text; the whole file or none."""
    dead_writer(tmp_path / "sessions", rows=[make_row(), make_row()])
    ask(tmp_path, "--format", "parquet", "-o", "out.parquet", "SELECT * FROM sessions")

    table = pq.read_table(tmp_path / "out.parquet")
    assert table.num_rows == 2
    assert pa.types.is_timestamp(table.schema.field("timestamp").type)
    assert pa.types.is_integer(table.schema.field("iterations").type)
    assert json.loads(table["attempts"][0].as_py())[0]["iteration"] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "sessions"]

    missing = ask(tmp_path, "--format", "parquet", "-o", "no/such.parquet", "SELECT 1", code=2)
    assert "Cannot write no/such.parquet" in missing.stderr
    for arguments in (["--format", "parquet"], ["-o", "x.csv"]):
        assert (
            "--output and --format parquet need each other"
            in ask(tmp_path, *arguments, "SELECT 1", code=2).stderr
        )


def test_a_damaged_table_is_said_by_everyone_and_no_traceback_is_seen(tmp_path: Path):
    """Each of its files cut in half: `verify` is exit code 1, readers are one message."""
    dead_writer(tmp_path / "sessions", rows=[make_row(), make_row()])
    log(tmp_path, "compact", "--retention-h", "0")
    sound = json.loads(log(tmp_path, "verify", "--json").stdout)
    assert (sound["files"], sound["rows"], sound["compacted"]) == (0, 2, 2)
    for file in (tmp_path / "sessions" / "table").rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    (bad,) = json.loads(log(tmp_path, "verify", "--json", code=1).stdout)["bad"]
    assert bad["file"] == "table"
    assert "cannot be read" in bad["reason"]
    for command in (["sessions"], ["stats"], ["tail"], ["show", "01a"], ["query", "FROM sessions"]):
        shown = lakehouse_(*command, directory=tmp_path, code=None)
        assert shown.returncode in {1, 3}, command
        assert "Traceback" not in shown.stderr, command
        assert shown.stderr.startswith("error: "), command


def test_a_row_of_the_table_that_changed_is_found(tmp_path: Path):
    """Its crc no longer holds."""
    dead_writer(tmp_path / "sessions", rows=[make_row(), make_row()])
    log(tmp_path, "compact", "--retention-h", "0")
    (file,) = (tmp_path / "sessions" / "table").rglob("*.parquet")
    table = pq.read_table(file)
    lines = [line.replace("is late", "is Late") for line in table["line"].to_pylist()]
    changed = table.set_column(table.schema.get_field_index("line"), "line", pa.array(lines))
    pq.write_table(changed, file)

    bad = json.loads(log(tmp_path, "verify", "--json", code=1).stdout)["bad"]
    assert ["was changed" in damage["reason"] for damage in bad] == [True, True]


def test_doctor_and_verify_tell_of_what_is_no_file_of_the_log(tmp_path: Path):
    """With its name, what it is, and what to do."""
    dead_writer(tmp_path / "sessions", rows=[make_row()], running=[])
    os.mkfifo(tmp_path / "sessions" / "active" / "foreign-0.jsonl")
    found = json.loads(log(tmp_path, "verify", "--json", code=1).stdout)
    assert [(bad["file"], bad["line"]) for bad in found["bad"]] == [("active/foreign-0.jsonl", 0)]
    arguments = ("doctor", "log entries", "--json")
    told = lakehouse_(*arguments, directory=tmp_path, code=None).stdout
    [check] = json.loads(told)["checks"]
    assert check["state"] == "warning"
    assert "active/foreign-0.jsonl: it is a FIFO" in check["detail"]
    assert "move it out" in str(check)
