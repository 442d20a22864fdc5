"""What a text names, of columns that a test holds in memory."""

from collections.abc import Mapping, Sequence

import msgspec

from lakehouse.core.candidate import RuleCandidates
from lakehouse.core.kind import GroundingRule
from lakehouse.grounding.candidates import find_candidates
from lakehouse.grounding.index import ColumnIndex, index_texts
from lakehouse.grounding.rules import RuleColumns

Found = list[tuple[str, str]]
"""Values, and how each is named."""

CITY = GroundingRule(path="/city", column="t.city")


def ready(index: ColumnIndex) -> ColumnIndex:
    index.prepare_spellings()
    return index


def of(rule: GroundingRule, columns: Mapping[str, ColumnIndex], *sources: str) -> RuleCandidates:
    (found,) = find_candidates([rule], sources, RuleColumns(columns))
    return found


def named(values: Sequence[str], text: str) -> Found:
    """Say what is named and how: `=` exact, `~` folded, `?1` near by one edit."""
    found = of(CITY, {"t.city": ready(index_texts(values))}, text)
    assert found.total == len(found.values)
    assert found.complete
    marks = {"exact": "=", "folded": "~"}
    return [
        (msgspec.json.decode(one.value), marks.get(one.spelling, f"?{one.distance}"))
        for one in found.values
    ]
