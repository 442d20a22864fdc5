"""A kind's schema and its caller's: judged by both, decoded under one, contradictions told."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from lakehouse.core.errors import Refusal
from lakehouse.core.limits import SCHEMA_BYTES_MAX, SCHEMA_NODES_MAX
from lakehouse.validation.joint_schema import joint_schema
from lakehouse.validation.schema import SchemaCache, compile_schema
from support.joint import EVENT, STRING, closed, joint, kind_of, raw


def decoding(ours: object, theirs: object) -> Any:
    return json.loads(bytes(joint(ours, theirs).decoding))


def refused(ours: object, theirs: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        joint(ours, theirs)
    assert caught.value.code == "invalid_schema"
    return caught.value


# --- Judging ---


def test_an_answer_must_satisfy_both():
    """Each schema alone would accept the other's bad answer."""
    both = joint(EVENT, {"properties": {"code": {"maxLength": 3}}, "required": ["quote"]})
    assert both.accepts({"code": "LHR", "quote": "q"})
    assert not both.accepts({"code": "LHR"})
    assert not both.accepts({"code": "LHRX", "quote": "q"})
    assert not both.accepts({"code": "LHR", "quote": "q", "more": 1})


def test_findings_quote_each_schema_with_its_own_bytes():
    both = joint(
        b'{"properties":{"n":{"minimum":1.10}}}', b'{"properties":{"n":{"multipleOf":0.50}}}'
    )
    found = both.findings({"n": Decimal("0.3")}, b'{"n":0.3}')
    assert [one.expected for one in found] == [
        msgspec.Raw(b'{"minimum":1.10}'),
        msgspec.Raw(b'{"multipleOf":0.50}'),
    ]
    assert {one.path for one in found} == {"/n"}


def test_what_both_say_is_one_finding():
    other = {**EVENT, "title": "Event"}
    found = joint(EVENT, other).findings({}, b"{}")
    assert [(one.path, one.expected) for one in found] == [
        ("", msgspec.Raw(b'{"required":"code"}'))
    ]


def test_equal_schemas_are_the_kinds():
    """Order and the spelling of numbers say nothing: no second schema is compiled."""
    cache, kind = SchemaCache(), kind_of(b'{"minimum":1.0,"type":"number"}')
    both = joint_schema(cache, kind, b'{"type":"number","minimum":1}', "off")
    assert both is cache.of(kind)
    assert len(cache) == 2  # by its own key, and by the pair


def test_one_pair_is_compiled_once():
    cache, kind = SchemaCache(), kind_of(EVENT)
    first = joint_schema(cache, kind, b"{}", "off")
    assert joint_schema(cache, kind, b"{}", "off") is first
    assert joint_schema(cache, kind, b"true", "off") is not first


def test_pairs_are_evicted_like_other_schemas():
    cache = SchemaCache(count_max=5)
    for number in range(20):
        joint_schema(cache, kind_of(EVENT), raw({"title": str(number), "minProperties": 1}), "off")
    assert len(cache) == 5


@pytest.mark.parametrize("theirs", [{}, True, {"title": "any"}])
def test_a_caller_that_asks_for_nothing_changes_nothing(theirs):
    both = joint(EVENT, theirs)
    assert both.accepts({"code": "a"})
    assert not both.accepts({})
    assert decoding(EVENT, theirs) == {**EVENT, **({} if theirs is True else theirs)}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            {"$ref": "#/$defs/e", "$defs": {"e": {"properties": {"a": STRING}}}},
            {"$ref": "#/$defs/e", "$defs": {"e": {"properties": {"a": {"maxLength": 1}}}}},
        ),
        (
            {"properties": {"a": STRING, "b": {"$ref": "#/properties/a"}}},
            {"properties": {"b": {"maxLength": 9}, "a": {"$ref": "#/definitions/~1%25"}},
             "definitions": {"/%": {"maxLength": 1}}},
        ),
        (
            {"$id": "http://x/e", "properties": {"a": {"$ref": "http://x/e#/$defs/t"}},
             "$defs": {"t": STRING}},
            {"$id": "http://x/e", "properties": {"a": {"$ref": "#t"}},
             "$defs": {"t": {"$anchor": "t", "maxLength": 1}}},
        ),
        (
            {"properties": {"a": {"$ref": "inner"}}, "$defs": {"i": {"$id": "inner", **STRING}}},
            {"properties": {"a": {"$ref": "inner"}},
             "$defs": {"i": {"$id": "inner", "maxLength": 1}}},
        ),
        (
            {"properties": {"a": {"$dynamicRef": "#t"}},
             "$defs": {"t": {"$dynamicAnchor": "t", **STRING}}},
            {"properties": {"a": {"$dynamicRef": "#t"}},
             "$defs": {"t": {"$dynamicAnchor": "t", "maxLength": 1}}},
        ),
    ],
)  # fmt: skip
def test_each_reference_means_what_it_meant(ours, theirs):
    """Names, anchors and identifiers of one schema do not meet those of the other."""
    both = joint(ours, theirs)
    decoded = compile_schema(bytes(both.decoding))
    for schema in (both, decoded):
        assert schema.accepts({"a": "x"})
        assert not schema.accepts({"a": "xy"})
        assert not schema.accepts({"a": 1})


