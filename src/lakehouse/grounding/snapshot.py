"""What file tables and inline tables share: versions, indexes and snapshots."""

from collections.abc import Mapping, Sequence

import msgspec

from lakehouse.core.candidate import RuleCandidates
from lakehouse.core.json_text import JsonValue
from lakehouse.core.kind import GroundingRule, SqlRule
from lakehouse.core.matches import MATCHES
from lakehouse.core.ports import Column, RuleOutcome
from lakehouse.core.suggestion import did_you_mean
from lakehouse.grounding.arrow import ColumnFault
from lakehouse.grounding.candidates import find_candidates
from lakehouse.grounding.index import ColumnIndex
from lakehouse.grounding.rules import RuleColumns
from lakehouse.grounding.sql import RuleRunner, Task
from lakehouse.grounding.table_data import TableData


class TableVersion:
    """One table at one version, with the indexes built so far."""

    def __init__(self, name: str, digest: str, data: TableData) -> None:
        self.name = name
        self.digest = digest
        self.data = data
        self._indexes: dict[str, ColumnIndex] = {}

    def index(self, column: str) -> ColumnIndex:
        """Index a column, once, for every kind and rule; blocks.

        Raises:
            ColumnFault: No such column, or its cells cannot be indexed.
        """
        index = self._indexes.get(column)
        if index is None:
            if column not in self.data.names:
                near = did_you_mean(column, self.data.names)
                there = ", ".join(self.data.names)
                raise ColumnFault(f"there is no such column{near}; its columns are {there}")
            index = self._indexes[column] = self.data.index(column)
        return index


def check_fit(index: ColumnIndex, rule: GroundingRule) -> None:
    """Check that a column supports a rule.

    Raises:
        ColumnFault: The match, such as `within`, compares no values of its kind.
    """
    match = MATCHES[rule.match]
    if index.holds not in match.holds and not index.empty:
        needed = " or ".join(f"{one}s" for one in match.holds)
        raise ColumnFault(f"match = {rule.match!r} needs {needed}, and it holds none")


class Snapshot:
    """Implements `TableSnapshot` over versions that are in memory. Immutable.

    `digests` are sorted by the bytes of their names. `versions` are in the order they were given.
    """

    def __init__(
        self,
        versions: Mapping[str, TableVersion],
        columns: Mapping[str, ColumnIndex],
        tasks: Mapping[str, Task],
        runner: RuleRunner | None,
    ) -> None:
        """Store the prepared `columns` by reference and `tasks` by the SQL of their rules."""
        self.versions = versions
        self._indexes = RuleColumns(columns)
        self.columns: Mapping[str, Column] = self._indexes
        self._tasks = tasks
        self._runner = runner
        names = sorted(versions, key=str.encode)
        self.digests = {name: versions[name].digest for name in names}

    def candidates(
        self,
        rules: Sequence[GroundingRule],
        sources: Sequence[str],
        nearest: Mapping[str, Sequence[msgspec.Raw]],
    ) -> tuple[RuleCandidates, ...]:
        """Find what the sources name; the port documents the guarantees."""
        return find_candidates(rules, sources, self._indexes, nearest)

    async def outcomes(
        self, rules: Sequence[SqlRule], members: Mapping[str, JsonValue]
    ) -> list[RuleOutcome]:
        """Run SQL rules of the kind; the port documents the guarantees."""
        if not rules:
            return []
        assert self._runner is not None, "a kind with rules has a runner"
        return await self._runner.run([self._tasks[rule.sql] for rule in rules], members)
