"""The list of reasoning marks in the spec is the one that the validators hold."""

import json
import re
from pathlib import Path

import pytest

from lakehouse.validation.extract import extract
from lakehouse.validation.reasoning_marks import PAIRS, pair_fault
from support.spec_files import SPEC

LISTED = json.loads((SPEC / "reasoning_marks.json").read_text(encoding="utf-8"))
GO = Path(__file__).parents[3] / "sdk" / "go" / "validator" / "marks.go"
_GO_PAIR = re.compile(
    r'\{open: "(?P<open>[^"]+)", close: "(?P<close>[^"]+)"'
    r"(?P<needs_close>, needsClose: true)?(?P<needs_open>, needsOpen: true)?\},"
)


def test_both_validators_hold_the_list_of_the_spec():
    """Mark by mark and in its order; the Go source is read, its own test runs it."""
    listed = [
        (pair["open"], pair["close"], pair["open_alone"], pair["close_alone"])
        for pair in LISTED["pairs"]
    ]
    in_go = [
        (found["open"], found["close"], not found["needs_close"], not found["needs_open"])
        for found in _GO_PAIR.finditer(GO.read_text(encoding="utf-8"))
    ]
    assert [tuple(pair) for pair in PAIRS] == listed
    assert in_go == listed
    assert len(listed) > 20


def test_every_mark_of_the_list_may_stand_in_a_configuration_too():
    """What is refused there would not work as a mark here."""
    assert [pair_fault(pair["open"], pair["close"]) for pair in LISTED["pairs"]] == [None] * len(
        LISTED["pairs"]
    )


@pytest.mark.parametrize("pair", LISTED["pairs"], ids=lambda pair: pair["open"])
@pytest.mark.parametrize("case", [str, str.upper, str.lower, str.swapcase])
def test_what_stands_between_two_marks_is_no_candidate(pair, case):
    """In any letter case, closed or not, opened or not, as the list says."""
    opening, closing = case(pair["open"]), case(pair["close"])

    def taken(text):
        found = extract(text, finish_reason="stop", accepts=lambda value: True)
        return found.findings[0].code if found.artifact is None else bytes(found.artifact).decode()

    assert taken(f'{opening}{{"a":0}}{closing}{{"a":1}}') == '{"a":1}'
    unclosed = taken(f'{opening} {{"a":0}}')
    assert unclosed == ("truncated" if pair["open_alone"] else '{"a":0}')
    unopened = taken(f'{{"a":0}}{closing} {{"a":1}}')
    assert unopened == ('{"a":1}' if pair["close_alone"] else "ambiguous")
