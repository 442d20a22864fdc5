"""The keyword `x-lakehouse` of a schema is a grounding rule, or an error: never nothing."""

from typing import Any

import pytest

from lakehouse.core.errors import SetupError
from lakehouse.core.kind import GroundingRule, SqlRule
from lakehouse.validation.keywords import idle_keywords
from lakehouse.validation.schema_markers import grounding_of, rules_of, unmarked

IATA = {"match": "exact", "column": "airports.iata"}
QUOTED = {"type": "string", "x-lakehouse": {"match": "quote"}}
MARKED = {"type": "string", "x-lakehouse": IATA}
QUOTE = GroundingRule(path="/q", match="quote")


def object_of(**members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members}


def rule(path: str, **more: Any) -> GroundingRule:
    return GroundingRule(path=path, column="airports.iata", **more)


@pytest.mark.parametrize(
    ("schema", "rules"),
    [
        (object_of(a=MARKED, q=QUOTED), [rule("/a"), QUOTE]),
        (object_of(q={"type": "string", "x-lakehouse": [IATA, {"match": "quote"}]}),
         [rule("/q"), QUOTE]),
        (object_of(a={"type": "array", "items": MARKED}), [rule("/a")]),
        (object_of(a={"type": "array", "x-lakehouse": IATA}), [rule("/a")]),
        (object_of(a={"type": "array", "items": object_of(b=MARKED)}), [rule("/a/*/b")]),
        ({"type": "array", "items": object_of(b=MARKED)}, [rule("/*/b")]),
        (object_of(a={"type": "array", "prefixItems": [{}, MARKED]}), [rule("/a/1")]),
        (object_of(**{"a/b": object_of(**{"c~d": MARKED})}), [rule("/a~1b/c~0d")]),
        (object_of(a={"anyOf": [MARKED, {"type": "null"}]}), [rule("/a")]),
        (object_of(a={"oneOf": [MARKED, {**MARKED, "maxLength": 2}]}), [rule("/a")]),
        ({"allOf": [object_of(a=MARKED), object_of(a=QUOTED)]},
         [rule("/a"), GroundingRule(path="/a", match="quote")]),
        ({"anyOf": [object_of(a=MARKED), object_of(q=QUOTED)]}, [rule("/a"), QUOTE]),
        ({"$ref": "#/$defs/x%20y", "$defs": {"x y": object_of(a=MARKED)}}, [rule("/a")]),
        (object_of(a={"const": {"x-lakehouse": 1}}, b={"default": {"x-lakehouse": 1}}), []),
        ({"$defs": {"unused": {"not": MARKED}}}, []),
        (True, []),
    ],
)  # fmt: skip
def test_a_keyword_is_a_rule_where_it_stands(schema: Any, rules: list[GroundingRule]):
    assert list(grounding_of(schema)) == rules


def with_city(**more: Any) -> dict[str, Any]:
    return {"type": "string", "x-lakehouse": {**IATA, "with": {"city": "airports.city"}, **more}}


@pytest.mark.parametrize(
    ("schema", "path", "beside"),
    [
        (object_of(a=with_city(), city={}), "/a", "/city"),
        (object_of(e={"items": object_of(a=with_city(), city={})}), "/e/*/a", "/e/*/city"),
        (object_of(e={"items": with_city()}, city={"items": {}}), "/e", "/city"),
        (object_of(o=object_of(a={"anyOf": [with_city()]}, city={})), "/o/a", "/o/city"),
    ],
)
def test_with_names_members_of_the_object_around(schema: Any, path: str, beside: str):
    [found] = grounding_of(schema)
    assert (found.path, found.with_) == (path, {beside: "airports.city"})


