"""The gate before SQL of others: what reads passes and runs, everything else is refused."""

import duckdb
import pytest

from lakehouse.sql.gate import REFUSED_FUNCTIONS, TABLE_FUNCTIONS, NotAQuery, read_query

DYNAMIC_PIVOTS = (
    "PIVOT t ON b USING sum(a)",
    "SELECT * FROM (PIVOT t ON b USING sum(a))",
    "WITH p AS (PIVOT t ON b USING sum(a)) FROM p",
    "DESCRIBE (PIVOT t ON b USING sum(a))",
    "EXPLAIN PIVOT t ON b USING sum(a)",
)
QUERIES = (
    *DYNAMIC_PIVOTS,
    "SELECT 1;; -- done",
    "FROM t",
    "FROM t SELECT a",
    "VALUES (1)",
    "TABLE t",
    "(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1 LIMIT 1",
    "DESCRIBE t",
    "DESCRIBE SELECT 1",
    "DESCRIBE",
    "SHOW TABLES",
    "SHOW ALL TABLES",
    "SHOW DATABASES",
    "SUMMARIZE t",
    "SUMMARIZE SELECT a FROM t",
    "EXPLAIN SELECT 1",
    "explain /* why */ analyze -- how\n SELECT 1",
    "EXPLAIN (FORMAT json) SELECT 1",
    "EXPLAIN (ANALYZE, FORMAT json) FROM t",
    "EXPLAIN (SELECT 1)",
    "PIVOT t ON b IN ('x') USING sum(a)",
    "UNPIVOT t ON a INTO NAME n VALUE v",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) FROM r",
    "WITH x AS MATERIALIZED (SELECT 1) FROM x",
    "SELECT a, row_number() OVER (ORDER BY a) FROM t QUALIFY true",
    "SELECT unnest([1, 2]), list_transform([1], lambda x: x + 1)",
    "FROM range(3)",
    "SELECT t.a FROM t, LATERAL unnest([t.a])",
    "SELECT update, copy FROM (SELECT 1 AS update, 2 AS copy)",
    'WITH "x.csv" AS (SELECT 1) FROM "x.csv"',
    "SELECT * FROM information_schema.tables",
    "FROM duckdb_columns()",
    "FROM t TABLESAMPLE 10%",
    "SELECT EXISTS (FROM t), version()",
    "SELECT " + " || ".join(["'a'"] * 900),
)
COPY = "COPY (SELECT 1) TO '/nowhere/x'"
REFUSED = (
    "",
    "SELECT 1; SELECT 2",
    "SELEC 1",
    COPY,
    f"EXPLAIN {COPY}",
    f"WITH x AS ({COPY}) FROM x",
    f"with X as not materialized ({COPY}) from X",
    f"EXPLAIN ANALYZE WITH x AS ({COPY}) FROM x",
    f"EXPLAIN (ANALYZE, FORMAT json) WITH x AS ({COPY}) FROM x",
    f"SELECT (WITH x AS ({COPY}) SELECT count(*) FROM x)",
    f"SELECT 1 WHERE EXISTS (WITH x AS ({COPY}) FROM x)",
    f"WITH y AS (WITH x AS ({COPY}) FROM x) FROM y",
    f"WITH RECURSIVE y AS (SELECT 1 UNION ALL (WITH x AS ({COPY}) FROM x)) FROM y",
    f"SELECT 1 UNION ALL (WITH x AS ({COPY}) FROM x)",
    f"DESCRIBE (WITH x AS ({COPY}) FROM x)",
    f"SUMMARIZE (WITH x AS ({COPY}) FROM x)",
    f"PIVOT (WITH x AS ({COPY}) FROM x) ON Count",
    f"FROM (SELECT 1 AS a), LATERAL (WITH x AS ({COPY}) FROM x)",
    "WITH x AS (INSERT INTO t VALUES (1, 'a') RETURNING *) FROM x",
    "WITH x AS (DELETE FROM t RETURNING *) FROM x",
    "WITH x AS (UPDATE t SET a = 1 RETURNING *) FROM x",
    "EXPLAIN ANALYZE DELETE FROM t",
    "EXPLAIN EXPLAIN SELECT 1",
    "FROM query('SELECT 1')",
    "FROM QUERY('WITH x AS (' || 'COPY (SELECT 1) TO ''/nowhere/x'') FROM x')",
    "PIVOT (FROM \"query\" /* c */ ('SELECT 1 AS a')) ON a",
    "FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "FROM read_text('/etc/passwd')",
    "PIVOT (FROM read_text('/etc/passwd')) ON filename",
    "FROM glob('/*')",
    "FROM arrow_scan(1, 2, 3)",
    "FROM checkpoint()",
    "FROM '/etc/passwd.csv'",
    "FROM passwd.csv",
    'FROM "x.parquet"',
    "PIVOT 'x.csv' ON a",
    "SHOW 'x.csv'",
    "SUMMARIZE 'x.csv'",
    "SELECT getenv('HOME')",
    "SELECT GetEnv('HOME')",
    "PIVOT (SELECT getenv('HOME') AS a) ON a",
    "SELECT current_setting('temp_directory')",
    "SELECT write_log('x')",
    "FROM other.schema.t",
    "PRAGMA table_info('t')",
    "CALL duckdb_tables()",
    "SET threads = 1",
    "ATTACH 'x.db'",
    "LOAD httpfs",
    "PREPARE x AS SELECT 1",
    "CHECKPOINT",
)


