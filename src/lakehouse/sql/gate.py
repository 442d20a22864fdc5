"""Checks SQL from outside: only queries pass.

DuckDB allows COPY, INSERT, UPDATE and DELETE inside WITH and reports the whole as a SELECT, and a
table function may run text as SQL. So this walks the syntax tree and rejects everything that is not
known to only read. It is not the only guard: the operating system also keeps a process that runs
such SQL from writing (`lakehouse.process`).
"""

import re
from collections import defaultdict
from collections.abc import Collection
from typing import Final

import duckdb
import msgspec

_QUERY_NODES: Final = frozenset(
    {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE", "VALUES_NODE"}
)
TABLE_FUNCTIONS: Final = frozenset(
    {
        *("range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree"),
        *("histogram", "histogram_values", "summary", "test_all_types"),
        *("duckdb_columns", "duckdb_functions", "duckdb_keywords", "duckdb_schemas"),
        *("duckdb_tables", "duckdb_types", "duckdb_views", "pg_timezone_names"),
        *("pragma_version", "pragma_table_info", "pragma_show"),
    }
)
"""Functions that may stand in FROM. None reads a file, runs a text as SQL or changes anything."""

REFUSED_FUNCTIONS: Final = frozenset(
    {"getenv", "getvariable", "current_setting", "write_log", "nextval", "currval", "setval"}
)
"""Functions that read settings or the environment, or leave something behind."""

_SCHEMAS: Final = frozenset({"", "main", "information_schema", "pg_catalog"})
_CATALOGS: Final = frozenset({"", "memory", "system", "temp"})
_FILE_LIKE: Final = re.compile(r"[./\\:*?\[]")
# Words that begin something which writes. In a PIVOT, which DuckDB gives no tree of, they are
# refused wherever they stand without quotes.
_WRITES: Final = frozenset(
    {
        *("copy", "insert", "update", "delete", "merge", "truncate", "create", "alter", "drop"),
        *("attach", "detach", "install", "load", "export", "import", "call", "pragma", "set"),
        *("checkpoint", "vacuum", "prepare", "execute"),
    }
)
_NAME_OF_STATEMENT: Final = {"MULTI": "several statements in one"}
_FILE_FOLLOWS: Final = frozenset(
    {"from", "join", "pivot", "pivot_wider", "unpivot", "table", "describe", "summarize", "show"}
)
_NAMES: Final = frozenset({duckdb.token_type.identifier, duckdb.token_type.keyword})
_KEYS: Final = (
    *("type", "function_name", "table_name", "schema_name", "catalog_name", "info_type"),
    *("key", "error_message"),
)


class NotAQuery(ValueError):
    """The SQL is not one read-only statement; the message is one line that says why."""


class ReadQuery(msgspec.Struct, frozen=True):
    """One read-only statement.

    `sql` is what to run: without semicolons and comments at its end. `pivots`: it is a PIVOT
    whose columns come from the data, which DuckDB runs as several statements.
    """

    sql: str
    pivots: bool = False


def read_query(
    connection: duckdb.DuckDBPyConnection, sql: str, *, known: Collection[str] = ()
) -> ReadQuery:
    """Check that a text is one query: SELECT and its other forms, PIVOT, DESCRIBE, SHOW, EXPLAIN.

    Args:
        connection: Any; only parsing functions run on it.
        sql: SQL from outside.
        known: Names of tables that may look like file names, such as `a.csv`.

    Raises:
        NotAQuery: It is something else, contains a part that writes, calls a function that reads
            files, settings or the environment, or names a file.

    Cost: 2 ms.
    """
    try:
        data = sql.encode("utf-8")
    except UnicodeEncodeError as error:  # a shell passed bytes on that are not UTF-8
        raise NotAQuery("The SQL is not valid Unicode.") from error
    prefix, body = _without_explain(_without_end(data))
    kind = _statement_kind(prefix + body)
    if kind == "MULTI":
        _check_tokens(connection, body)
        return ReadQuery(prefix + body, pivots=True)
    inner = _statement_kind(body) if prefix else kind
    if inner != "SELECT":
        raise NotAQuery(f"A query is one SELECT; this is {_NAME_OF_STATEMENT.get(inner, inner)}.")
    _check_tree(connection, body, {name.lower() for name in known})
    return ReadQuery(prefix + body)


def _statement_kind(sql: str) -> str:
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise NotAQuery(one_line(error)) from error
    if len(statements) != 1:
        raise NotAQuery(f"A query is one SELECT; this is {len(statements)} statements.")
    name: str = statements[0].type.name
    return name


def _check_tree(connection: duckdb.DuckDBPyConnection, sql: str, known: set[str]) -> None:
    """Walk the tree. By DuckDB itself: it may be deeper than Python's own recursion goes."""
    try:
        rows = connection.execute(
            "SELECT id, parent, key, json_extract_string(atom, '$') "
            "FROM json_tree(json_serialize_sql(?::VARCHAR)) "
            "WHERE key = 'function' OR (atom IS NOT NULL AND list_contains(?::VARCHAR[], key))",
            [sql, list(_KEYS)],
        ).fetchall()
    except duckdb.Error as error:
        raise NotAQuery(f"The SQL cannot be checked: {one_line(error)}") from error
    nodes: defaultdict[int, dict[str, str]] = defaultdict(dict)
    called: dict[int, int] = {}  # what calls a function → the function's own node
    for place, parent, key, value in rows:
        if key == "function":
            called[parent] = place
        else:
            nodes[parent][key] = value or ""
    if not rows:
        raise NotAQuery("The SQL cannot be checked: DuckDB returns no syntax tree for it.")
    names = known | {node["key"].lower() for node in nodes.values() if "key" in node}
    for place, node in nodes.items():
        if "error_message" in node:
            raise NotAQuery(f"The SQL cannot be checked: {node['error_message']}")
        _check_node(node, names)
        if node.get("type") == "TABLE_FUNCTION":
            _check_table_function(nodes[called[place]] if place in called else {})


def _check_node(node: dict[str, str], known: set[str]) -> None:
    kind = node.get("type", "")
    if kind.endswith("_NODE") and kind not in _QUERY_NODES:
        word = kind.removesuffix("_NODE").removesuffix("_QUERY").replace("_", " ")
        raise NotAQuery(f"A query only reads; {word} does not.")
    if "info_type" in node:
        raise NotAQuery(f"A query only reads; {node['info_type'].replace('_', ' ')} does not.")
    if node.get("function_name", "").lower() in REFUSED_FUNCTIONS:
        raise NotAQuery(_not_allowed(node["function_name"]))
    if kind in {"BASE_TABLE", "SHOW_REF"}:
        _check_table(node, known)


def _check_table_function(node: dict[str, str]) -> None:
    name = node.get("function_name", "?")
    if name.lower() not in TABLE_FUNCTIONS:
        raise NotAQuery(_not_allowed(name))


def _check_table(node: dict[str, str], known: set[str]) -> None:
    name = node.get("table_name", "").strip('"')
    if name.lower() in known:
        return
    schema, catalog = node.get("schema_name", ""), node.get("catalog_name", "")
    foreign = schema.lower() not in _SCHEMAS or catalog.lower() not in _CATALOGS
    if foreign or _FILE_LIKE.search(name):
        full = ".".join(part for part in (catalog, schema, name) if part)
        raise NotAQuery(
            f"Permission Error: a query reads only views, not the file or schema {full!r}."
        )


def _not_allowed(name: str) -> str:
    return f"Permission Error: a query may not call {name}()."


def _check_tokens(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Hold a PIVOT to the same by its words: DuckDB gives no tree of several statements."""
    tables = {
        name
        for (name,) in connection.execute(
            "SELECT DISTINCT lower(function_name) FROM duckdb_functions() "
            "WHERE function_type IN ('table', 'pragma', 'table_macro')"
        ).fetchall()
    }
    refused = (tables - TABLE_FUNCTIONS - {"version"}) | REFUSED_FUNCTIONS
    before = ""
    name = ""
    data = _without_comments(sql.encode("utf-8"))
    for kind, start, end in _tokens(data):
        text = data[start:end].decode("utf-8").strip()
        word = text.lower()
        if kind in _NAMES and word in _WRITES:
            raise NotAQuery(f"A query only reads; put the name {text} in quotes if it is a column.")
        if text.startswith("(") and name in refused:
            raise NotAQuery(_not_allowed(name))
        quoted = kind == duckdb.token_type.string_const or text.startswith('"')
        if quoted and before in _FILE_FOLLOWS and _FILE_LIKE.search(text):
            raise NotAQuery(f"Permission Error: a query reads only views, not the file {text}.")
        name = word.strip('"') if kind in _NAMES else ""
        before = word


def _tokens(sql: bytes) -> list[tuple[duckdb.token_type, int, int]]:
    """Cut a text into tokens: what each is, and the bytes it begins and ends at."""
    found = duckdb.tokenize(sql.decode("utf-8"))
    starts = [offset for offset, _ in found]
    ends = [*starts[1:], len(sql)]
    return [(kind, start, end) for (start, kind), end in zip(found, ends, strict=False)]


def _without_end(sql: bytes) -> bytes:
    """Drop the semicolons and comments behind a statement: DuckDB cannot wrap a text with them."""
    for kind, start, _ in reversed(_tokens(sql)):
        if kind != duckdb.token_type.comment and sql[start : start + 1] != b";":
            break
        sql = sql[:start]
    return sql


def _without_explain(sql: bytes) -> tuple[str, str]:
    """Split EXPLAIN, written anew, from the statement that it explains."""
    if not _BEGINS_EXPLAIN.match(_without_comments(sql)):
        return "", sql.decode("utf-8")
    rest = _BEGINS_EXPLAIN.sub(b"", _without_comments(sql), count=1).decode("utf-8")
    options = _EXPLAIN_OPTIONS.match(rest)
    written = " ".join(options.group().split()) if options is not None else ""
    return f"EXPLAIN {written} ", rest[options.end() if options is not None else 0 :]


def _without_comments(sql: bytes) -> bytes:
    text = bytearray(sql)
    for kind, start, end in _tokens(sql):
        if kind == duckdb.token_type.comment:
            text[start:end] = b" " * (end - start)
    return bytes(text)


_BEGINS_EXPLAIN: Final = re.compile(rb"\s*explain\b", re.IGNORECASE)
# ANALYZE, or a list of options; a parenthesis that opens a query begins with another word.
_EXPLAIN_OPTIONS: Final = re.compile(
    r"\s*(?:analyze\b|verbose\b|\(\s*(?:analyze|verbose|format)\b[\sa-z_,]*\))", re.IGNORECASE
)


def one_line(error: BaseException) -> str:
    """Return the first part of a DuckDB message on one line, without the source excerpt."""
    text = str(error).split("\n\n")[0].split("\nLINE ")[0]
    return " ".join(text.split())
