"""Digests of kinds: RFC 8785, and what goes into one."""

import hashlib
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import rfc8785

from lakehouse.core.json_text import parse
from lakehouse.core.kind import GroundingRule, Kind, SqlRule, digest_of, kind_digest
from support.spec_files import vectors


def digest(canonical: str) -> str:
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        # RFC 8785 section 3.2.2 and appendix B
        (
            [333333333.33333329, 1e30, 4.50, 2e-3, 1e-27],
            "[333333333.3333333,1e+30,4.5,0.002,1e-27]",
        ),
        ('€$\x0f\nA\'B"\\\\"/', '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'),
        ([None, True, False], "[null,true,false]"),
        (-0.0, "0"),
        (0, "0"),
        (1.0, "1"),
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (5e-324, "5e-324"),
        (2**53 - 1, "9007199254740991"),
        (2**53, "9007199254740992"),
        (2**53 + 1, "9007199254740992"),
        (-(2**53), "-9007199254740992"),
        (2**64, "18446744073709552000"),
        # RFC 8785 section 3.2.3: names by UTF-16 code units, astral before U+FB33
        (
            {"€": 1, "\r": 2, "\ufb33": 3, "1": 4, "😀": 5, "\x80": 6, "ö": 7},
            '{"\\r":2,"1":4,"\x80":6,"ö":7,"€":1,"😀":5,"\ufb33":3}',
        ),
        ({"b": {"d": [], "c": {}}, "a": ""}, '{"a":"","b":{"c":{},"d":[]}}'),
        ({"\u2028": "\u2028\x7f"}, '{"\u2028":"\u2028\x7f"}'),
    ],
)
def test_rfc_8785(value: object, canonical: str) -> None:
    assert digest_of(value) == digest(canonical)


def test_texts_have_the_same_digest_in_a_list_of_their_own() -> None:
    """Such a list is digested in a shorter way."""
    texts = [chr(point) for point in range(0x11000) if not 0xD800 <= point < 0xE000]
    assert digest_of(texts) == digest(rfc8785.dumps(texts).decode())
    assert digest_of([]) == digest("[]")


@pytest.mark.parametrize("text", ["1e400", "1" + "0" * 400, "-1e400", "[1e400]"])
def test_a_number_beyond_a_double_has_a_digest_too(text: str) -> None:
    assert digest_of(parse(text)).startswith("sha256:")


def test_numbers_beyond_a_double_differ() -> None:
    assert digest_of(Decimal("1e400")) != digest_of(Decimal("1e401"))


PARTS: dict[str, Any] = {
    "schema": {"type": "object"},
    "system": "Extract.",
    "grounding": (GroundingRule(path="/a", column="t.c"),),
    "rules": (SqlRule("SELECT 1", "m"),),
    "max_iterations": 3,
    "model": "small",
}


def digest_with(**changes: Any) -> str:
    parts = {**PARTS, **changes}
    return kind_digest(parts.pop("schema"), **parts)


def test_a_kind_digest_is_of_exactly_these_members() -> None:
    """As the spec says: a grounding rule's members that are not set are left out."""
    assert digest_with() == digest(
        '{"grounding":[{"column":"t.c","match":"exact","path":"/a"}],"max_iterations":3,'
        '"model":"small","rules":[{"message":"m","sql":"SELECT 1"}],"schema":{"type":"object"},'
        '"system":"Extract."}'
    )


@pytest.mark.parametrize("case", vectors("kind_digest"), ids=lambda case: case["why"])
def test_digests_of_the_vectors(case: dict[str, Any]) -> None:
    """Their canonical texts are written by hand, and hashed here without our code."""
    assert case["digest"] == digest(case["canonical"])
    kind = case["kind"]
    grounding = msgspec.convert(kind["grounding"], tuple[GroundingRule, ...])
    rules = msgspec.convert(kind["rules"], tuple[SqlRule, ...])
    parts = {**kind, "grounding": grounding, "rules": rules, "grown": case["settings"]}
    assert kind_digest(parts.pop("schema"), **parts) == case["digest"]


def test_a_bare_kind_digest() -> None:
    assert digest_with(schema=True, system=None, grounding=(), rules=()) == digest(
        '{"grounding":[],"max_iterations":3,"model":"small","rules":[],"schema":true,"system":null}'
    )


def test_every_member_of_a_grounding_rule_counts() -> None:
    rule = GroundingRule(
        path="/a", match="within", column="t.c", tolerance=0.5, with_={"/b": "t.d"}
    )
    assert digest_with(grounding=(rule,)) == digest(
        '{"grounding":[{"column":"t.c","match":"within","path":"/a","tolerance":0.5,'
        '"with":{"/b":"t.d"}}],"max_iterations":3,"model":"small",'
        '"rules":[{"message":"m","sql":"SELECT 1"}],"schema":{"type":"object"},"system":"Extract."}'
    )


@pytest.mark.parametrize(
    "change",
    [
        {"schema": {"type": "array"}},
        {"system": None},
        {"grounding": ()},
        {"rules": ()},
        {"max_iterations": 4},
        {"model": "large"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_part_changes_the_digest(change: dict[str, Any]) -> None:
    assert digest_with(**change) != digest_with()


def test_spelling_does_not_change_the_digest() -> None:
    assert digest_with(schema=parse('{"b":1.0,"\\u0061":1e1}')) == digest_with(
        schema=parse('{"a":10,"b":1}')
    )


def test_a_kind_names_its_tables() -> None:
    kind = Kind(
        name="k",
        schema=msgspec.Raw(b"{}"),
        system=None,
        grounding=(
            GroundingRule(path="/a", column="t.c"),
            GroundingRule(path="/b", column="u.c"),
            GroundingRule(path="/c", column="t.d"),
            GroundingRule(path="/q", match="quote"),
        ),
        rules=(),
        max_iterations=3,
        model="m",
        digest="sha256:",
    )
    assert kind.tables() == {"t", "u"}


def test_a_grounding_rule_is_configured_as_with() -> None:
    rule = msgspec.json.decode(
        b'{"path":"/a","column":"t.c","with":{"/b":"t.d"}}', type=GroundingRule
    )
    assert rule.with_ == {"/b": "t.d"}
    with pytest.raises(msgspec.ValidationError, match="with_"):
        msgspec.json.decode(b'{"path":"/a","with_":{}}', type=GroundingRule)