@pytest.fixture
def connection():
    with duckdb.connect(":memory:") as opened:
        opened.execute("CREATE TABLE t AS FROM (VALUES (1, 'x'), (2, 'y')) AS v(a, b)")
        yield opened


@pytest.mark.parametrize("sql", QUERIES, ids=lambda sql: sql[:60])
def test_what_reads_passes_and_runs(connection, sql: str):
    """The text that is given back is what runs."""
    read = read_query(connection, sql)
    assert read.pivots == (sql in DYNAMIC_PIVOTS)
    relation = connection.sql(read.sql)
    assert relation is not None
    relation.fetchall()


@pytest.mark.parametrize("sql", REFUSED)
def test_everything_else_is_refused_in_one_line(connection, sql: str):
    """Before it runs; also where it hides in a text, an EXPLAIN or a PIVOT."""
    with pytest.raises(NotAQuery) as refused:
        read_query(connection, sql)
    assert str(refused.value)
    assert "\n" not in str(refused.value)
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(2,)]


def test_a_known_table_may_look_like_a_file(connection):
    """A configured table has the name that its owner gave it."""
    connection.execute('CREATE TABLE "a.csv" AS SELECT 1 AS n')
    with pytest.raises(NotAQuery, match="Permission"):
        read_query(connection, 'FROM "a.csv"')
    assert read_query(connection, 'FROM "a.csv"', known=["A.csv"]).sql == 'FROM "a.csv"'


# Functions of DuckDB 2.0 with side effects that stay within the query: chance and time.
_HARMLESS = frozenset(
    {
        *(
            "current_connection_id",
            "current_query",
            "current_query_id",
            "current_transaction_id",
            "error",
        ),
        *("gen_random_uuid", "random", "setseed", "sleep_ms", "stats", "uuid", "uuidv4", "uuidv7"),
        *("vector_type", "txid_current"),
    }
)


def test_every_function_with_side_effects_is_known(connection):
    """A newer DuckDB that brings one more fails here, not at a user's."""
    found = connection.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() "
        "WHERE function_type = 'scalar' AND (has_side_effects OR stability = 'VOLATILE')"
    ).fetchall()
    assert len(found) > 5
    assert {name for (name,) in found} <= _HARMLESS | REFUSED_FUNCTIONS
    tables = connection.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'table'"
    ).fetchall()
    reading = [name for (name,) in tables if "read" in name or "scan" in name or "glob" in name]
    assert len(reading) > 10
    assert not TABLE_FUNCTIONS & set(reading)
