"""`TableSource` of a configuration without tables or SQL rules: it loads no table engine.

DuckDB and Arrow take half a second to import, which a stack that grounds nothing need not pay.
"""

from collections.abc import Mapping, Sequence

from lakehouse.core.json_text import JsonValue
from lakehouse.core.kind import Kind, SqlRule
from lakehouse.core.ports import Column, RuleOutcome, TableSnapshot
from lakehouse.grounding.rules import RuleColumns


class NoTables:
    """A source and a snapshot of nothing. Safe to share."""

    digests: Mapping[str, str] = {}
    columns: Mapping[str, Column] = RuleColumns()

    async def snapshot(self, kind: Kind) -> TableSnapshot:  # noqa: ARG002  it asks for nothing
        return self

    async def outcomes(
        self, rules: Sequence[SqlRule], members: Mapping[str, JsonValue]
    ) -> list[RuleOutcome]:
        """Return no outcomes; a rule here would be a bug in the assembly."""
        assert not rules, members
        return []
