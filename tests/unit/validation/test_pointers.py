"""Pointers held against a schema before any answer: what leads nowhere, and what may."""

import json
import time
from typing import Any

import pytest

from lakehouse.core.kind import GroundingRule
from lakehouse.validation.pointers import doubts_of, pointers_of, state_of
from lakehouse.validation.schema import CompiledSchema, compile_schema

TEXT = {"type": "string"}
CLOSED = {"type": "object", "additionalProperties": False}
ORDER = {
    **CLOSED,
    "properties": {
        "customer_id": TEXT,
        "total": {"type": "number"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        "tags": {"type": ["array", "null"], "items": TEXT},
        "tree": {"$ref": "#/$defs/tree"},
        "pet": {"oneOf": [{"$ref": "#/$defs/cat"}, {"$ref": "#/$defs/dog"}]},
        "origin": {"const": {"city": "Oslo"}},
        "size": {"enum": ["small", {"width": 2}]},
        "pair": {"type": "array", "prefixItems": [TEXT, {"type": "number"}], "items": False},
        "none": {"type": "null"},
    },
    "$defs": {
        "line": {"type": "object", "properties": {"sku": TEXT}, "unevaluatedProperties": False},
        "tree": {
            "type": ["object", "null"],
            "properties": {"value": TEXT, "next": {"$ref": "#/$defs/tree"}},
            "additionalProperties": False,
        },
        "cat": {**CLOSED, "properties": {"kind": {"const": "cat"}, "name": TEXT}},
        "dog": {**CLOSED, "properties": {"kind": {"const": "dog"}, "barks": {"type": "boolean"}}},
    },
}
SPLIT = {
    "type": "object",
    "allOf": [{"properties": {"a": TEXT}}, {"properties": {"b": {"type": "integer"}}}],
    "unevaluatedProperties": False,
}
CASES = {
    "type": "object",
    "if": {"properties": {"kind": {"const": 1}}},
    "then": {"properties": {"yes": TEXT}},
    "else": {"properties": {"no": TEXT}},
    "unevaluatedProperties": False,
}
PRICES = {
    "type": "object",
    "additionalProperties": {**CLOSED, "properties": {"price": {"type": "number"}}},
}


def schema_of(schema: Any) -> CompiledSchema:
    return compile_schema(json.dumps(schema).encode())


@pytest.mark.parametrize(
    ("schema", "at", "state"),
    [
        (ORDER, "/customer_id", "declared"),
        (ORDER, "/customr_id", "missing"),
        (ORDER, "/Customer_id", "missing"),
        (ORDER, "/customer_id/x", "missing"),
        (ORDER, "/lines", "declared"),
        (ORDER, "/lines/0/sku", "declared"),
        (ORDER, "/lines/7/sku", "declared"),
        (ORDER, "/lines/sku", "missing"),
        (ORDER, "/lines/0/price", "missing"),
        (ORDER, "/lines/*/sku", "declared"),
        (ORDER, "/lines/*/price", "missing"),
        (ORDER, "/tags/*", "declared"),
        (ORDER, "/pair/*", "declared"),
        (ORDER, "/total/*", "missing"),
        ({"type": "array", "items": {"properties": {"a": TEXT}}}, "/*/a", "declared"),
        ({"type": "array", "items": {"properties": {"a": TEXT}}}, "/*/b", "open"),
        ({"type": "array", "items": TEXT}, "/*/b", "missing"),
        ({"type": "array", "items": False}, "/*", "missing"),
        ({"properties": {"*": TEXT}, "additionalProperties": False}, "/*", "declared"),
        ({**CLOSED, "properties": {"a": TEXT}}, "/*", "missing"),
        (ORDER, "/lines/-", "missing"),
        (ORDER, "/lines/01/sku", "missing"),
        (ORDER, "/tree/next/next/next/value", "declared"),
        (ORDER, "/tree/next/valu", "missing"),
        (ORDER, "/pet/name", "declared"),
        (ORDER, "/pet/barks", "declared"),
        (ORDER, "/pet/nam", "missing"),
        (ORDER, "/origin/city", "declared"),
        (ORDER, "/origin/town", "missing"),
        (ORDER, "/size/width", "declared"),
        (ORDER, "/size/height", "missing"),
        (ORDER, "/pair/1", "declared"),
        (ORDER, "/pair/2", "missing"),
        (SPLIT, "/b", "declared"),
        (SPLIT, "/c", "missing"),
        (CASES, "/yes", "declared"),
        (CASES, "/no", "declared"),
        (CASES, "/maybe", "missing"),
        (PRICES, "/usd/price", "open"),
        (PRICES, "/usd/amount", "missing"),
        ({"type": "object"}, "/city", "open"),
        ({"properties": {"a": TEXT}}, "/b", "open"),
        ({"required": ["city"]}, "/city", "declared"),
        ({"properties": {"a": TEXT}, "not": {"required": ["b"]}}, "/b", "missing"),
        ({"properties": {"a": False}}, "/a", "missing"),
        ({"properties": {"a": {"allOf": [TEXT, {"type": "object"}]}}}, "/a", "missing"),
        ({"patternProperties": {"^x-": TEXT}, "additionalProperties": False}, "/x-a", "declared"),
        ({"patternProperties": {"^x-": TEXT}, "additionalProperties": False}, "/y", "missing"),
        ({"propertyNames": {"enum": ["a", "b"]}}, "/a", "declared"),
        ({"propertyNames": {"maxLength": 3}}, "/city", "missing"),
        ({"type": "array", "items": TEXT, "maxItems": 2}, "/2", "missing"),
        ({"type": "array", "items": TEXT, "maxItems": 2}, "/1", "declared"),
        ({"type": "array", "prefixItems": [TEXT], "unevaluatedItems": False}, "/1", "missing"),
        ({"type": "string"}, "/a", "missing"),
        ({"dependentSchemas": {"a": {"properties": {"b": TEXT}}},
          "properties": {"a": TEXT}, "unevaluatedProperties": False}, "/b", "declared"),
        (True, "/a", "open"),
        (False, "/a", "missing"),
    ],
)  # fmt: skip
def test_a_pointer_is_declared_open_or_missing(schema: Any, at: str, state: str) -> None:
    assert state_of(schema_of(schema).view(), at) == state


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (GroundingRule(path="/customr_id", column="t.c"), ["'/customr_id'", "'/customer_id'"]),
        (GroundingRule(path="/lines/sku", column="t.c"), ["an array", "'/lines/*/sku'"]),
        (GroundingRule(path="/lines", column="t.c"), ["an array", "'/lines/*/sku'"]),
        (GroundingRule(path="/pet", column="t.c"), ["an object", "'/pet/name'"]),
        (GroundingRule(path="", column="t.c"), ["an object"]),
        (GroundingRule(path="/none", column="t.c"), ["a null"]),
        (GroundingRule(path="/quot", match="quote"), ["'/quot'"]),
        (GroundingRule(path="/total", match="quote"), ["needs a string", "number"]),
        (
            GroundingRule(path="/customer_id", column="t.c", match="within", tolerance=1.0),
            ["needs a number", "a string"],
        ),
        (
            GroundingRule(path="/customer_id", column="t.c", with_={"/totl": "t.d"}),
            ["'/totl'", "'/total'"],
        ),
        (
            GroundingRule(path="/customer_id", column="t.c", with_={"/tags": "t.d"}),
            ["'/tags'", "array"],
        ),
        (GroundingRule(path="/lines/*/sk", column="t.c"), ["'/lines/*/sk'", "'/lines/*/sku'"]),
        (
            GroundingRule(path="/customer_id", column="t.c", with_={"/lines/*/sku": "t.d"}),
            ["'*' of '/lines/*/sku'", "'/lines'", "make '/lines/*/sku' the path"],
        ),
        (
            GroundingRule(path="/lines/*/sku", column="t.c", with_={"/tags/*": "t.d"}),
            ["'*' of '/tags/*'", "'/tags'", "'/lines/*/sku' has no '*' there"],
        ),
        (
            GroundingRule(path="/lines/*/sku", column="t.c", with_={"/tags": "t.d"}),
            ["'/tags'", "can only be array"],
        ),
    ],
)
def test_what_can_never_be_checked_is_fatal_and_names_the_nearest(
    rule: GroundingRule, words: list[str]
) -> None:
    """The pointer, why it leads nowhere, and the real ones near it."""
    [doubt] = doubts_of(schema_of(ORDER), rule)
    assert doubt.fatal
    for word in words:
        assert word in doubt.message


