"""Nothing that others wrote steers a terminal, forges a line or becomes a formula."""

import asyncio
import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.cli import terminal
from lakehouse.cli.terminal import on_one_line
from lakehouse.core.row import LoggedError
from lakehouse.core.visible import visible
from lakehouse.sessionlog.reading.query import query
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from lakehouse.tabular.csv_export import csv_lines
from support.forked_commands import run_command_bytes
from support.rows import make_attempt, make_row, rejected_attempt

# Clears the screen, sets the title, an 8-bit CSI, turns the direction, hides tags.
EVIL = "a\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp.exe\u2066\x7f\r\x08\U000e0041\u2028z"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2066-\u2069\U000e0041]")


def make_evil_log(root: Path) -> None:
    attempts = (
        rejected_attempt(0, "schema"),
        make_attempt(1, output=EVIL, told=EVIL, thinking=EVIL),
    )
    row = make_row(
        prompt=EVIL,
        kind=EVIL,
        model=EVIL,
        model_alias=EVIL,
        provider=EVIL,
        daemon="d" + EVIL,
        session_id="s" + EVIL,
        row_id="r" + EVIL,
        attempts=attempts,
        iterations=2,
        accepted_iteration=1,
        conversation_id=EVIL,
    )
    failed = make_row(verdict="infra_error", error=LoggedError("connect", EVIL), kind=EVIL)
    writer = SessionLogWriter.open(root, daemon="validatord")
    for one in (row, failed):
        asyncio.run(writer.append(one))
    writer.close()
    (root / "active" / f"x{EVIL.replace('/', '')}.jsonl").write_bytes(b"{}\n")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    make_evil_log(tmp_path / "lakehouse-data" / "sessions")
    (tmp_path / "lakehouse.toml").write_text(
        '[gateway]\nlisten = "127.0.0.1:0"\n[models.m]\nprovider = "ollama"\nmodel = "m"\n'
        'base_url = "http://127.0.0.1:9"\npreload = false\n'
    )
    return tmp_path


def run(project: Path, *arguments: str, tty: bool = False) -> tuple[str, int]:
    """Run a command; what it wrote on both streams, and its exit code."""
    environment = {
        **os.environ,
        "NO_COLOR": "1",
        "TERM": "dumb",
    }
    if not tty:
        ended = run_command_bytes(arguments, cwd=project, env=environment, timeout=100)
        return (ended.stdout + ended.stderr).decode("utf-8"), ended.returncode
    command = [sys.executable, "-m", "lakehouse", *arguments]
    main, other = pty.openpty()
    process = subprocess.Popen(
        command, cwd=project, env=environment, stdin=other, stdout=other, stderr=other
    )
    os.close(other)
    data = b""
    while True:
        try:
            block = os.read(main, 1 << 16)
        except OSError:  # how a terminal says that the other side has closed
            break
        if not block:
            break
        data += block
    os.close(main)
    return data.decode("utf-8"), process.wait(100)


@pytest.mark.parametrize(
    "arguments",
    [
        ("sessions",),
        ("tail",),
        ("tail", "-n", "1"),
        ("stats", "--by", "model,kind,provider,daemon"),
        ("log", "verify"),
        ("doctor", "log"),
        ("query", "FROM sessions"),
        ("query", "SELECT prompt AS \"x\x1b[2J\", chr(27) || chr(155) AS y FROM sessions"),
        ("query", "FROM attempts", "--format", "markdown"),
        ("query", "FROM log_bad_lines"),
        ("query", "SELECT \x1b[2J"),
        ("sessions", "--cursor", EVIL),
        ("show", "s" + EVIL),
        ("show", "nobody" + EVIL),
    ],
    ids=lambda arguments: " ".join(arguments).encode("unicode_escape").decode()[:50],
)  # fmt: skip
def test_no_command_lets_it_through(project: Path, arguments: tuple[str, ...]):
    """To a pipe too: it may lead to a pager."""
    told, _ = run(project, *arguments)
    assert told
    assert "Traceback" not in told
    assert STEERING.findall(told) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("tail", "--json"),
        ("sessions", "--json"),
        ("query", "--json", "FROM sessions ORDER BY session_id"),
    ],
    ids=" ".join,
)
def test_json_is_exact_in_a_pipe_and_harmless_on_a_terminal(project: Path, arguments):
    """The same values both times."""
    piped, code = run(project, *arguments)
    assert code == 0
    assert "\x9b31m" in piped, "the row's own bytes"
    shown, code = run(project, *arguments, tty=True)
    assert code == 0
    assert STEERING.findall(shown.replace("\r\n", "\n")) == []
    assert [json.loads(line) for line in shown.splitlines()] == [
        json.loads(line) for line in piped.split("\n") if line
    ]


