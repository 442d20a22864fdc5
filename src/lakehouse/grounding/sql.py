"""SQL rules: values only as bound parameters, in a DuckDB that can reach nothing outside itself.

A rule is one SELECT. It holds when it gives exactly one row of one column, and that is TRUE.
Rules come from the configuration and are trusted as code; the values they judge are not.

How members are bound: null and missing ones as NULL, booleans, doubles and strings as such,
integers exactly up to 128 bits, larger numbers as their text, objects and arrays as JSON text.
"""

import asyncio
import json
import math
import threading
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, Final

import duckdb
import msgspec

from lakehouse.core.errors import InfraError, SetupError, TableUnavailable
from lakehouse.core.json_text import JsonScalar
from lakehouse.core.kind import SqlRule
from lakehouse.core.ports import RuleOutcome
from lakehouse.sql.gate import NotAQuery, read_query

RULE_TIMEOUT_MS: Final = 10_000  # for all rules of one answer, waiting for a thread included
_THREADS: Final = 2  # that run rules; DuckDB itself uses one per query
_PENDING_MAX: Final = 256  # answers waiting for a thread; beyond, a session is not judged
_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "lock_configuration": "true",
    "temp_directory": "",
    "threads": "1",
}
_MEMORY_MB: Final = 256  # that the queries of one database may take, besides its tables
_INTERRUPTS_MAX: Final = 20  # one may come before its query begins, and is then lost
_INTERRUPT_WAIT_S: Final = 0.1
_INTEGER_MAX: Final = 2**127 - 1
# What a failed query says about us and not about the artifact.
_OURS = (duckdb.FatalException, duckdb.InternalException, duckdb.IOException)


class PreparedRule(msgspec.Struct, frozen=True):
    """A rule that parses. `members` are the names it binds, sorted; `tables` what it reads."""

    sql: str
    members: tuple[str, ...]
    tables: frozenset[str]


def prepare_rules(rules: Sequence[SqlRule], tables: Collection[str]) -> dict[str, PreparedRule]:
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
    try:
        read_query(connection, sql, known=tables)
    except NotAQuery as error:
        raise SetupError(f"The rule {sql!r} must only read: {error}") from error
    names = _names(connection, sql)
    members = tuple(sorted(names.members))
    if len({member.lower() for member in members}) < len(members):
        raise SetupError(f"The rule {sql!r} binds names that differ only in case.")
    # SQL names ignore case; a name defined by WITH hides a table of that name at worst.
    known = {name.lower(): name for name in tables}
    unknown = sorted(name for name in names.tables if name not in known.keys() | names.defined)
    if unknown:
        allowed = ", ".join(sorted(tables)) or "there are none"
        raise SetupError(
            f"The rule {sql!r} reads {unknown[0]!r}, which is not a configured table: {allowed}."
        )
    read = frozenset(known[name] for name in names.tables if name in known)
    if not read:
        try:
            connection.execute(f"PREPARE rule AS {sql}")
            connection.execute("DEALLOCATE rule")
        except duckdb.Error as error:
            raise SetupError(f"The rule {sql!r} cannot work: {_first_line(error)}") from error
    return PreparedRule(sql, members, read)


class _Names(msgspec.Struct, frozen=True):
    """What a statement names: parameters as written, tables and WITH names in lower case."""

    members: set[str]
    tables: set[str]
    defined: set[str]


def _names(connection: duckdb.DuckDBPyConnection, sql: str) -> _Names:
    """Read the names off DuckDB's own syntax tree."""
    row = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    assert row is not None
    names = _Names(set(), set(), set())
    pending: list[Any] = [json.loads(row[0])]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending += node
        elif isinstance(node, dict):
            if node.get("type") == "BASE_TABLE" and node.get("schema_name") in {"", "main"}:
                names.tables.add(node["table_name"].lower())
            elif node.get("type") == "VALUE_PARAMETER":
                names.members.add(node["identifier"])
            if isinstance(node.get("cte_map"), dict):
                names.defined.update(entry["key"].lower() for entry in node["cte_map"]["map"])
            pending += node.values()
    return names


class RuleDatabase:
    """Some tables, each at one version, for SQL. Used in worker threads; safe to share."""

    def __init__(self, tables: Mapping[str, Any]) -> None:
        """Copy Arrow tables in; blocks. Without any, the optimizer is off: it costs 0.1 ms.

        Raises:
            TableUnavailable: DuckDB cannot take a table.
        """
        memory_mb = _MEMORY_MB + sum(table.nbytes for table in tables.values()) * 2 // 2**20
        config = {**_CONFIG, "memory_limit": f"{memory_mb}MB"}
        if not tables:
            config["disabled_optimizers"] = _optimizers()
        self._connection = duckdb.connect(":memory:", config=config)
        self._names = ", ".join(sorted(tables))
        self._checked: set[str] = set()
        self._idle: list[duckdb.DuckDBPyConnection] = []
        for name, table in tables.items():
            try:
                self._connection.register("incoming", table)
                self._connection.execute(f"CREATE TABLE main.{quoted(name)} AS FROM temp.incoming")
                self._connection.unregister("incoming")
            except duckdb.Error as error:
                raise TableUnavailable(name, f"DuckDB does not take it: {error}") from error

    def check(self, rules: Sequence[PreparedRule]) -> None:
        """Prepare rules against the tables' columns, each once; blocks.

        Raises:
            TableUnavailable: A rule names a column that is not there.
        """
        for rule in rules:
            if rule.sql in self._checked:
                continue
            cursor = self._connection.cursor()
            try:
                cursor.execute(f"PREPARE rule AS {rule.sql}")
            except duckdb.Error as error:
                cause = f"the rule {rule.sql!r} does not fit it: {_first_line(error)}"
                raise TableUnavailable(self._names, cause) from error
            self._checked.add(rule.sql)

    def take(self) -> duckdb.DuckDBPyConnection:
        """Take a connection for one thread; give it back with `release`."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._connection.cursor()

    def release(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Give back a connection that no query runs on."""
        self._idle.append(connection)


