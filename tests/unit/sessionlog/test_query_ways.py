"""Each way of this system to keep a query from writing: queries work, and the log stays."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from lakehouse.core.errors import SetupError
from lakehouse.process import call_filter, landlock
from lakehouse.sessionlog.reading.query import QueryAnswer, QueryTask, query
from support.query_log import WAYS, fingerprint, make_log


def test_the_whole_command_refuses_what_emptied_a_log(tmp_path: Path):
    """The one that was reported, and the same behind EXPLAIN, at every sort of file."""
    files = make_log(tmp_path / "log")
    before = fingerprint(tmp_path / "log")
    copy = f"COPY (SELECT 'gone') TO '{files[0]}' (FORMAT csv, USE_TMP_FILE false)"
    for sql in (
        f"WITH x AS ({copy}) SELECT * FROM x",
        f"EXPLAIN ANALYZE WITH x AS ({copy}) FROM x",
    ):
        with pytest.raises(SetupError, match="COPY does not"):
            query(tmp_path / "log", sql)
    assert fingerprint(tmp_path / "log") == before
    assert json.loads(query(tmp_path / "log", "SELECT count(*) AS n FROM sessions").json()) == [
        {"n": 6}
    ]


def test_every_way_of_this_system_is_tried_above():
    """The ways are real here: none of the tests above passed because there was none."""
    assert landlock.landlock_version() >= 1
    assert call_filter.known_machine()


_WHOLE_CHILD = """
import sys
from lakehouse.process import confinement
from lakehouse.sessionlog.reading import query_child
confinement.WAYS = {sys.platform: (getattr(confinement, sys.argv[1]),)} if sys.argv[1] else {}
query_child.main()
"""


def answer_of(
    tmp_path: Path, way: str, sql: str, *, file: int | None = None, memory_bytes: int = 2 << 30
) -> QueryAnswer:
    spill = tmp_path / "spill"
    spill.mkdir(exist_ok=True)
    task = QueryTask(str(tmp_path / "log"), sql, 100, memory_bytes, 200, str(spill), file)
    ended = subprocess.run(
        [sys.executable, "-P", "-c", _WHOLE_CHILD, way],
        input=msgspec.json.encode(task),
        capture_output=True,
        timeout=100,
        check=True,
        pass_fds=() if file is None else (file,),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    return msgspec.json.decode(ended.stdout, type=QueryAnswer)


@pytest.mark.parametrize("way", WAYS)
def test_queries_work_whichever_way_there_is(tmp_path: Path, way: str):
    """With a result, and into a file that was opened for it."""
    make_log(tmp_path / "log")
    answer = answer_of(tmp_path, way, "SELECT count(*) AS n FROM sessions")
    assert answer.error is None
    assert [bytes(cell) for row in answer.rows for cell in row] == [b"6"]
    with (tmp_path / "out.parquet").open("wb") as file:
        answer = answer_of(tmp_path, way, "FROM sessions", file=file.fileno())
    assert answer.error is None
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 6


def test_without_a_place_to_spill_the_limit_is_told(tmp_path: Path):
    """Memory ends, and no file is tried."""
    make_log(tmp_path / "log")
    sql = (
        "SELECT max(b) FROM (SELECT repeat(md5(range::VARCHAR), 8) AS b FROM range(20000000) "
        "ORDER BY b)"
    )
    answer = answer_of(tmp_path, "_call_filter", sql, memory_bytes=600 << 20)
    assert answer.error is not None
    assert "Out of Memory" in answer.error
    assert not answer.refused


def test_a_system_without_any_way_runs_no_query(tmp_path: Path):
    """Closed, not open: the SQL is not even looked at."""
    make_log(tmp_path / "log")
    answer = answer_of(tmp_path, "", "SELECT 1")
    assert answer.error is not None
    assert "cannot prevent a query from writing" in answer.error
    assert answer.rows == ()
