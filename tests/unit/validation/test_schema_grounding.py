"""The keyword `x-lakehouse`: the rules that a schema carries, and what of it is refused."""

import json
from typing import Any

import pytest

from lakehouse.core.errors import Refusal
from lakehouse.core.kind import GroundingRule
from lakehouse.core.limits import CARRIED_RULES_MAX
from lakehouse.validation.schema import CompiledSchema, compile_schema

IATA = {"column": "airports.iata"}
TEXT = {"type": "string"}
CODE = {**TEXT, "x-lakehouse": IATA}
QUOTE = {**TEXT, "x-lakehouse": {"match": "quote"}}
NULL = {"type": "null"}


def of(**members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members}


def listed(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def compiled(schema: Any) -> CompiledSchema:
    return compile_schema(json.dumps(schema).encode())


def refused(schema: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        compiled(schema)
    assert caught.value.code == "invalid_schema"
    return caught.value


@pytest.mark.parametrize(
    ("schema", "pointers"),
    [
        (of(code=CODE), ["/code"]),
        (CODE, [""]),
        (of(codes=listed(CODE)), ["/codes/*"]),
        (of(codes={**listed(TEXT), "x-lakehouse": IATA}), ["/codes"]),
        (listed(listed(CODE)), ["/*/*"]),
        ({"type": "array", "prefixItems": [TEXT, CODE]}, ["/1"]),
        (of(**{"a/b~": CODE}), ["/a~1b~0"]),
        (of(events=listed({"$ref": "#/$defs/E"})) | {"$defs": {"E": of(c=CODE)}}, ["/events/*/c"]),
        (of(code={"anyOf": [CODE, NULL]}), ["/code"]),
        (of(code={"anyOf": [TEXT, {"type": "integer"}], "x-lakehouse": IATA}), ["/code"]),
        (of(code={"allOf": [TEXT, CODE]}), ["/code"]),
        ({"anyOf": [of(code=CODE), of(code=CODE, n=TEXT)]}, ["/code"]),
        ({"anyOf": [of(code=CODE), of(flight=TEXT)]}, ["/code"]),
        ({"allOf": [of(code=CODE), of(code=TEXT, quote=QUOTE)]}, ["/code", "/quote"]),
        (
            of(a={"$ref": "#/$defs/C"}, b={"$ref": "#/$defs/C"}) | {"$defs": {"C": CODE}},
            ["/a", "/b"],
        ),
        ({"$ref": "#/$defs/N", "$defs": {"N": of(next={"$ref": "#/$defs/N"}), "X": CODE}}, []),
        (of(q={**TEXT, "x-lakehouse": [IATA, {"match": "quote"}, IATA]}), ["/q", "/q"]),
        (of(a=listed(of(**{"c~d": CODE}))), ["/a/*/c~0d"]),
        (of(a={"type": "array", "prefixItems": [{}, CODE]}), ["/a/1"]),
        (of(a={"oneOf": [CODE, {**CODE, "maxLength": 2}]}), ["/a"]),
        ({"anyOf": [of(a=CODE), of(q=QUOTE)]}, ["/a", "/q"]),
        ({"$ref": "#/$defs/x%20y", "$defs": {"x y": of(a=CODE)}}, ["/a"]),
        ({"$defs": {"unused": {"not": CODE}}}, []),
        (
            {**of(tree={"$ref": "#/$defs/N"}, a=CODE), "$defs": {"N": of(n={"$ref": "#/$defs/N"})}},
            ["/a"],
        ),
        (of(**{"x-lakehouse": {"const": {"x-lakehouse": 1}}, "x_lakehouse": TEXT}), []),
        (True, []),
    ],
)
def test_the_pointer_of_a_rule_is_its_place(schema: Any, pointers: list[str]) -> None:
    assert [rule.path for rule in compiled(schema).grounding] == pointers


def test_every_member_means_what_it_means_in_the_configuration() -> None:
    """A name in `with` stands beside the value, in its own object; a pointer starts at the root."""
    keyword = {
        "match": "within",
        "column": "t.gates",
        "tolerance": 0.5,
        "with": {"ci/ty": "t.city", "/day": "t.day"},
        "candidates": "hint",
        "candidates_required": True,
    }
    gate = {"type": ["number", "null"], "x-lakehouse": keyword}
    found = compiled(of(stops=listed(of(gates=listed(gate), **{"ci/ty": TEXT})), day=TEXT))
    assert found.grounding == (
        GroundingRule(
            path="/stops/*/gates/*",
            match="within",
            column="t.gates",
            tolerance=0.5,
            with_={"/stops/*/ci~1ty": "t.city", "/day": "t.day"},
            candidates="hint",
            candidates_required=True,
        ),
    )


def test_a_model_decodes_without_it_and_no_other_byte_changes() -> None:
    """Nor does a finding show it; a member, a constant or a default of that name stays."""
    raw = (
        b'{"$defs":{"C":{"x-lakehouse":{"column":"a.b"},"type":"string"}},"type":"object",'
        b'"properties":{"x-lakehouse":{"default":{"x-lakehouse":1.50}},"n":{"maximum":1.50e2},'
        b'"c":{"anyOf":[{"type":"string","x\\u002dlakehouse":{"column":"a.b"}},{"type":"null"}]},'
        b'"d":{"$ref":"#/$defs/C"}}}'
    )
    found = compile_schema(raw)
    assert bytes(found.decoding) == (
        b'{"$defs":{"C":{"type":"string"}},"type":"object",'
        b'"properties":{"x-lakehouse":{"default":{"x-lakehouse":1.50}},"n":{"maximum":1.50e2},'
        b'"c":{"anyOf":[{"type":"string"},{"type":"null"}]},"d":{"$ref":"#/$defs/C"}}}'
    )
    assert [rule.path for rule in found.grounding] == ["/c", "/d"]
    [finding] = found.findings({"c": 1}, b'{"c":1}')
    assert "x-lakehouse" not in finding.message + str(finding.expected)


@pytest.mark.parametrize(
    ("schema", "path", "beside"),
    [
        (lambda code: of(a=code, city=TEXT), "/a", "/city"),
        (lambda code: of(e=listed(of(a=code, city=TEXT))), "/e/*/a", "/e/*/city"),
        (lambda code: of(e=listed(code), city=listed(TEXT)), "/e/*", "/city"),
        (lambda code: of(o=of(a={"anyOf": [code]}, city=TEXT)), "/o/a", "/o/city"),
    ],
)
def test_with_names_members_of_the_object_around(schema: Any, path: str, beside: str) -> None:
    keyword = [{"match": "quote"}, {**IATA, "with": {"city": "airports.city"}}]
    found = compiled(schema({**TEXT, "x-lakehouse": keyword})).grounding
    pair = GroundingRule(path=path, column="airports.iata", with_={beside: "airports.city"})
    assert found == (GroundingRule(path=path, match="quote"), pair)


@pytest.mark.parametrize("name", ["x-lakehouse-rules", "X_Lakehouse_Rules", "x-lakehose-rule"])
@pytest.mark.parametrize("root", [True, False])
def test_sql_rules_are_for_kinds(name: str, *, root: bool) -> None:
    """Also where they stand with no effect: their author would believe that they judge."""
    rules = {name: [{"sql": "SELECT true", "message": "m"}]}
    refusal = refused({**of(a=TEXT), **rules} if root else {"$defs": {"a": rules}})
    assert f"/{name}': SQL rules cannot stand in this schema" in refusal.public
    assert "SQL rules belong to kinds" in refusal.hint
    compiled(of(**{name: TEXT}, a={"const": rules, "lakeside": 1, "x-owner": 1}))


@pytest.mark.parametrize(
    ("keyword", "place", "words"),
    [
        (3, "", ["is 3", "an object of candidates, candidates_required, column"]),
        ([], "", ["is []", "at least one"]),
        ([IATA, 3], "/1", ["is 3", "an object of candidates"]),
        ([IATA, {**IATA, "with": {"ctiy": "a.b"}}], "/1/with/ctiy", ["did you mean 'city'"]),
        ({"colum": "a.b"}, "/colum", ["did you mean 'column'"]),
        ({"path": "/x"}, "/path", ["unknown member"]),
        ({"match": "exat"}, "/match", ["'exat'", "did you mean 'exact'", "`quote`"]),
        ({"match": None}, "/match", ["is None", "`casefold`"]),
        ({"column": 3}, "/column", ["is 3", "text"]),
        ({"tolerance": "x"}, "/tolerance", ["is 'x'", "number"]),
        ({"with": ["city"]}, "/with", ["is ['city']"]),
        ({"with": {"city": 1}}, "/with", ["is {'city': 1}"]),
        ({**IATA, "with": {"ctiy": "a.b"}}, "/with/ctiy", ["did you mean 'city'", "'code'"]),
        ({**IATA, "with": {"city": "a.b", "/city": "a.c"}}, "/with/~1city", ["twice"]),
        ({"candidates": "autp"}, "/candidates", ["did you mean 'auto'"]),
        ({"candidates_required": 1}, "/candidates_required", ["true or false"]),
    ],
)
def test_a_malformed_keyword_is_named_with_its_value(
    keyword: Any, place: str, words: list[str]
) -> None:
    refusal = refused(of(code={**TEXT, "x-lakehouse": keyword}, city=TEXT))
    assert repr(f"/properties/code/x-lakehouse{place}") in refusal.public
    for word in words:
        assert word in refusal.public
    assert "beside the value" in refusal.hint


@pytest.mark.parametrize(
    ("schema", "place", "words"),
    [
        (of(code={"anyOf": [CODE, {"type": "integer"}]}), "/properties/code/anyOf/0", "branch"),
        ({"oneOf": [of(code=TEXT), of(code=CODE)]}, "/oneOf/1/properties/code", "branch"),
        ({"anyOf": [of(code=CODE), of(code=QUOTE)]}, "/anyOf/1/properties/code", "about '/code'"),
        ({"allOf": [of(code=CODE), of(code=QUOTE)]}, "/allOf/1/properties/code", "about '/code'"),
        (
            {"$ref": "#/$defs/N", "$defs": {"N": of(code=CODE, next={"$ref": "#/$defs/N"})}},
            "/$defs/N",
            "contains itself",
        ),
        ({"type": "object", "additionalProperties": CODE}, "/additionalProperties", "no pointer"),
        ({"patternProperties": {"a": of(x=CODE)}}, "/patternProperties/a", "no pointer"),
        ({"not": of(code=CODE)}, "/not", "no pointer"),
        ({"if": of(code=CODE), "then": True}, "/if", "no pointer"),
        ({"if": of(kind={"const": 1}), "then": of(code=CODE)}, "/then", "no pointer"),
        ({"contains": CODE}, "/contains", "no pointer"),
        (of(code={**TEXT, "x_lakehouse": IATA}), "/properties/code/x_lakehouse", "'x-lakehouse'"),
        (of(code={**TEXT, "X-Lakehouse": IATA}), "/properties/code/X-Lakehouse", "'x-lakehouse'"),
        ({"prefixItems": [TEXT], "items": CODE}, "/items", "beside `prefixItems`"),
        (of(code={**TEXT, "x-lakehose": IATA}), "/properties/code/x-lakehose", "'x-lakehouse'"),
        (of(code={**TEXT, "x-lakehouse-by": IATA}), "/properties/code/x-lakeh", "'x-lakehouse'"),
        (of(a=of(c=CODE, b={"$ref": "#/properties/a"})), "/properties/a", "contains itself"),
        (of(a=CODE) | {"$defs": {"b": {"x_lakehouse": 1}}}, "/$defs/b/x_lakehouse", "no such"),
    ],
)
def test_a_keyword_that_a_pointer_cannot_mean_is_refused(
    schema: Any, place: str, words: str
) -> None:
    refusal = refused(schema)
    assert f"at '{place}" in refusal.public
    assert words in refusal.public


def test_what_one_schema_carries_is_bounded() -> None:
    """Rules, and places that references multiply, however few bytes say so."""
    rules = {f"m{n}": CODE for n in range(CARRIED_RULES_MAX)}
    assert len(compiled(of(**rules)).grounding) == CARRIED_RULES_MAX
    assert f"at most {CARRIED_RULES_MAX}" in refused(of(**rules, more=CODE)).public

    twice = {f"L{n}": of(a={"$ref": f"#/$defs/L{n + 1}"}, b={"$ref": f"#/$defs/L{n + 1}"})
             for n in range(30)}  # fmt: skip
    many = {"$ref": "#/$defs/L0", "$defs": {**twice, "L30": CODE}}
    assert "too many places" in refused(many).public
    deep = {f"L{n}": of(a={"$ref": f"#/$defs/L{n + 1}"}) for n in range(500)}
    refused({"$ref": "#/$defs/L0", "$defs": {**deep, "L500": CODE}})
