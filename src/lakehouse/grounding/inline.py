"""Tables sent with a request, as lists of objects: the `TableSource` of `/v1/validate`.

A column holds numbers if all its cells that are not null are numbers, text if all are strings;
any other column cannot be grounded against. Columns of a table without rows match nothing.
A fault in such a table is a `Refusal`, never an outage: the caller can fix it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from lakehouse.core.errors import Refusal
from lakehouse.core.json_text import NULL, JsonError, JsonValue, exact, parse_bytes
from lakehouse.core.kind import GroundingRule, Kind
from lakehouse.core.limits import INLINE_TABLES_BYTES_MAX
from lakehouse.core.ports import TableSnapshot
from lakehouse.grounding.arrow import ColumnFault
from lakehouse.grounding.index import ColumnIndex, index_texts
from lakehouse.grounding.preparing import prepare_rules
from lakehouse.grounding.rules import fault_of, split_reference
from lakehouse.grounding.snapshot import Snapshot, TableVersion, check_fit
from lakehouse.grounding.sql import RuleDatabase, RuleRunner, Task
from lakehouse.grounding.table_data import MIXED, ObjectData

InlineRows = Sequence[Mapping[str, msgspec.Raw]]


class InlineTables:
    """Implements `TableSource` over the tables of one request. Cost: about 1 ms for 64 KiB."""

    def __init__(self, tables: Mapping[str, InlineRows]) -> None:
        """Read the tables.

        Raises:
            Refusal: `invalid_request`: over 64 KiB in all, or a cell is not strict JSON.
        """
        size = len(msgspec.json.encode(tables))
        if size > INLINE_TABLES_BYTES_MAX:
            raise Refusal(
                "invalid_request",
                f"`tables` has {size} bytes; at most {INLINE_TABLES_BYTES_MAX} are allowed.",
                hint="Configure the table under [tables] and name a kind that uses it.",
            )
        self._versions = {name: _version(name, rows) for name, rows in tables.items()}

    async def snapshot(self, kind: Kind) -> TableSnapshot:
        """Return the tables that the kind's grounding and rules read.

        Raises:
            Refusal: `invalid_request`: a grounding rule has a fault, or names a table or column
                that is not there or cannot be grounded against.
            SetupError: A SQL rule cannot work on these tables.
        """
        columns: dict[str, ColumnIndex] = {}
        versions: dict[str, TableVersion] = {}
        for rule in kind.grounding:
            fault = fault_of(rule)
            if fault is not None:
                raise _refusal(f"Grounding of {rule.path!r}: {fault}.")
        for rule in kind.grounding:
            for reference in rule.references():
                name, column = split_reference(reference)
                version = self._versions.get(name)
                if version is None:
                    raise _refusal(f"Grounding names table {name!r}; `tables` has {self._names()}.")
                versions[name] = version
                try:
                    columns[reference] = _column(version, column, rule)
                except ColumnFault as error:
                    raise _refusal(f"Column {reference!r}: {error}.") from error
        tasks: dict[str, Task] = {}
        for sql, prepared in prepare_rules(kind.rules, self._versions.keys()).items():
            read = {name: self._versions[name] for name in prepared.tables}
            versions |= read
            database = RuleDatabase({name: read[name].data.arrow() for name in read})
            database.check([prepared])
            tasks[sql] = (prepared, database)
        return Snapshot(versions, columns, tasks, RuleRunner() if tasks else None)

    def _names(self) -> str:
        return ", ".join(sorted(self._versions)) or "none"


def _column(version: TableVersion, column: str, rule: GroundingRule) -> ColumnIndex:
    if not version.data.names:
        return index_texts(())
    index = version.index(column)
    check_fit(index, rule)
    index.prepare(rule.match)
    if index.holds == "boolean":  # of inline tables, which every runtime judges, there are two
        raise ColumnFault(MIXED)
    return index


def _version(name: str, rows: InlineRows) -> TableVersion:
    columns: dict[str, list[JsonValue]] = {column: [] for row in rows for column in row}
    texts: dict[str, dict[Decimal, bytes]] = {column: {} for column in columns}
    for number, row in enumerate(rows):
        for column, cells in columns.items():
            raw = bytes(row.get(column, NULL))
            try:
                cell = parse_bytes(raw)
            except JsonError as error:
                raise _refusal(f"tables.{name}[{number}].{column}: {error}.") from error
            cells.append(cell)
            if not isinstance(cell, str | bool | list | dict | None):
                texts[column].setdefault(exact(cell), raw)
    digest = "sha256:" + hashlib.sha256(msgspec.json.encode(rows)).hexdigest()
    return TableVersion(name, digest, ObjectData(columns, texts))


def _refusal(message: str) -> Refusal:
    return Refusal("invalid_request", message, hint="See the tables of POST /v1/validate.")
