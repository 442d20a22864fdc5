"""The tables of matches and finding codes know every name of the contract, and no other."""

from typing import get_args

import pytest

from lakehouse.core.finding import FOUND_BY, FindingCode
from lakehouse.core.matches import HELD_AS, MATCHES, TYPES, Holds, MatchName


def test_every_match_and_every_finding_code_has_its_line() -> None:
    assert tuple(MATCHES) == get_args(MatchName)
    assert tuple(FOUND_BY) == get_args(FindingCode)
    assert set(TYPES) == set(get_args(Holds)) == set(HELD_AS.values())


@pytest.mark.parametrize(
    ("name", "needs", "types"),
    [
        ("exact", "a string or a number", {"string", "integer", "number", "boolean"}),
        ("within", "a number", {"integer", "number"}),
        ("quote", "a string", {"string"}),
    ],
)
def test_a_match_says_what_it_needs_for_people_and_for_a_schema(
    name: MatchName, needs: str, types: set[str]
) -> None:
    assert MATCHES[name].needs == needs
    assert set(MATCHES[name].types) == types