def test_tail_prints_whole_rows_whatever_their_ids(project: Path):
    """Ids of a foreign writer, escaped as nobody here would."""
    log = project / "lakehouse-data" / "sessions"
    row = json.loads(run(project, "tail", "-n", "1", "--json")[0])
    row |= {"row_id": 'o/d"d\\é', "timestamp": "2027-01-01T00:00:00.000000Z"}
    del row["crc"]
    line = json.dumps(row).replace("o/d", "o\\/d")
    (log / "inbox.jsonl").write_text(f"\n{line}\n")
    told, code = run(project, "tail", "-n", "1", "--json")
    assert code == 0
    assert json.loads(told)["row_id"] == row["row_id"]
    assert "attempts" in json.loads(told)
    shown, code = run(project, "show", row["row_id"], "--json")
    assert code == 0
    assert len(json.loads(shown)["rows"]) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+1+1", "'+1+1"),
        ("-1+1", "'-1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("＝1", "'＝1"),
        ("-1.5", "-1.5"),
        ("+3e9", "+3e9"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_csv_cells_are_no_formulas(tmp_path: Path, text: str, shown: str):
    """A spreadsheet runs what begins so; `--raw` leaves it."""
    result = query(tmp_path, f"SELECT {_chars(text)} AS a, -1 AS b, -0.5::DOUBLE AS c")
    names = [column.name for column in result.columns]
    for raw, expected in ((False, shown), (True, text)):
        lines = "".join(csv_lines(names, result.rows, raw=raw))
        [_, row] = csv.reader(io.StringIO(lines, newline=""))
        assert row == [expected, "-1", "-0.5"]


def _chars(text: str) -> str:
    return " || ".join(f"chr({ord(one)})" for one in text) or "''"


def test_csv_quotes_a_carriage_return(tmp_path: Path):
    """Else a reader sees two rows."""
    result = query(tmp_path, "SELECT 'a' || chr(13) || 'b' AS a, 'c' AS d")
    assert list(csv_lines(["=a", "d"], result.rows, raw=False)) == ["'=a,d\n", '"a\rb",c\n']


@pytest.mark.parametrize("arguments", [("query", "SELECT 1 AS a", "--format", "csv", "--raw")])
def test_raw_belongs_to_csv(project: Path, arguments: tuple[str, ...]):
    """With another format it is a mistake, and told."""
    assert run(project, *arguments) == ("a\n1\n", 0)
    told, code = run(project, "query", "SELECT 1", "--raw")
    assert code == 2
    assert "--format csv" in told


def test_what_steers_is_shown_as_its_number():
    """Nothing else changes: letters of any script, emoji, line breaks and tabs stay."""
    assert visible("\x1b[31m\x9b\u202e\ud800") == "\\x1b[31m\\x9b\\u202e\\ud800"
    plain = "Ægir 東京 👩‍🚀 مرحبا\n\tok"
    assert visible(plain) == plain
    assert on_one_line("a\nb\tc") == "a\\nb\\tc"


def test_only_one_module_writes_to_the_terminal():
    """A new command that prints by itself fails here."""
    cli = Path(terminal.__file__).parent
    writing = re.compile(r"typer\.echo\(|\bConsole\(|(?<![\w.])print\(|stdout\.write\(")
    found = {
        path.name
        for path in cli.glob("*.py")
        if writing.search(path.read_text("utf-8")) and path.name != "parity_helper.py"
    }
    assert found == {"terminal.py"}
