"""What `lakehouse query` says of a log that is not whole, and of a query that came to no end."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.reading.query import query
from support.commands import lakehouse
from support.filled_log import fill
from support.processes import descendants
from support.rows import make_row
from support.ui_pages import pages_over
from support.waiting import wait_until

SQL = "SELECT count(*) AS n FROM sessions"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """One row in `sealed`, one in `active`."""
    root = tmp_path / "log"
    fill(root, make_row())
    seal(root)
    fill(root, make_row())
    (tmp_path / "lakehouse.toml").write_text('[log]\npath = "log"\n')
    return root


@pytest.mark.parametrize("part", ["active", "sealed"])
def test_a_part_of_the_log_that_cannot_be_read_is_told(log: Path, part: str):
    assert query(log, SQL).warning is None
    (log / part).rename(log.with_name("old"))
    (log / part).write_text("no directory")
    said = f"The directory `{part}` of the session log cannot be read: Not a directory"
    done = lakehouse(log.parent, "query", SQL, "--json")
    assert done.stdout.split() == ['[{"n":1}]']
    assert done.stderr.count(f"warning: {said}") == 1
    for command in ("sessions", "stats", "tail"):
        told = lakehouse(log.parent, command)
        assert (told.returncode, told.stderr.count(f"warning: {said}")) == (0, 1)
    with pages_over(log) as client:
        page = client.get(
            "/ui/query", params={"sql": SQL}, headers={"sec-fetch-site": "same-origin"}
        )
        assert said in page.text.replace("&#96;", "`")
    (log / part).unlink()
    (log / part).symlink_to(log.with_name("old"))
    assert "symbolic link" in lakehouse(log.parent, "query", SQL).stderr


def test_the_cause_of_a_query_that_failed_is_told_to_the_operator(log: Path):
    endless = "SELECT count(*) FROM range(1000000000000) AS a WHERE hash(a.range) = 1"
    with subprocess.Popen(
        [sys.executable, "-m", "lakehouse", "query", endless],
        cwd=log.parent,
        stderr=subprocess.PIPE,
        text=True,
    ) as asked:
        running: set[int] = set()

        def answering() -> bool:
            running.update(
                one for one in descendants(asked.pid) if _runs(one, "reading.query_child")
            )
            return bool(running)

        wait_until(answering, "its process")
        os.kill(max(running), signal.SIGKILL)
        assert asked.stderr is not None
        told = asked.stderr.read()
    assert asked.returncode == 3
    assert "The operating system ended the query" in told or "without an answer" in told
    assert re.search(r"^cause: the query's process .*signal", told, re.MULTILINE), told


def _runs(process: int, program: str) -> bool:
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"supervisor" not in b"".join(words) and any(program.encode() in one for one in words)
