"""`TableSource` of a configuration without tables or SQL rules: it loads no table engine.

DuckDB and Arrow take half a second to import, which a stack that grounds nothing need not pay.
"""

from collections.abc import Mapping, Sequence

import msgspec

from lakehouse.core.candidate import RuleCandidates
from lakehouse.core.json_text import JsonValue
from lakehouse.core.kind import GroundingRule, Kind, SqlRule
from lakehouse.core.ports import Column, RuleOutcome, TableSnapshot
from lakehouse.grounding.rules import RuleColumns


class NoTables:
    """A source and a snapshot of nothing. Safe to share."""

    digests: Mapping[str, str] = {}
    columns: Mapping[str, Column] = RuleColumns()

    async def snapshot(self, kind: Kind) -> TableSnapshot:  # noqa: ARG002  it asks for nothing
        return self

    def candidates(
        self,
        rules: Sequence[GroundingRule],
        sources: Sequence[str],
        nearest: Mapping[str, Sequence[msgspec.Raw]],
    ) -> tuple[RuleCandidates, ...]:
        """Find what quotes there are; a rule with a column would be a bug in the assembly."""
        from lakehouse.grounding.candidates import find_candidates  # noqa: PLC0415  most need none

        return find_candidates(rules, sources, {}, nearest)

    async def outcomes(
        self, rules: Sequence[SqlRule], members: Mapping[str, JsonValue]
    ) -> list[RuleOutcome]:
        """Return no outcomes; a rule here would be a bug in the assembly."""
        assert not rules, members
        return []
