"""Runs SQL rules: values only as bound parameters, in a DuckDB without access to anything outside.

A rule is one SELECT. It holds if it returns exactly one row of one column, and that is TRUE.
Rules come from the configuration and are trusted as code; the values they judge are not.
`binding` turns members into values, `preparing` prepares a rule.
"""

import asyncio
import re
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import duckdb

from lakehouse.core.errors import InfraError, TableUnavailable
from lakehouse.core.json_text import JsonValue
from lakehouse.core.ports import RuleOutcome
from lakehouse.grounding.binding import BindingFault, PreparedRule, bind, quoted
from lakehouse.grounding.trial import first_line, trouble_of
from lakehouse.sql.database import open_database

RULE_TIMEOUT_MS: Final = 10_000  # for all rules of one answer, waiting for a thread included
_THREADS: Final = 2  # that run rules; DuckDB itself uses one per query
_PENDING_MAX: Final = 1_024  # answers waiting for a thread; beyond, a session is not judged
CONFIG: Final[dict[str, str]] = {
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "lock_configuration": "true",
    "temp_directory": "",
    "threads": "1",
}
_MEMORY_MB: Final = 256  # for the queries of one database, besides its tables
_INTERRUPTS_MAX: Final = 20  # an interrupt before the query starts is lost
_INTERRUPT_WAIT_S: Final = 0.1
_COLUMN_MISSING: Final = re.compile(r"column.*(?:not found|does not (?:have|exist))", re.IGNORECASE)
# Errors that are caused by us and not by the artifact.
_OURS = (duckdb.FatalException, duckdb.InternalException, duckdb.IOException)


class RuleDatabase:
    """Some tables, each at one version, for SQL. Used in worker threads; safe to share."""

    def __init__(self, tables: Mapping[str, Any]) -> None:
        """Copy Arrow tables in; blocks. Without any, the optimizer is off: it costs 0.1 ms.

        Raises:
            TableUnavailable: DuckDB cannot take a table.
        """
        memory_mb = _MEMORY_MB + sum(table.nbytes for table in tables.values()) * 2 // 2**20
        config = {**CONFIG, "memory_limit": f"{memory_mb}MB"}
        if not tables:
            config["disabled_optimizers"] = _optimizers()
        self._connection = open_database(time_zone=None, **config)
        self._names = ", ".join(sorted(tables))
        self._checked: set[PreparedRule] = set()
        self._idle: list[duckdb.DuckDBPyConnection] = []
        for name, table in tables.items():
            try:
                self._connection.register("incoming", table)
                self._connection.execute(f"CREATE TABLE main.{quoted(name)} AS FROM temp.incoming")
                self._connection.unregister("incoming")
            except (duckdb.Error, BindingFault) as error:
                raise TableUnavailable(name, f"DuckDB rejects it: {error}") from error

    def check(self, rules: Sequence[PreparedRule]) -> None:
        """Prepare rules against the tables' columns and try them, each once; blocks.

        Raises:
            TableUnavailable: A rule names a column that is not there.
            InfraError: `rule_broken`: with these tables it fails for every answer.
        """
        for rule in rules:
            if rule in self._checked:
                continue
            cursor = self._connection.cursor()
            try:
                cursor.execute(f"PREPARE rule AS {rule.query}")
            except duckdb.Error as error:
                text = first_line(error)
                if _COLUMN_MISSING.search(text) is None:
                    raise _broken(rule, text) from error
                cause = f"the rule {rule.sql!r} does not fit it: {text}"
                raise TableUnavailable(self._names, cause) from error
            trouble = trouble_of(rule, cursor)
            if trouble is not None:
                raise _broken(rule, trouble)
            self._checked.add(rule)

    def take(self) -> duckdb.DuckDBPyConnection:
        """Take a connection for one thread; return it with `release`."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._connection.cursor()

    def release(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Put back a connection that no query runs on."""
        self._idle.append(connection)


Task = tuple[PreparedRule, RuleDatabase]


class RuleRunner:
    """Runs rules in a few threads of its own, within a time."""

    def __init__(self, *, timeout_ms: int = RULE_TIMEOUT_MS) -> None:
        self._timeout_ms = timeout_ms
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="lakehouse-rules")
        self._pending = 0

    async def run(
        self, tasks: Sequence[Task], members: Mapping[str, JsonValue]
    ) -> list[RuleOutcome]:
        """Run the rules of one answer, one after the other in one thread.

        Raises:
            TableUnavailable: DuckDB itself failed.
            InfraError: `timeout` when they took too long; `overloaded` when too many wait.
        """
        if self._pending >= _PENDING_MAX:
            raise InfraError(
                "overloaded",
                "Too many answers wait for their rules to be checked.",
                hint="Send fewer requests at once, or make the kind's rules cheaper.",
            )
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
        """Stop the threads; does not wait for a running query."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Job:
    """Runs the rules of one answer in a worker thread; can be stopped from outside."""

    def __init__(self, tasks: Sequence[Task], members: Mapping[str, JsonValue]) -> None:
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
    members: Mapping[str, JsonValue],
) -> RuleOutcome:
    try:
        bound = bind(rule, members)
        rows = connection.execute(bound.query, bound.values).fetchmany(2)
    except duckdb.InterruptException:
        raise
    except duckdb.OutOfMemoryException as error:
        raise InfraError(
            "rule_broken",
            f"The rule {rule.sql!r} needs more than {_MEMORY_MB} MB of memory.",
            hint="Make the rule cheaper: it runs for every answer.",
        ) from error
    except _OURS as error:
        raise TableUnavailable(", ".join(sorted(rule.tables)), str(error)) from error
    except (duckdb.Error, ValueError, OverflowError) as error:
        return RuleOutcome(False, rule.members, first_line(error))
    # `is True`: 1 and 'true' are not verdicts.
    holds = len(rows) == 1 and len(rows[0]) == 1 and rows[0][0] is True
    return RuleOutcome(holds, rule.members)


def _optimizers() -> str:
    with open_database(time_zone=None, **CONFIG) as connection:
        rows = connection.execute("SELECT name FROM duckdb_optimizers()").fetchall()
    return ",".join(name for (name,) in rows)


def _drop(future: "asyncio.Future[list[RuleOutcome]]") -> None:
    """Read the result of an abandoned run, so that asyncio does not report it as lost."""
    if not future.cancelled():
        future.exception()


def _broken(rule: PreparedRule, text: str) -> InfraError:
    return InfraError("rule_broken", f"The rule {rule.sql!r} fails for every answer: {text}")
