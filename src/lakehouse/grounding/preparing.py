"""Prepares and checks the rules of a configuration: their names, tables, and whether they work.

It finds every fault that can be known before the first answer: text that is not a query, a table
that is not configured, and, in a trial on answers generated from the schema, an error that every
answer causes.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any, Final

import duckdb
import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.core.kind import SqlRule
from lakehouse.core.shape import RuleInputs
from lakehouse.grounding.binding import BindingFault, PreparedRule, with_types
from lakehouse.grounding.sql import CONFIG
from lakehouse.grounding.trial import first_line, trouble_of
from lakehouse.sql.database import open_database
from lakehouse.sql.gate import NotAQuery, read_query

NO_INPUTS: Final = RuleInputs()


def prepare_rules(
    rules: Sequence[SqlRule], tables: Collection[str], inputs: RuleInputs = NO_INPUTS
) -> dict[str, PreparedRule]:
    """Prepare the rules of one kind by their SQL; those that read no table are tried. Blocks.

    Args:
        rules: As declared.
        tables: The names of the configured tables.
        inputs: The types of the kind's members, and answers to try.

    Raises:
        SetupError: A rule is not one SELECT that DuckDB understands, reads a table that is not
            among `tables`, or fails whatever the answer holds.
    """
    with open_database(time_zone=None, **CONFIG) as connection:
        return {rule.sql: _prepare(connection, rule.sql, tables, inputs) for rule in rules}


def _prepare(
    connection: duckdb.DuckDBPyConnection, sql: str, tables: Collection[str], inputs: RuleInputs
) -> PreparedRule:
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise SetupError(f"The rule {sql!r} is not SQL: {first_line(error)}") from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise SetupError(f"The rule {sql!r} must be one SELECT.")
    try:
        read_query(connection, sql, known=tables)
    except NotAQuery as error:
        raise SetupError(f"The rule {sql!r} must only read: {error}") from error
    names = _names(connection, sql)
    members = tuple(sorted({name for name, _ in names.parameters}))
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
    shapes = {name: inputs.shapes[name] for name in members if name in inputs.shapes}
    try:
        query, wide_query = (
            with_types(sql, names.parameters, shapes, wide=wide) for wide in (False, True)
        )
    except BindingFault as error:
        raise SetupError(f"The rule {sql!r} is invalid: {error}.") from error
    read = frozenset(known[name] for name in names.tables if name in known)
    rule = PreparedRule(sql, query, wide_query, members, read, shapes, inputs.samples)
    if not read:
        trouble = trouble_of(rule, connection)
        if trouble is not None:
            raise SetupError(
                f"The rule {sql!r} fails for every answer: {trouble}",
                hint="See docs/how-to/write-a-rule.md for how members are bound.",
            )
    return rule


class _Names(msgspec.Struct, frozen=True):
    """What a statement names: parameters with their places, tables and WITH names in lower case."""

    parameters: set[tuple[str, int]]
    tables: set[str]
    defined: set[str]


def _names(connection: duckdb.DuckDBPyConnection, sql: str) -> _Names:
    """Read the names from DuckDB's own syntax tree."""
    row = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    assert row is not None
    tree = json.loads(row[0])
    if tree.get("error"):
        raise SetupError(f"The rule {sql!r} cannot be read: {tree.get('error_message')}")
    names = _Names(set(), set(), set())
    pending: list[Any] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending += node
        elif isinstance(node, dict):
            if node.get("type") == "BASE_TABLE" and node.get("schema_name") in {"", "main"}:
                names.tables.add(node["table_name"].lower())
            elif node.get("type") == "VALUE_PARAMETER":
                names.parameters.add((node["identifier"], node["query_location"]))
            if isinstance(node.get("cte_map"), dict):
                names.defined.update(entry["key"].lower() for entry in node["cte_map"]["map"])
            pending += node.values()
    return names
