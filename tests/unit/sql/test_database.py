"""DuckDB is opened in one way, and prints nothing of its own."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import lakehouse
from lakehouse.sql.database import open_database

SOURCE = Path(lakehouse.__file__).parent
_ASK = """
import duckdb, sys
from lakehouse.sql.database import open_database
theirs, ours = duckdb.connect(":memory:"), open_database()
for connection in (theirs, ours, open_database(lock_configuration="true")):
    print(connection.execute("SELECT current_setting('enable_progress_bar')").fetchone()[0])
"""


def test_a_program_without_a_file_gets_no_progress_bar() -> None:
    """DuckDB itself draws one on its stdout, as the first line shows."""
    told = subprocess.run(
        [sys.executable, "-c", _ASK],
        env={"PYTHONPATH": str(SOURCE.parent)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.split() == ["True", "False", "False"]


def test_a_locked_database_stays_as_it_was_opened() -> None:
    with (
        open_database(threads="1", lock_configuration="true") as connection,
        pytest.raises(duckdb.InvalidInputException, match="configuration has been locked"),
    ):
        connection.execute("SET threads = 2")


def test_no_other_module_opens_a_database() -> None:
    """So none forgets what has to be set."""
    opening = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if "duckdb.connect(" in path.read_text("utf-8")
    ]
    assert opening == ["sql/database.py"]


def test_times_are_utc_where_nobody_says_otherwise() -> None:
    with open_database() as connection:
        [(zone,)] = connection.execute("SELECT current_setting('TimeZone')").fetchall()
    assert zone == "UTC"
