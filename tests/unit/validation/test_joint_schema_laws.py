"""A kind's schema and its caller's: laws that hold for any two schemas and any answer."""

import re
from decimal import Decimal
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from lakehouse.core.errors import Refusal
from lakehouse.validation.schema import CompiledSchema, compile_schema
from support.joint import STRING, joint, raw

NAMES = ["a", "b", "c"]
scalars: st.SearchStrategy[Any] = st.sampled_from(["x", "yy", 1, 2.5, True, None, Decimal("1.0")])
leaves: st.SearchStrategy[Any] = st.sampled_from(
    [
        STRING,
        {"type": ["string", "null"], "description": "noted"},
        {"type": "number", "minimum": 1},
        {"exclusiveMaximum": 2.5, "minimum": 0},
        {"type": "integer", "title": "T"},
        {"enum": ["x", 1, None]},
        {"enum": ["yy", 1.0, True], "type": ["integer", "string", "boolean"]},
        {"const": 1},
        {"maxLength": 1},
        {"pattern": "^y"},
        {"$ref": "#/$defs/text"},
        {"$ref": "#/$defs/object"},
        {"$ref": "#/$defs/object", "minProperties": 1},
        {"not": {"type": "string"}},
        {"x-note": 1},
        {},
        True,
        False,
    ]
)


def _inside(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    members = st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    objects = st.fixed_dictionaries(
        {"properties": members},
        optional={
            "type": st.sampled_from(["object", ["object", "null"]]),
            "required": st.lists(st.sampled_from(NAMES), unique=True),
            "additionalProperties": st.just(False) | inner,
            "patternProperties": st.fixed_dictionaries({"^b": inner}),
            "maxProperties": st.integers(1, 2),
            "unevaluatedProperties": st.just(False),
        },
    )
    arrays = st.fixed_dictionaries(
        {"items": inner},
        optional={
            "type": st.sampled_from(["array", ["array", "string"]]),
            "prefixItems": st.lists(inner, min_size=1, max_size=1),
            "maxItems": st.integers(1, 2),
            "uniqueItems": st.booleans(),
        },
    )
    unions = st.fixed_dictionaries(
        {"anyOf": st.lists(inner, min_size=1, max_size=3)},
        optional={"type": st.sampled_from(["string", "object"]), "title": st.just("t")},
    )
    return objects | arrays | unions | st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1)})


parts = st.recursive(leaves, _inside, max_leaves=6)
roots = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(st.sampled_from(NAMES), parts)},
    optional={
        "required": st.lists(st.sampled_from(NAMES), unique=True),
        "additionalProperties": st.just(False) | parts,
    },
) | _inside(parts)
schemas = st.tuples(roots, parts).map(
    lambda pair: {**pair[0], "$defs": {"text": STRING, "object": pair[1]}}
)
answers = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.fixed_dictionaries({}, optional=dict.fromkeys([*NAMES, "d"], inner))
    ),
    max_leaves=6,
)
objects = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, answers))


def has(value: Any, parts: list[str]) -> bool:
    """Return whether a value has all the members on a way."""
    for part in parts:
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


def told_or_joint(ours: object, theirs: object) -> tuple[str, CompiledSchema | None]:
    try:
        return "", joint(ours, theirs)
    except Refusal as refusal:
        return refusal.public, None


@settings(max_examples=600)
@given(schemas, schemas, st.lists(answers | objects, min_size=1, max_size=12))
def test_all_that_judges_and_decodes_accepts_what_both_accept(ours, theirs, values):
    """The conjunction, the merged schema, and each schema by itself, value by value."""
    try:
        alone = compile_schema(raw(ours)), compile_schema(raw(theirs))
    except Refusal:
        event("a schema that is none")
        return
    wanted = [all(one.accepts(value) for one in alone) for value in values]
    told, both = told_or_joint(ours, theirs)
    if both is None:
        event("contradictory")
        assert "contradicts" in told
        accepted = [value for value, good in zip(values, wanted, strict=True) if good]
        if "as a whole" in told or not accepted:
            assert not accepted
            return
        [place] = re.findall(r" at '/(.*?)'", told)
        parts = place.split("/")
        for value in accepted:  # none has the member, or what the missing member would stand in
            assert not has(value, parts[:-1] if "requires a member" in told else parts)
        return
    merged = compile_schema(bytes(both.decoding))
    event("apart" if b'"allOf"' in bytes(both.decoding) else "united")
    for value, good in zip(values, wanted, strict=True):
        assert both.accepts(value) is good
        assert merged.accepts(value) is good