def test_a_schema_within_itself():
    """The kind's trees, of which the caller wants those with a name at every node."""
    node = {"$ref": "#/$defs/node"}
    ours = {**node, "$defs": {"node": {"properties": {"of": {"items": node}, "n": STRING}}}}
    theirs = {**node, "$defs": {"node": {"properties": {"of": {"items": node}}, "required": ["n"]}}}
    both = joint(ours, theirs)
    for schema in (both, compile_schema(bytes(both.decoding))):
        assert schema.accepts({"n": "a", "of": [{"n": "b", "of": [{"n": "c"}]}]})
        assert not schema.accepts({"n": "a", "of": [{"n": "b", "of": [{}]}]})
        assert not schema.accepts({"n": "a", "of": [{"n": "b", "of": [{"n": 1}]}]})


def test_formats_are_asserted_as_the_kind_says():
    dated = {"properties": {"code": {"format": "date"}}}
    assert joint(EVENT, dated).accepts({"code": "tomorrow"})
    assert not joint(EVENT, dated, "known").accepts({"code": "tomorrow"})
    with pytest.raises(Refusal, match=r"`output_schema`.*'/properties/code/format'"):
        joint(EVENT, {"properties": {"code": {"format": "iata"}}}, "all")


# --- Decoding ---

NULLABLE = {"anyOf": [STRING, {"type": "null"}]}


@pytest.mark.parametrize(
    ("ours", "theirs", "together"),
    [
        (
            {"type": "object", "properties": {"b": STRING, "a": STRING}, "required": ["b"]},
            {"type": "object", "properties": {"c": {}, "a": STRING}, "required": ["c", "b"]},
            {
                "type": "object",
                "properties": {"b": STRING, "a": STRING, "c": {}},
                "required": ["b", "c"],
            },
        ),
        (
            {"type": "object", "properties": {"a": STRING, "b": STRING}, "required": ["a"]},
            closed(a={**STRING, "title": "A"}),
            closed(a={**STRING, "title": "A"}),
        ),
        (closed(a={"type": ["string", "null"]}), closed(a=NULLABLE), closed(a=NULLABLE)),
        (closed(a=STRING), closed(a=NULLABLE), closed(a=STRING)),
        (closed(a={"minimum": 1}), closed(a={"minimum": 2.5}), closed(a={"minimum": 2.5})),
        (closed(a={"maxLength": 3}), closed(a={"maxLength": 2}), closed(a={"maxLength": 2})),
        (closed(a={"enum": [1, 2]}), closed(a={"enum": [2, 3, 1.0]}), closed(a={"enum": [1, 2]})),
        (closed(a={"enum": ["x", "y"]}), closed(a={"const": "y"}), closed(a={"const": "y"})),
        (
            closed(a={"type": "number"}),
            closed(a={"type": ["integer", "null"]}),
            closed(a={"type": "integer"}),
        ),
        (
            closed(a={"items": {"type": "object", "properties": {"x": STRING}}}),
            closed(a={"items": closed(x={})}),
            closed(a={"items": closed(x=STRING)}),
        ),
        (
            closed(a={"pattern": "^a"}),
            closed(a={"pattern": "b$"}),
            closed(a={"allOf": [{"pattern": "^a"}, {"pattern": "b$"}]}),
        ),
        (
            {**closed(a={"$ref": "#/$defs/t"}), "$defs": {"t": STRING}},
            {**closed(a={"$ref": "#/$defs/t"}), "$defs": {"t": {**STRING, "title": "T"}}},
            closed(a={**STRING, "title": "T"}),
        ),
        (
            {**closed(a={"$ref": "#/$defs/t"}), "$defs": {"t": STRING}},
            closed(a=STRING),
            {**closed(a={"$ref": "#/$defs/t"}), "$defs": {"t": STRING}},
        ),
        (
            {"type": "object", "additionalProperties": STRING},
            {"type": "object", "properties": {"a": {"maxLength": 1}}},
            {
                "type": "object",
                "properties": {"a": {**STRING, "maxLength": 1}},
                "additionalProperties": STRING,
            },
        ),
        (
            {"oneOf": [closed(a=STRING), closed(b=STRING)]},
            {"type": "object"},
            {"allOf": [{"oneOf": [closed(a=STRING), closed(b=STRING)]}, {"type": "object"}]},
        ),
        (
            {"type": "object", "x-source": "ours", "properties": {"a": {"description": "Ours."}}},
            {"type": "object", "x-source": 1, "properties": {"a": {"description": "Theirs."}}},
            {"type": "object", "x-source": "ours", "properties": {"a": {"description": "Ours."}}},
        ),
    ],
)  # fmt: skip
def test_a_model_decodes_under_one_object(ours, theirs, together):
    """The kind's members first, then the caller's; only what cannot be united stays apart."""
    found = decoding(ours, theirs)
    assert found == together
    if "properties" in together:
        assert list(found["properties"]) == list(together["properties"])