@pytest.mark.parametrize(
    "rule",
    [
        GroundingRule(path="/customer_id", column="t.c", with_={"/total": "t.d"}),
        GroundingRule(path="/tags", column="t.c", with_={"/tags": "t.d", "/total": "t.e"}),
        GroundingRule(path="/tags", match="quote"),
        GroundingRule(path="/size", column="t.c"),
        GroundingRule(path="/total", column="t.c", match="within", tolerance=1.0),
        GroundingRule(path="/lines/*/sku", column="t.c", with_={"/lines/*/sku": "t.d"}),
        GroundingRule(path="/lines/*/sku", column="t.c", with_={"/customer_id": "t.d"}),
        GroundingRule(path="/tags/*", column="t.c", with_={"/tags": "t.d", "/tags/*": "t.e"}),
        GroundingRule(path="/tags", column="t.c", with_={"/tags/*": "t.d"}),
    ],
)
def test_what_can_be_checked_raises_no_doubt(rule: GroundingRule) -> None:
    assert doubts_of(schema_of(ORDER), rule) == []


def test_what_the_schema_leaves_open_is_told_and_not_refused() -> None:
    rule = GroundingRule(path="/city", column="t.c", with_={"/land": "t.d"})
    doubts = doubts_of(schema_of({"properties": {"cities": TEXT}}), rule)
    assert [(doubt.member, doubt.fatal) for doubt in doubts] == [("path", False), ("with", False)]
    assert "'/cities'" in doubts[0].message


