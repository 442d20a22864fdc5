"""SQL rules: values only as bound parameters, in a DuckDB that can reach nothing outside itself.

A rule is one SELECT. It holds when it gives exactly one row of one column, and that is TRUE.
Rules come from the configuration and are trusted as code; the values they judge are not.

How members are bound: null and missing ones as NULL, booleans, doubles and strings as such,
integers exactly up to 128 bits, larger numbers as their text, objects and arrays as JSON text.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, Final

import duckdb
import msgspec

from lakehouse.core.errors import InfraError, SetupError, TableUnavailable
from lakehouse.core.json_text import JsonScalar
from lakehouse.core.kind import SqlRule
from lakehouse.core.ports import RuleOutcome

RULE_TIMEOUT_MS: Final = 10_000  # for all rules of one answer, waiting for a thread included
_THREADS: Final = 2  # that run rules; DuckDB itself uses one per query
_PENDING_MAX: Final = 256  # answers waiting for a thread; beyond, a session is not judged
_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "lock_configuration": "true",
    "threads": "1",
}
# What a failed query says about us and not about the artifact.
_OURS = (
    duckdb.FatalException,
    duckdb.InternalException,
    duckdb.OutOfMemoryException,
    duckdb.IOException,
)


class PreparedRule(msgspec.Struct, frozen=True):
    """A rule that parses. `members` are the names it binds, sorted; `tables` what it reads."""

    sql: str
    members: tuple[str, ...]
    tables: frozenset[str]


def prepare_rules(
    rules: Sequence[SqlRule], tables: Collection[str]
) -> dict[str, PreparedRule]:
    """Prepare rules by their SQL, as far as that goes without the tables' columns. Blocks.

    Raises:
        SetupError: A rule is not one SELECT that DuckDB understands, or reads a table that is
            not among `tables`.
    """
    with duckdb.connect(":memory:", config=_CONFIG) as connection:
        return {rule.sql: _prepare(connection, rule.sql, tables) for rule in rules}


def _prepare(
    connection: duckdb.DuckDBPyConnection, sql: str, tables: Collection[str]
) -> PreparedRule:
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise SetupError(f"The rule {sql!r} is not SQL: {_first_line(error)}") from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise SetupError(f"The rule {sql!r} must be one SELECT.")
    members = tuple(sorted(statements[0].named_parameters))
    read = _tables_read(connection, sql, tables)
    if not read:
        try:
            connection.execute(f"PREPARE rule AS {sql}")
        except duckdb.Error as error:
            raise SetupError(f"The rule {sql!r} cannot work: {_first_line(error)}") from error
        connection.execute("DEALLOCATE rule")
    return PreparedRule(sql, members, read)


def _tables_read(
    connection: duckdb.DuckDBPyConnection, sql: str, tables: Collection[str]
) -> frozenset[str]:
    row = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    assert row is not None
    names: set[str] = set()
    defined: set[str] = set()
    pending: list[Any] = [json.loads(row[0])]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending += node
        elif isinstance(node, dict):
            if node.get("type") == "BASE_TABLE" and node.get("schema_name", "") in {"", "main"}:
                names.add(node["table_name"])
            if isinstance(node.get("cte_map"), dict):
                defined |= {entry["key"].lower() for entry in node["cte_map"].get("map", [])}
            pending += node.values()
    # SQL names ignore case; a name defined by WITH hides a table of that name at worst.
    known = {name.lower(): name for name in tables}
    unknown = sorted(name for name in names if name.lower() not in known.keys() | defined)
    if unknown:
        allowed = ", ".join(sorted(tables)) or "none"
        raise SetupError(
            f"The rule {sql!r} reads {unknown[0]!r}, which is no configured table ({allowed})."
        )
    return frozenset(known[name.lower()] for name in names if name.lower() in known)


class RuleDatabase:
    """Some tables, each at one version, for SQL. Made and asked in worker threads only."""

    def __init__(self, tables: Mapping[str, Any]) -> None:
        """Copy Arrow tables in; blocks. Without tables the optimizer is off: it costs 100 µs.

        Raises:
            TableUnavailable: DuckDB cannot take a table.
        """
        self._connection = duckdb.connect(":memory:", config=_CONFIG)
        self._names = ", ".join(sorted(tables))
        self._checked: set[str] = set()
        self._idle: list[duckdb.DuckDBPyConnection] = []
        self._plain = not tables
        for name, table in tables.items():
            try:
                self._connection.register("incoming", table)
                self._connection.execute(f"CREATE TABLE {quoted(name)} AS FROM incoming")
                self._connection.unregister("incoming")
            except duckdb.Error as error:
                raise TableUnavailable(name, f"DuckDB refuses it: {error}") from error

    def check(self, rules: Sequence[PreparedRule]) -> None:
        """Prepare rules against the tables' columns; blocks. Each rule once.

        Raises:
            TableUnavailable: A rule names a table or column that is not there.
        """
        for rule in rules:
            if rule.sql in self._checked:
                continue
            cursor = self._connection.cursor()
            try:
                cursor.execute(f"PREPARE rule AS {rule.sql}")
                cursor.execute("DEALLOCATE rule")
            except duckdb.Error as error:
                raise TableUnavailable(
                    self._names, f"the rule {rule.sql!r}: {_first_line(error)}"
                ) from error
            self._checked.add(rule.sql)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Take a connection of one's own; give it back with `release`."""
        try:
            return self._idle.pop()
        except IndexError:
            cursor = self._connection.cursor()
            return cursor

    def release(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Give a connection back that no query runs on."""
        self._idle.append(cursor)
