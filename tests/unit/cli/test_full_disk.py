"""A disk that is full: one clear message, exit code 3, nothing lost, and the command goes on."""

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from lakehouse.cli import commands, main
from support.small_disk import on_small_disk

_LOG = """
import asyncio
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.rows import make_row, make_started

root = disk / "lakehouse-data" / "sessions"
running = make_row()
for number in range(3):
    writer = SessionLogWriter.open(root, daemon="validatord")
    for _ in range(20):
        asyncio.run(writer.append(make_row(prompt="p" * 1000)))
    if not number:
        writer.started(make_started(running))
        writer._segments.running.clear()
    writer.close()

def count():
    found = json.loads(command("log", "verify", "--json").stdout)
    return found["rows"], [one for one in found["bad"] if not one["listed"]]
"""


def told(tmp_path: Path, size: str, script: str) -> list[Any]:
    found: list[Any] = json.loads(
        on_small_disk(tmp_path / "disk", size, _LOG + script).splitlines()[-1]
    )
    return found


@pytest.mark.parametrize("name", ["seal", "reap"])
def test_sealing_on_a_full_disk(tmp_path: Path, name: str):
    """What is sealed stays sealed; the rest is done when there is room."""
    found = told(
        tmp_path,
        "4m",
        f"""
before = count()
ballast = fill()
full = command("log", {name!r})
during = count()
ballast.unlink()
again = command("log", {name!r})
print(json.dumps([before, full.returncode, full.stderr, during, again.returncode, count()]))
""",
    )
    before, code, error, during, again, after = found
    assert code == 3, error
    assert "No space left on device" in error
    assert "Traceback" not in error
    assert len(error.splitlines()) == 2
    assert before[0] == during[0] == 60
    assert before[1] == during[1] == after[1] == []
    assert (again, after[0]) == (0, 61)


def test_compacting_on_a_full_disk(tmp_path: Path):
    """The segments stay until their rows are in the table."""
    before, code, error, during, again, after = told(
        tmp_path,
        "8m",
        """
command("log", "seal")
before = count()
ballast = fill()
full = command("log", "compact")
during = count()
ballast.unlink()
again = command("log", "compact", "--retention-h", "0")
print(json.dumps([before, full.returncode, full.stderr, during, again.returncode, count()]))
""",
    )
    assert code == 3, error
    assert "No space left" in error
    assert "Traceback" not in error
    assert before == during == after == [61, []]
    assert again == 0


def test_a_result_that_does_not_fit(tmp_path: Path):
    """No half of a Parquet file under the name that was asked for; an older one stays."""
    code, error, old, left, again = told(
        tmp_path,
        "16m",
        """
(disk / "out.parquet").write_text("old")
ballast = fill()
sql = "SELECT a.prompt || uuid()::VARCHAR AS a FROM sessions a, sessions b"
full = command("query", sql, "--format", "parquet", "--output", "out.parquet")
old = (disk / "out.parquet").read_text()
left = sorted(path.name for path in disk.iterdir())
ballast.unlink()
again = command("query", sql, "--format", "parquet", "--output", "out.parquet")
print(json.dumps([full.returncode, full.stderr, old, left, again.returncode]))
""",
    )
    assert code == 3, error
    assert "No space left on device" in error
    assert "Traceback" not in error
    assert "space" in error.splitlines()[-1]
    assert old == "old"
    assert left == ["ballast", "lakehouse-data", "out.parquet"]
    assert again == 0


def test_results_of_a_run_that_do_not_fit(tmp_path: Path):
    """A line that did not fit is cut off by the next run, and its row is done again."""
    code, error, again = told(
        tmp_path,
        "4m",
        """
from lakehouse.cli.run_files import Result, ResultFile
from lakehouse.core.errors import LakehouseError, SetupError
import msgspec

file = ResultFile(disk / "out.jsonl")
ballast = fill()
one = Result(index=0, input_sha256="0" * 64, session_id="s", row_id="r",
             artifact=msgspec.Raw(b'"' + b"x" * 9000 + b'"'))
try:
    file.append(one)
    told = "nothing"
except LakehouseError as error:
    told = error.public
    code = 2 if isinstance(error, SetupError) else 3
ballast.unlink()
file = None
file = ResultFile(disk / "out.jsonl")
before = file.done()
file.append(one)
file.close()
print(json.dumps([code, told, [len(before), len((disk / "out.jsonl").read_bytes()) > 9000]]))
""",
    )
    assert code == 3
    assert "disk is full" in error or "No space left" in error
    assert again == [0, True]


def test_any_command_says_what_the_system_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """One that knows nothing of disks, too: no traceback."""

    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "project/lakehouse.toml")

    monkeypatch.setattr(commands, "app", full)
    monkeypatch.setattr(sys, "argv", ["lakehouse", "init"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 3
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "error: project/lakehouse.toml: No space left on device"
    assert "Free some space" in told[1]