Task = tuple[PreparedRule, RuleDatabase]


class RuleRunner:
    """Runs rules in a few threads of its own, within a time."""

    def __init__(self, *, timeout_ms: int = RULE_TIMEOUT_MS) -> None:
        self._timeout_ms = timeout_ms
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="lakehouse-rules")
        self._pending = 0

    async def run(
        self, tasks: Sequence[Task], members: Mapping[str, JsonScalar]
    ) -> list[RuleOutcome]:
        """Run the rules of one answer, one after the other in one thread.

        Raises:
            TableUnavailable: DuckDB itself failed.
            InfraError: `timeout` when they took too long; `overloaded` when too many wait.
        """
        if self._pending >= _PENDING_MAX:
            raise InfraError("overloaded", "Too many answers wait for their rules to be checked.")
        job = _Job(tasks, members)
        self._pending += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, job.run)
        try:
            await asyncio.wait({future}, timeout=self._timeout_ms / 1000)
            if future.done():
                return future.result()
            for _ in range(_INTERRUPTS_MAX):
                job.stop()
                done, _ = await asyncio.wait({future}, timeout=_INTERRUPT_WAIT_S)
                if done:
                    break
        finally:
            self._pending -= 1
            if not future.done():
                job.stop()
            future.cancel()
            future.add_done_callback(_drop)
        raise InfraError(
            "timeout",
            f"The rules of the kind took longer than {self._timeout_ms} ms.",
            hint="Make the rule cheaper: it runs for every answer.",
        )

    def close(self) -> None:
        """Let the threads end; does not wait for a running query."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Job:
    """The rules of one answer in a worker thread, and the way to stop them from outside."""

    def __init__(self, tasks: Sequence[Task], members: Mapping[str, JsonScalar]) -> None:
        self._tasks = tasks
        self._members = members
        self._lock = threading.Lock()  # protects the two below: never interrupt another's query
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._stopped = False

    def run(self) -> list[RuleOutcome]:
        return [self._run(rule, database) for rule, database in self._tasks]

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._connection is not None:
                self._connection.interrupt()

    def _run(self, rule: PreparedRule, database: RuleDatabase) -> RuleOutcome:
        connection = database.take()
        with self._lock:
            if self._stopped:
                raise duckdb.InterruptException
            self._connection = connection
        try:
            return _outcome(rule, connection, self._members)
        finally:
            with self._lock:
                self._connection = None
                if not self._stopped:
                    database.release(connection)


def _outcome(
    rule: PreparedRule,
    connection: duckdb.DuckDBPyConnection,
    members: Mapping[str, JsonScalar],
) -> RuleOutcome:
    values = {name: _bound(members.get(name)) for name in rule.members}
    try:
        rows = connection.execute(rule.sql, values).fetchmany(2)
    except duckdb.InterruptException:
        raise
    except _OURS as error:
        raise TableUnavailable(", ".join(sorted(rule.tables)), str(error)) from error
    except (duckdb.Error, ValueError, OverflowError) as error:
        return RuleOutcome(False, rule.members, _first_line(error))
    # `is True`: 1 and 'true' are no verdicts.
    holds = len(rows) == 1 and len(rows[0]) == 1 and rows[0][0] is True
    return RuleOutcome(holds, rule.members)


def quoted(name: str) -> str:
    """Quote a name for SQL, whatever it holds. NUL cannot stand in SQL text and is refused."""
    if "\0" in name:
        raise duckdb.InvalidInputException("a name holds NUL")
    return '"' + name.replace('"', '""') + '"'


def _bound(value: JsonScalar) -> JsonScalar:
    if isinstance(value, Decimal) and math.isfinite(float(value)):
        return float(value)
    if isinstance(value, Decimal) or (
        isinstance(value, int) and not -_INTEGER_MAX <= value <= _INTEGER_MAX
    ):
        return str(value)
    return value


def _optimizers() -> str:
    with duckdb.connect(":memory:", config=_CONFIG) as connection:
        rows = connection.execute("SELECT name FROM duckdb_optimizers()").fetchall()
    return ",".join(name for (name,) in rows)


def _drop(future: "asyncio.Future[list[RuleOutcome]]") -> None:
    """Take the result of an abandoned run, so that asyncio does not report it as lost."""
    if not future.cancelled():
        future.exception()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
