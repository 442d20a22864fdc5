"""Queries as processes: their spill, who asked, and how their results are printed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from lakehouse.core.errors import SetupError
from lakehouse.sessionlog.reading.query import QueryFailed, query
from support.filled_log import fill
from support.forked_commands import run_command
from support.processes import descendants, wait_ended
from support.rows import (
    make_row,
)


def test_sql_that_is_no_unicode_is_one_message(tmp_path: Path):
    """As a shell passes bytes on that are not UTF-8."""
    with pytest.raises(SetupError, match="not valid Unicode"):
        query(tmp_path, "SELECT '\udcff'")


# Sorts more than DuckDB's share of the memory, so that it spills.
_SPILLING = (
    "SELECT count(*), max(b) FROM (SELECT a.range AS a, repeat(md5(a.range::VARCHAR), 8) AS b "
    "FROM range(40000000) AS a ORDER BY b)"
)
_ASKER = """
import sys
from pathlib import Path
from lakehouse.sessionlog.reading.query import query
query(Path(sys.argv[1]), sys.argv[2], memory_bytes=400 << 20, timeout_ms=600_000)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_query_ends_with_who_asked_and_leaves_no_spill(tmp_path: Path, number: signal.Signals):
    """Its process, its memory and its files on the disk."""
    fill(tmp_path / "log", make_row())
    (tmp_path / "tmp").mkdir()
    asker = subprocess.Popen(
        [sys.executable, "-c", _ASKER, str(tmp_path / "log"), _SPILLING],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "TMPDIR": str(tmp_path / "tmp"),
        },
    )
    until = time.monotonic() + 100
    while not list((tmp_path / "tmp").glob("lakehouse-query-*/*.tmp")):
        assert asker.poll() is None
        assert time.monotonic() < until, "nothing was spilled"
        time.sleep(0.05)
    running = descendants(asker.pid)
    assert len(running) >= 2
    asker.send_signal(number)
    asker.wait(60)
    assert wait_ended(running) == set()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_query_that_takes_too_long_leaves_no_spill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Ended from outside, while it writes."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with pytest.raises(QueryFailed, match="longer than"):
        query(tmp_path / "log", _SPILLING, memory_bytes=400 << 20, timeout_ms=3_000)
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("sql", "cell"),
    [
        ("['NaN'::DOUBLE, 'inf'::FLOAT, '-inf'::DOUBLE, 1]", ["NaN", "Infinity", "-Infinity", 1.0]),
        ("{'a': 'NaN'::DOUBLE, 'b': 'say \"NaN\" \\ Infinity'}", None),
        ("MAP {'k': 'inf'::DOUBLE}", {"k": "Infinity"}),
        ("MAP {'NaN'::DOUBLE: 1}", {"nan": 1}),
        ("[{'a': [{'b': '-inf'::FLOAT}]}]", [{"a": [{"b": "-Infinity"}]}]),
        ("'-inf'::DOUBLE", "-Infinity"),
        ("'NaN'", "NaN"),
        ("['NaN', 'Infinity']", ["NaN", "Infinity"]),
        ("union_value(a := 'NaN'::DOUBLE)", {"a": "NaN"}),
        ("['infinity'::DATE]", ["infinity"]),
    ],
)
def test_numbers_that_json_lacks_are_strings_however_deep(tmp_path: Path, sql: str, cell):
    """In lists, structs and maps too; a text that says NaN stays what it is."""
    [row] = json.loads(query(tmp_path, f"SELECT {sql} AS a").json())
    assert row["a"] == (cell or {"a": "NaN", "b": 'say "NaN" \\ Infinity'})


@pytest.mark.parametrize("format_", ["table", "markdown", "csv", "json"])
def test_every_format_prints_them(tmp_path: Path, format_: str):
    """By the command itself."""
    told = run_command(
        [
            "query",
            "--format",
            format_,
            "SELECT ['NaN'::DOUBLE, 1] AS a, {'x': 'inf'::DOUBLE} AS b, 'NaN'::DOUBLE AS c",
        ],
        cwd=tmp_path,
        timeout=60,
    )
    assert told.returncode == 0, told.stderr
    assert "NaN" in told.stdout
    assert "Infinity" in told.stdout


@pytest.mark.parametrize(
    "sql",
    [
        "PIVOT sessions ON verdict USING count(*)",
        "FROM (PIVOT sessions ON kind USING count(*) GROUP BY verdict)",
        "DESCRIBE sessions",
        "DESCRIBE SELECT artifact FROM sessions",
        "SHOW TABLES",
        "SUMMARIZE SELECT iterations, duration_ms FROM sessions",
        "EXPLAIN SELECT count(*) FROM sessions",
        "EXPLAIN ANALYZE FROM sessions",
        "FROM sessions SELECT verdict",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) FROM r",
        "SELECT row_number() OVER (PARTITION BY kind ORDER BY timestamp) FROM sessions",
        "FROM sessions QUALIFY rank() OVER (ORDER BY duration_ms) = 1",
        "SELECT u.k FROM sessions, LATERAL (SELECT unnest(json_keys(artifact)) AS k) AS u",
    ],
)
def test_all_forms_of_a_query_work(tmp_path: Path, sql: str):
    """Also those that DuckDB does not call SELECT."""
    fill(tmp_path, make_row())
    assert query(tmp_path, sql).rows
