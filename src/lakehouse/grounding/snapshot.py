"""What files and inline tables share: table versions, their indexes, and snapshots of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from lakehouse.core.errors import TableUnavailable
from lakehouse.core.json_text import JsonValue
from lakehouse.core.kind import GroundingRule, SqlRule
from lakehouse.core.ports import Column, RuleOutcome
from lakehouse.grounding.arrow import ColumnFault
from lakehouse.grounding.index import ColumnIndex
from lakehouse.grounding.rules import split
from lakehouse.grounding.sql import RuleRunner, Task
from lakehouse.grounding.table_data import TableData


class TableVersion:
    """One table at one version, with the indexes that were asked for so far."""

    def __init__(self, name: str, digest: str, data: TableData) -> None:
        self.name = name
        self.digest = digest
        self.data = data
        self._indexes: dict[str, ColumnIndex] = {}

    def build(self, column: str, rule: GroundingRule) -> ColumnIndex:
        """Index a column for a rule, once; blocks.

        Raises:
            ColumnFault: No such column, or one that the rule cannot be judged by.
        """
        index = self.index(column)
        check_fit(index, rule)
        if rule.match == "casefold" and not index.folded:
            index.fold()
        return index

    def index(self, column: str) -> ColumnIndex:
        """Index a column, once, for every kind and rule; blocks.

        Raises:
            ColumnFault: No such column, or its cells cannot be indexed.
        """
        index = self._indexes.get(column)
        if index is None:
            if column not in self.data.names:
                raise ColumnFault(f"there is no such column, only {', '.join(self.data.names)}")
            index = self._indexes[column] = self.data.index(column)
        return index


def check_fit(index: ColumnIndex, rule: GroundingRule) -> None:
    """See that a column can answer a rule.

    Raises:
        ColumnFault: `within` needs numbers, and the column holds none.
    """
    if rule.match == "within" and not (index.numeric or index.empty):
        raise ColumnFault("match = 'within' needs numbers, and it holds none")


class Snapshot:
    """Implements `TableSnapshot` over versions that are in memory. Immutable."""

    def __init__(
        self,
        versions: Mapping[str, TableVersion],
        columns: Mapping[str, Column],
        tasks: Mapping[str, Task],
        runner: RuleRunner | None,
    ) -> None:
        """Take what is ready: `columns` by reference, `tasks` by the SQL of their rules."""
        self.versions = dict(versions)
        self._columns = columns
        self._tasks = tasks
        self._runner = runner
        names = sorted(versions, key=str.encode)
        self._digests = {name: versions[name].digest for name in names}

    @property
    def digests(self) -> Mapping[str, str]:
        """Table name → digest, sorted by name in bytes."""
        return self._digests

    def column(self, reference: str) -> Column:
        """Look up a `table.column` that the kind's grounding names."""
        try:
            return self._columns[reference]
        except KeyError:
            name, column = split(reference)
            raise TableUnavailable(name, f"column {column!r} is not in this snapshot") from None

    async def outcomes(
        self, rules: Sequence[SqlRule], members: Mapping[str, JsonValue]
    ) -> list[RuleOutcome]:
        """Run SQL rules of the kind; see the port for what holds."""
        if not rules:
            return []
        assert self._runner is not None, "a kind with rules has a runner"
        return await self._runner.run([self._tasks[rule.sql] for rule in rules], members)


def references(grounding: Iterable[GroundingRule]) -> Iterator[tuple[str, GroundingRule]]:
    """List each `table.column` with a rule that needs it."""
    for rule in grounding:
        if rule.column is not None:
            yield rule.column, rule
        for reference in rule.with_.values():
            yield reference, rule