def levels(leaf: dict[str, Any]) -> dict[str, Any]:
    """Make 20 levels of two references each: a million if each was followed."""
    definitions = {
        f"l{n}": {"properties": {name: {"$ref": f"#/$defs/l{n + 1}"} for name in "xy"}}
        for n in range(20)
    }
    return {"$ref": "#/$defs/l0", "$defs": {**definitions, "l20": leaf}}


def inside(depth: int, leaf: dict[str, Any]) -> dict[str, Any]:
    """Make an object in an object, so many times."""
    for _ in range(depth):
        leaf = {"type": "object", "properties": {"a": leaf}}
    return leaf


def at_depth(depth: int, value: object) -> object:
    return {"xy"[depth % 2]: at_depth(depth - 1, value)} if depth else value


MANY: dict[str, Any] = {"properties": {f"m{n}": STRING for n in range(300)}}


@pytest.mark.parametrize(
    ("ours", "theirs", "good", "bad"),
    [
        (levels(STRING), levels({"maxLength": 1}), at_depth(20, "x"), at_depth(20, "xy")),
        (  # a definition of 9 KB, which each of 200 members would be written out by
            {"additionalProperties": {"$ref": "#/$defs/m"}, "$defs": {"m": MANY}},
            {"properties": {f"p{n}": {"properties": {"m1": {"maxLength": 1}}} for n in range(200)}},
            {"p1": {"m1": "x"}},
            {"p1": {"m1": "xy"}},
        ),
        (  # 25 levels, and 25 more in what the reference leads to
            inside(25, {"$ref": "#/$defs/m"}) | {"$defs": {"m": inside(25, STRING)}},
            inside(25, {"$ref": "#/$defs/m"}) | {"$defs": {"m": inside(25, {"maxLength": 1})}},
            {"a": {"a": {}}},
            {"a": {"a": "x"}},
        ),
        (
            {"properties": {"a": {"anyOf": [{"minLength": n} for n in range(2, 9)]}}},
            {"properties": {"a": {"anyOf": [{"maxLength": n} for n in range(2, 9)]}}},
            {"a": "xy"},
            {"a": "x"},
        ),
    ],
    ids=["references", "definitions", "depth", "branches"],
)
def test_what_would_grow_without_end_stays_apart(ours, theirs, good, bad):
    """Whatever was united of it, it fits a call and says the same."""
    both = joint(ours, theirs)
    raw_decoding = bytes(both.decoding)
    assert len(raw_decoding) <= SCHEMA_BYTES_MAX
    assert b'"allOf"' in raw_decoding
    decoded = compile_schema(raw_decoding)
    for value, accepted in ((good, True), (bad, False)):
        assert both.accepts(value) is decoded.accepts(value) is accepted


# --- Contradictions ---


