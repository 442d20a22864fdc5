"""`TableSource` of a configuration without tables or SQL rules: it loads no table engine.

DuckDB and Arrow take half a second to import, which a stack that grounds nothing need not pay.
"""

from collections.abc import Mapping, Sequence

from lakehouse.core.errors import TableUnavailable
from lakehouse.core.json_text import JsonValue
from lakehouse.core.kind import Kind, SqlRule
from lakehouse.core.ports import Column, RuleOutcome, TableSnapshot


class NoTables:
    """A source and a snapshot of nothing. Safe to share."""

    @property
    def digests(self) -> Mapping[str, str]:
        """No table was used."""
        return {}

    async def snapshot(self, kind: Kind) -> TableSnapshot:  # noqa: ARG002  it asks for nothing
        """Give itself."""
        return self

    def column(self, reference: str) -> Column:
        """Raise: there is no table at all."""
        raise TableUnavailable(reference.partition(".")[0], "no tables are configured")

    async def outcomes(
        self, rules: Sequence[SqlRule], members: Mapping[str, JsonValue]
    ) -> list[RuleOutcome]:
        """Give no outcome for no rule; anything else is a mistake of the assembly."""
        assert not rules, members
        return []
