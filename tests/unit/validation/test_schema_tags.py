"""Tagged unions: the branch that the answer's constants decide, told without a reference."""

import json
import time

import msgspec
import pytest

from lakehouse.core.json_text import compact, parse
from lakehouse.validation.schema import compile_schema

CAT = {
    "type": "object",
    "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}},
    "required": ["kind", "lives"],
    "additionalProperties": False,
}
DOG = {
    "type": "object",
    "properties": {"kind": {"enum": ["dog", "hound"]}, "bark": {"type": "string"}},
    "required": ["kind", "bark"],
}
REFS = [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]


def found(schema: object, answer: object) -> list[tuple[str, object]]:
    """Compile and give path and expectation of each finding."""
    text = json.dumps(answer)
    compiled = compile_schema(json.dumps(schema).encode())
    findings = compiled.findings(parse(text), compact(text))
    expected = [one.expected for one in findings if isinstance(one.expected, msgspec.Raw)]
    assert len(expected) == len(findings)
    return [(one.path, json.loads(bytes(raw))) for one, raw in zip(findings, expected, strict=True)]


def pets(**schema: object) -> dict[str, object]:
    return {**schema, "$defs": {"Cat": CAT, "Dog": DOG}}


@pytest.mark.parametrize("keyword", ["oneOf", "anyOf"])
@pytest.mark.parametrize("branches", [REFS, [CAT, DOG], [{"allOf": [one]} for one in REFS]])
@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ({"kind": "cat", "lives": "9"}, [("/lives", {"type": "integer"})]),
        ({"kind": "cat"}, [("", {"required": "lives"})]),
        ({"kind": "cat", "lives": 9, "x": 1}, [("", {"additionalProperties": False})]),
        ({"kind": "hound", "bark": 1}, [("/bark", {"type": "string"})]),
        ({"kind": "bird", "lives": 9}, [("/kind", {"enum": ["cat", "dog", "hound"]})]),
        ({"kind": None}, [("/kind", {"enum": ["cat", "dog", "hound"]})]),
        ({"lives": 9}, [("", {"required": "kind"})]),
        ({}, [("", {"required": "kind"})]),
    ],
)
def test_the_branch_that_a_constant_decides_is_gone_into(keyword, branches, answer, wanted):
    """However the branches are written; a tag that no branch has is told with all constants."""
    schema = pets(**{keyword: branches})
    assert found(schema, answer) == wanted
    assert found({"items": schema, "$defs": schema["$defs"]}, [answer]) == [
        ("/0" + path, expected) for path, expected in wanted
    ]


def test_a_union_within_a_union_and_a_union_of_tags_are_followed():
    """Optional unions as Pydantic writes them; tags that only together decide."""
    optional = pets(properties={"pet": {"anyOf": [{"oneOf": REFS}, {"type": "null"}]}})
    assert found(optional, {"pet": {"kind": "dog"}}) == [("/pet", {"required": "bark"})]
    events = {
        "oneOf": [
            {
                "properties": {"type": {"const": kind}, "v": {"const": version}, "n": {"const": 0}},
                "required": ["type", "v", "n"],
            }
            for kind in ("made", "gone")
            for version in (1, 2)
        ]
    }
    assert found(events, {"type": "gone", "v": 2.0, "n": 5}) == [("/n", {"enum": [0]})]
    assert found(events, {"type": "gone", "v": 2, "m": 5}) == [("", {"required": "n"})]
    assert found(events, {"type": "gone", "n": 0}) == [("", {"required": "v"})]


def test_a_condition_on_a_constant_is_followed_and_others_are_not():
    """`if` with constants goes into `then` and `else`; any other is one finding."""
    kind = {"properties": {"kind": {"const": "cat"}}, "required": ["kind"]}
    schema = pets(**{"if": kind, "then": REFS[0], "else": {"required": ["bark"]}})
    assert found(schema, {"kind": "cat", "lives": "9"}) == [("/lives", {"type": "integer"})]
    assert found(schema, {"kind": "dog"}) == [("", {"required": "bark"})]
    open_kind = {"properties": {"kind": {"type": "string"}}}
    other = pets(**{"if": open_kind, "then": REFS[0]})
    assert found(other, {"kind": "cat"}) == [("", {"if": open_kind})]


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"properties": {"kind": {"const": "cat"}}, "required": ["lives"]}, DOG]},
        {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"oneOf": [CAT, {"required": ["bark"]}]},
        {"anyOf": [{"type": "null"}, {"type": "string"}]},
    ],
)
def test_without_a_tag_of_all_branches_the_union_is_one_finding(schema):
    """Nothing is guessed from what else a branch says."""
    assert found(schema, {"kind": "cat"}) == [("", schema)]


def test_several_branches_that_hold_are_one_finding():
    """No branch is meant then."""
    schema = {"oneOf": [DOG, DOG]}
    assert found(schema, {"kind": "dog", "bark": ""}) == [("", schema)]


def test_what_the_decided_branch_evaluates_is_not_told_as_extra():
    """One wrong value does not make every name of its branch an extra one."""
    schema = pets(oneOf=REFS, unevaluatedProperties=False)
    assert found(schema, {"kind": "dog", "bark": 1}) == [("/bark", {"type": "string"})]


def test_references_in_expectations_are_replaced():
    """Chains, siblings and names; what leads into itself or is too long stays."""
    assert found(pets(anyOf=REFS), 3) == [("", {"anyOf": [CAT, DOG]})]
    chain = {"not": {"$ref": "#/$defs/a"}, "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {}}}
    assert found(chain, 3) == [("", {"not": {}})]
    beside = {"not": {"$ref": "#/$defs/a", "type": "integer"}, "$defs": {"a": {"minimum": 1}}}
    assert found(beside, 3) == [("", {"not": {"allOf": [{"minimum": 1}], "type": "integer"}})]
    tree = {"not": {"$ref": "#/$defs/t"}, "$defs": {"t": {"items": {"$ref": "#/$defs/t"}}}}
    assert found(tree, 3) == [("", {"not": {"items": {"$ref": "#/$defs/t"}}})]
    doubling = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(9)}
    wide = {"not": {"$ref": "#/$defs/d0"}, "$defs": {**doubling, "d9": {"title": "x" * 40}}}
    assert found(wide, 3) == [("", {"not": {"$ref": "#/$defs/d0"}})]


def test_a_hostile_union_costs_little():
    """A thousand answers against 490 branches, and an enum of 6,000 constants: linear."""
    branches = [
        {"properties": {"k": {"const": f"c{i}"}}, "required": ["k", "v"]} for i in range(490)
    ]
    constants = [f"{i:x}" for i in range(6_000)]
    other = {"properties": {"k": {"enum": constants}}, "required": ["k"]}
    started = time.process_time()
    assert len(found({"items": {"oneOf": branches}}, [{"k": "c9"}] * 1_000)) == 1_000
    assert len(found({"items": {"oneOf": [other]}}, [{"k": "zz"}] * 2_000)) >= 1
    assert time.process_time() - started < 5