@pytest.mark.parametrize(
    ("ours", "theirs", "told", "hint"),
    [
        (closed(a=STRING), {"required": ["x"]}, "'/x', `output_schema` requires", "Leave '/x' out"),
        (
            closed(a=STRING),
            closed(a=STRING, b=STRING),
            "'/b', `output_schema` requires a member, and the kind's schema allows none",
            "Leave '/b' out",
        ),
        (
            {"type": "object", "properties": {"a": STRING}, "required": ["a"]},
            {"properties": {}, "additionalProperties": False},
            "'/a', the kind's schema requires a member, and `output_schema` allows none",
            "Add '/a' to `output_schema`",
        ),
        (
            closed(a={"type": ["string", "null"]}),
            {"properties": {"a": {"type": "number"}}},
            "'/a', the kind's schema takes null or string, and `output_schema` number",
            "Change `output_schema` at '/a'",
        ),
        (
            {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}},
            {"properties": {"a": {"const": "z"}}},
            "'/a', they share no value",
            "Change `output_schema` at '/a'",
        ),
        (
            closed(a={"$ref": "#/$defs/t"}) | {"$defs": {"t": closed(b=STRING)}},
            {"properties": {"a": closed(b={"type": "integer"})}},
            "'/a/b', the kind's schema takes string, and `output_schema` integer",
            "Change `output_schema` at '/a/b'",
        ),
        (closed(a=STRING), False, "object, and `output_schema` nothing.", "Change"),
        (closed(a=STRING), {"type": "array"}, "as a whole, the kind's schema takes", "Change"),
        (closed(**{"a/b": STRING}), closed(**{"a/b": {"const": 1}}), "'/a~1b', ", "Change"),
    ],
)  # fmt: skip
def test_a_contradiction_names_the_member_and_what_to_change(ours, theirs, told, hint):
    refusal = refused(ours, theirs)
    assert refusal.public.startswith("`output_schema` contradicts the schema of kind 'event': ")
    assert told in refusal.public
    assert hint in refusal.hint


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        # What is optional in one and missing in the other is left out.
        (closed(a=STRING), {"properties": {"a": STRING, "x": STRING}}),
        ({"properties": {"a": STRING, "b": STRING}, "required": ["a"]}, closed(a=STRING)),
        ({"properties": {"a": STRING, "b": STRING}}, {"properties": {"b": False}}),
        # What one of them contradicts by itself is no matter between the two.
        (closed(a=STRING), {"properties": {"x": closed(y=False)}}),
        # Null is left.
        (
            closed(a={"anyOf": [closed(b=STRING), {"type": "null"}]}),
            closed(a={"anyOf": [closed(c=STRING), {"type": "null"}]}),
        ),
        (closed(a=NULLABLE), closed(a={"type": ["integer", "null"]})),
        # A text is left.
        ({"properties": {"a": STRING}}, {"properties": {"a": {"type": "integer"}}}),
        # An empty array is left.
        (closed(a={"type": "array", "items": STRING}), closed(a={"items": {"type": "integer"}})),
    ],
)
def test_what_leaves_a_way_is_no_contradiction(ours, theirs):
    assert joint(ours, theirs)


# --- What is refused ---


@pytest.mark.parametrize(
    ("theirs", "told"),
    [
        (b'{"type":"strin"}', "did you mean 'string'"),
        (b"[]", "neither an object nor a boolean"),
        (b'{"$ref":"http://x/y"}', "nothing is ever fetched"),
        (b'{"$ref":"urn:lakehouse:kind"}', "nothing is ever fetched"),
        (b'{"a":1,"a":2}', "it is not JSON"),
        (b'{"title":"%b"}' % (b"a" * SCHEMA_BYTES_MAX), "at most 65,536 are allowed"),
        (b'{"items":' * 64 + b"{}" + b"}" * 64, "it is not JSON"),
    ],
)
def test_a_callers_schema_that_is_none_is_told_as_such(theirs, told):
    refusal = refused(EVENT, theirs)
    assert refusal.public.startswith("`output_schema`: ")
    assert told in refusal.public


@pytest.mark.parametrize(
    "half",
    [
        lambda note: {"title": note * (SCHEMA_BYTES_MAX // 2)},
        lambda note: {"properties": {f"{note}{n}": {} for n in range(SCHEMA_NODES_MAX // 2)}},
    ],
)
def test_two_schemas_may_be_too_large_together(half):
    """The limits of one schema hold for both: each is checked against each answer."""
    refusal = refused(half("a"), half("b"))
    assert "together with the schema of kind 'event'" in refusal.public
    assert joint(half("a"), half("a"))
