"""What a text names, of columns that a test holds in memory."""

from collections.abc import Mapping

from lakehouse.core.candidate import RuleCandidates
from lakehouse.core.kind import GroundingRule
from lakehouse.grounding.candidates import find_candidates
from lakehouse.grounding.index import ColumnIndex
from lakehouse.grounding.rules import RuleColumns

CITY = GroundingRule(path="/city", column="t.city")


def ready(index: ColumnIndex) -> ColumnIndex:
    index.prepare_spellings()
    return index


def of(rule: GroundingRule, columns: Mapping[str, ColumnIndex], *sources: str) -> RuleCandidates:
    (found,) = find_candidates([rule], sources, RuleColumns(columns))
    return found