@pytest.mark.parametrize(
    ("items", "at", "told"),
    [
        ({"items": TEXT}, "/l/0", "'/l'"),
        ({"items": TEXT, "maxItems": 3}, "/l/2", "'/l'"),
        ({"items": {"properties": {"a": TEXT}}}, "/l/0/a", "'/l'"),
        ({"items": {"properties": {"m": {"type": "array", "items": TEXT}}}}, "/l/0/m", "'/l'"),
        ({"prefixItems": [TEXT], "items": TEXT}, "/l/1", "'/l'"),
        ({"items": TEXT, "maxItems": 1}, "/l/0", None),
        ({"prefixItems": [TEXT, TEXT], "items": False}, "/l/1", None),
        ({"items": TEXT}, "/l", None),
        ({"items": TEXT}, "/l/*", None),
        ({"items": {"properties": {"a": TEXT}}}, "/l/*/a", None),
    ],
)
def test_elements_that_an_index_leaves_unchecked_are_told(
    items: dict[str, Any], at: str, told: str | None
) -> None:
    schema = {"type": "object", "properties": {"l": {"type": "array", **items}}}
    found = doubts_of(schema_of(schema), GroundingRule(path=at, column="t.c"))
    alone = [doubt for doubt in found if "only one element" in doubt.message]
    assert [doubt.fatal for doubt in alone] == ([] if told is None else [False])
    assert all(f"the others of {told}" in doubt.message for doubt in alone)


def test_elements_of_an_answer_that_is_a_list_are_told_too() -> None:
    [doubt] = doubts_of(
        schema_of({"type": "array", "items": TEXT}), GroundingRule(path="/0", column="t.c")
    )
    assert "the others of the answer" in doubt.message


def test_real_pointers_of_a_recursive_schema_are_listed_and_end() -> None:
    found = list(pointers_of(schema_of(ORDER).view()))
    assert {"/customer_id", "/tags", "/lines/*/sku", "/tree/next/value", "/pet/name"} <= set(found)
    assert len(found) < 50


def test_many_branches_stay_cheap_and_refuse_nothing_that_may_be() -> None:
    """3^30 choices of branches: not told apart, so nothing is called impossible for it."""
    one = {"anyOf": [{"properties": {f"m{i}": TEXT}} for i in range(3)]}
    schema = {"type": "object", "allOf": [one] * 30, "unevaluatedProperties": False}
    started_s = time.process_time()
    assert not any(
        d.fatal for d in doubts_of(schema_of(schema), GroundingRule(path="/m2", column="t.c"))
    )
    assert time.process_time() - started_s < 5
