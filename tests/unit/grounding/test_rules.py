"""What makes a grounding rule unusable, in words."""

import pytest

from lakehouse.core.kind import GroundingRule
from lakehouse.grounding.rules import fault_of, split_reference


@pytest.mark.parametrize(
    "rule",
    [
        GroundingRule(path="/a", column="t.c"),
        GroundingRule(path="", column="t.c", match="casefold"),
        GroundingRule(path="/a", column="t.c.d e", match="within", tolerance=0.0),
        GroundingRule(path="/a", match="quote"),
        GroundingRule(path="/a", column="t.c", with_={"/b": "t.d"}),
        GroundingRule(path="/a", match="quote", candidates="decode"),
        GroundingRule(path="/a", match="quote", candidates="off", candidates_required=False),
        GroundingRule(path="/a", column="t.c", candidates="hint"),
        GroundingRule(path="/a", column="t.c", candidates="hint", candidates_required=True),
        GroundingRule(path="/a", column="t.c", candidates="off", candidates_required=False),
        GroundingRule(path="/a", column="t.c", candidates_required=True),
        GroundingRule(path="/a", column="t.c", candidates="decode", candidates_required=True),
    ],
)
def test_a_usable_rule_has_no_fault(rule: GroundingRule) -> None:
    assert fault_of(rule) is None


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        (GroundingRule(path="a", column="t.c"), "'a'"),
        (GroundingRule(path="/a", column="t.c", with_={"b": "t.d"}), "'b'"),
        (GroundingRule(path="/a"), "needs a column"),
        (GroundingRule(path="/a", column="t"), "'t'"),
        (GroundingRule(path="/a", column=".c"), "'.c'"),
        (GroundingRule(path="/a", column="t.c", match="within"), "tolerance"),
        (GroundingRule(path="/a", column="t.c", tolerance=1.0), "tolerance"),
        (GroundingRule(path="/a", column="t.c", match="within", tolerance=-1.0), "-1.0"),
        (GroundingRule(path="/a", column="t.c", match="within", tolerance=float("nan")), "nan"),
        (GroundingRule(path="/a", column="t.c", match="quote"), "quote"),
        (GroundingRule(path="/a", column="t.c", with_={"/b": "u.d"}), "'u.d'"),
        (GroundingRule(path="/a", match="quote", candidates="auto"), "'decode'"),
        (GroundingRule(path="/a", match="quote", candidates="hint"), "or 'off', not 'hint'"),
        (GroundingRule(path="/a", match="quote", candidates_required=True), "needs a column"),
        (
            GroundingRule(path="/a", column="t.c", candidates="off", candidates_required=True),
            "candidates is 'off' here: write candidates = 'auto', 'decode' or 'hint'",
        ),
    ],
)
def test_a_fault_names_the_field_and_what_is_allowed(rule: GroundingRule, word: str) -> None:
    assert word in (fault_of(rule) or "")


def test_a_reference_splits_at_its_first_dot() -> None:
    assert split_reference("airports.iata.code") == ("airports", "iata.code")


@pytest.mark.parametrize("path", ["/a~2", "/a~", "~0", "/~/b"])
def test_a_path_that_rfc_6901_does_not_know_is_a_fault(path):
    """In the rule's own path and in those of `with`."""
    assert "not a JSON Pointer" in str(fault_of(GroundingRule(path=path, column="t.x")))
    rule = GroundingRule(path="/a", column="t.x", with_={path: "t.y"})
    assert "not a JSON Pointer" in str(fault_of(rule))