def test_a_recursive_schema_without_markers_beside_them():
    tree: Any = {"type": "object", "properties": {"inner": {"$ref": "#/$defs/tree"}}}
    schema: Any = {**object_of(tree={"$ref": "#/$defs/tree"}, a=MARKED), "$defs": {"tree": tree}}
    assert list(grounding_of(schema)) == [rule("/a")]


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (object_of(a={"x-lakehouse": 1}), "'/a'"),
        (object_of(a={"x-lakehouse": {"column": "a.b"}}), "an object with `match`"),
        (object_of(a={"x-lakehouse": {**IATA, "path": "/b"}}), "an object with `match`"),
        (object_of(a={"x-lakehouse": {"match": "near"}}), "'near'"),
        (object_of(a={"x-lakehouse": {**IATA, "colum": "a.b"}}), "'colum'" ),
        (object_of(a={"x-lakehouse": []}, b={"type": "object", "x-lakehouse": IATA}), "an object"),
        (object_of(a=with_city(), cty={}), "'city', which is no member beside it (did you mean '"),
        (object_of(a={"additionalProperties": MARKED}), "stands in 'additionalProperties'"),
        (object_of(a={"patternProperties": {"x": MARKED}}), "stands in 'patternProperties'"),
        (object_of(a={"not": {"items": MARKED}}), "stands in 'not'"),
        (object_of(a={"if": MARKED}), "stands in 'if'"),
        (object_of(a={"contains": MARKED}), "stands in 'contains'"),
        (object_of(a={"anyOf": [MARKED, {"type": "integer"}]}), "in one branch of a union"),
        ({"anyOf": [object_of(a=MARKED), object_of(a={})]}, "in one branch of a union"),
        (object_of(a=MARKED, b={"$ref": "#/$defs/none"}), "'#/$defs/none' leads to no part"),
        (object_of(a=MARKED, b={"$ref": "other.json"}), "'other.json' leads to no part"),
        (object_of(a=MARKED, b={"$dynamicRef": "#x"}), "cannot have '$dynamicRef'"),
        (object_of(a=MARKED, b={"$id": "urn:b"}), "cannot have '$id'"),
        (object_of(a=object_of(**{"x-lakehouse-rules": {}}), b={"x-lakehouse-rules": []}),
         "stands at the root only"),
        ({**object_of(a=MARKED, b={"$ref": "#"})}, "the schema is recursive here, by '#'"),
    ],
)  # fmt: skip
def test_a_keyword_that_would_not_be_checked_is_refused(schema: Any, told: str):
    with pytest.raises(SetupError) as caught:
        grounding_of(schema)
    assert told in caught.value.public


def test_a_hostile_schema_ends_soon():
    """References that double at each step, and ones that follow each other."""
    doubling: Any = {
        f"d{step}": object_of(
            l={"$ref": f"#/$defs/d{step + 1}"}, r={"$ref": f"#/$defs/d{step + 1}"}
        )
        for step in range(40)
    }
    schema: Any = {"$ref": "#/$defs/d0", "$defs": {**doubling, "d40": MARKED}}
    with pytest.raises(SetupError, match="names more than 10,000 places"):
        grounding_of(schema)
    chain: Any = {f"d{step}": {"$ref": f"#/$defs/d{step + 1}"} for step in range(2_000)}
    schema = {"$ref": "#/$defs/d0", "$defs": {**chain, "d2000": MARKED}}
    with pytest.raises(SetupError, match="more than 100 references"):
        grounding_of(schema)


def test_rules_stand_at_the_root():
    said: Any = [{"sql": "SELECT $a > 1", "message": "a is small"}]
    assert rules_of({"x-lakehouse-rules": said}) == (SqlRule("SELECT $a > 1", "a is small"),)
    assert rules_of({"type": "object"}) == ()
    faults: list[Any] = [{}, [1], [{"sql": "SELECT 1"}], [{**said[0], "more": 1}]]
    for wrong in faults:
        with pytest.raises(SetupError, match="x-lakehouse-rules: "):
            rules_of({"x-lakehouse-rules": wrong})


def test_a_schema_without_the_keywords_is_the_same_schema():
    schema: Any = {
        **object_of(a=with_city(), **{"x-lakehouse": MARKED}),
        "x-lakehouse-rules": [],
        "default": {"x-lakehouse": 1},
        "$defs": {"b": {"items": QUOTED}},
        "maximum": 1.5,
    }
    assert unmarked(schema) == {
        # A member may have the keyword's name.
        **object_of(a={"type": "string"}, **{"x-lakehouse": {"type": "string"}}),
        "default": {"x-lakehouse": 1},
        "$defs": {"b": {"items": {"type": "string"}}},
        "maximum": 1.5,
    }
    assert "x-lakehouse-rules" in schema  # a copy was changed
    assert unmarked(True) is True


def test_the_keywords_are_not_taken_for_misspelt_ones():
    assert idle_keywords({**object_of(a=MARKED), "x-lakehouse-rules": []}) == []
