"""Narrowing by table: a schema, candidates, and what the narrowed schema then accepts."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from lakehouse.core.kind import FormatMode, digest_of
from lakehouse.core.session import Narrowed
from lakehouse.providers.llama_cpp import LlamaCppProvider, LlamaCppSettings
from lakehouse.providers.strict_schema import may_be_strict
from lakehouse.providers.weights import SMOLLM2
from lakehouse.validation.narrowing import (
    Candidates,
    NarrowedSchema,
    NarrowingLimits,
    SchemaNarrowing,
    fits,
)
from lakehouse.validation.schema import compile_schema
from support.chat import question
from support.weights import pulled_weights

TEXT = {"type": "string"}
CODE = {"type": "string", "pattern": "^[A-Z]{3}$"}
NULLABLE = {"type": ["string", "null"]}
SHARED = {"code": CODE}
REF = {"$ref": "#/$defs/code"}


def closed(**members: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(members),
        "properties": members,
    }


def one(at: str, *values: Any, open_end: bool = False) -> Candidates:
    return Candidates(((at, "t.c"),), tuple((value,) for value in values), open_end)


def rows(places: str, *found: tuple[Any, ...], open_end: bool = False) -> Candidates:
    named = tuple((at, f"t.c{n}") for n, at in enumerate(places.split()))
    return Candidates(named, found, open_end)


def narrow(
    schema: Any,
    *candidates: Candidates,
    limits: NarrowingLimits | None = None,
    formats: FormatMode = "off",
) -> NarrowedSchema:
    return SchemaNarrowing(json.dumps(schema).encode(), formats).narrow(candidates, limits)


EVENT = closed(airport=TEXT, city=NULLABLE, note=TEXT)
PAIRS = rows("/airport /city", ("OSL", "Oslo"), ("BGO", "Bergen"))


def event(airport: Any, city: Any) -> dict[str, Any]:
    return {"airport": airport, "city": city, "note": "n"}


CASES: dict[str, tuple[Any, list[Candidates], list[Any], list[Any]]] = {
    # name: schema, candidates, answers accepted, answers accepted by the whole schema only
    "member": (closed(a=TEXT), [one("/a", "x", "y")], [{"a": "x"}, {"a": "y"}], [{"a": "z"}]),
    "whole answer": (TEXT, [one("", "x")], ["x"], ["y"]),
    "nested": (
        closed(a=closed(b=closed(c=TEXT))),
        [one("/a/b/c", "x")],
        [{"a": {"b": {"c": "x"}}}],
        [{"a": {"b": {"c": "y"}}}],
    ),
    "two rules": (
        closed(a=TEXT, b=TEXT),
        [one("/a", "x"), one("/b", "y")],
        [{"a": "x", "b": "y"}],
        [{"a": "y", "b": "y"}, {"a": "x", "b": "x"}],
    ),
    "two rules on one place": (
        closed(a=TEXT),
        [one("/a", "x", "y"), one("/a", "y", "z")],
        [{"a": "y"}],
        [{"a": "x"}, {"a": "z"}],
    ),
    "two rules that contradict leave the place": (
        closed(a=TEXT),
        [one("/a", "x"), one("/a", "z")],
        [{"a": "x"}, {"a": "free"}],
        [],
    ),
    "escaped name": (
        closed(**{"a/b~c": TEXT}),
        [one("/a~1b~0c", "x")],
        [{"a/b~c": "x"}],
        [{"a/b~c": "y"}],
    ),
    "optional member": (
        {"type": "object", "properties": {"a": TEXT}},
        [one("/a", "x")],
        [{}, {"a": "x"}, {"b": 1}],
        [{"a": "y"}],
    ),
    "null stays": (closed(a=NULLABLE), [one("/a", "x")], [{"a": None}, {"a": "x"}], [{"a": "y"}]),
    "null by a union": (
        closed(a={"anyOf": [TEXT, {"type": "null"}]}),
        [one("/a", "x")],
        [{"a": None}, {"a": "x"}],
        [{"a": "y"}],
    ),
    "a null among the values changes nothing": (
        closed(a=NULLABLE),
        [one("/a", "x", None)],
        [{"a": None}, {"a": "x"}],
        [{"a": "y"}],
    ),
    "array": (
        closed(a={"type": "array", "items": TEXT}),
        [one("/a", "x", "y")],
        [{"a": []}, {"a": ["x", "y", "x"]}],
        [{"a": ["x", "z"]}],
    ),
    "array of nullable": (
        closed(a={"type": ["array", "null"], "items": NULLABLE}),
        [one("/a", "x")],
        [{"a": None}, {"a": [None, "x"]}],
        [{"a": ["z"]}],
    ),
    "array without items": (
        closed(a={"type": "array"}),
        [one("/a", "x")],
        [{"a": ["x"]}, {"a": []}],
        [{"a": ["z"]}, {"a": [1]}],
    ),
    "array or text": (
        closed(a={"type": ["array", "string"], "items": TEXT}),
        [one("/a", "x")],
        [{"a": "x"}, {"a": ["x"]}],
        [{"a": "z"}, {"a": ["z"]}],
    ),
    "array or text by a union": (
        closed(a={"anyOf": [{"type": "array", "items": REF}, REF]}) | {"$defs": SHARED},
        [one("/a", "OSL")],
        [{"a": "OSL"}, {"a": ["OSL"]}],
        [{"a": "BGO"}, {"a": ["BGO"]}],
    ),
    "array of arrays stays": (
        closed(a={"type": "array", "items": {"type": "array", "items": TEXT}}),
        [one("/a", "x")],
        [{"a": [["z"]]}],
        [],
    ),
    "place in a tuple": (
        closed(a={"type": "array", "prefixItems": [TEXT, TEXT]}),
        [one("/a/1", "x")],
        [{"a": ["free", "x"]}, {"a": ["free"]}],
        [{"a": ["free", "z"]}],
    ),
    "tuple as a whole": (
        closed(a={"type": "array", "prefixItems": [TEXT, REF], "items": TEXT}) | {"$defs": SHARED},
        [one("/a", "OSL", "x")],
        [{"a": ["x", "OSL", "x"]}],
        [{"a": ["x", "BGO"]}, {"a": ["z"]}, {"a": ["x", "OSL", "z"]}],
    ),
    "first of at most one": (
        closed(a={"type": "array", "items": closed(b=TEXT), "maxItems": 1}),
        [one("/a/0/b", "x")],
        [{"a": [{"b": "x"}]}, {"a": []}],
        [{"a": [{"b": "z"}]}],
    ),
    "first of many stays": (
        closed(a={"type": "array", "items": closed(b=TEXT)}),
        [one("/a/0/b", "x")],
        [{"a": [{"b": "z"}]}],
        [],
    ),
    "too few values for different elements": (
        closed(a={"type": "array", "items": TEXT, "uniqueItems": True, "minItems": 2}),
        [one("/a", "x")],
        [{"a": ["y", "z"]}],
        [],
    ),
    "what must be contained stays": (
        closed(a={"type": "array", "items": TEXT, "contains": {"const": "must"}}),
        [one("/a", "x")],
        [{"a": ["must"]}],
        [],
    ),
    "reference": (
        closed(a=REF) | {"$defs": SHARED},
        [one("/a", "OSL")],
        [{"a": "OSL"}],
        [{"a": "BGO"}],
    ),
    "shared reference": (
        closed(a=REF, b=REF) | {"$defs": SHARED},
        [one("/a", "OSL")],
        [{"a": "OSL", "b": "BGO"}],
        [{"a": "BGO", "b": "OSL"}],
    ),
    "shared object": (
        closed(a={"$ref": "#/$defs/o"}, b={"$ref": "#/$defs/o"}) | {"$defs": {"o": closed(c=TEXT)}},
        [one("/b/c", "x")],
        [{"a": {"c": "free"}, "b": {"c": "x"}}],
        [{"a": {"c": "x"}, "b": {"c": "free"}}],
    ),
    "reference to a reference": (
        closed(a={"$ref": "#/$defs/p"}) | {"$defs": {"p": REF, **SHARED}},
        [one("/a", "OSL")],
        [{"a": "OSL"}],
        [{"a": "BGO"}],
    ),
    "reference to a member that is narrowed": (
        closed(a=CODE, b={"$ref": "#/properties/a"}),
        [one("/a", "OSL")],
        [{"a": "OSL", "b": "BGO"}],
        [{"a": "BGO", "b": "OSL"}],
    ),
    "reference to the root": (
        {"type": "object", "properties": {"a": TEXT, "more": {"$ref": "#"}}},
        [one("/a", "x")],
        [{"a": "x", "more": {"a": "free", "more": {"a": "free"}}}],
        [{"a": "z"}],
    ),
    "deep in a recursion": (
        {"type": "object", "properties": {"a": TEXT, "more": {"$ref": "#"}}},
        [one("/more/more/a", "x")],
        [{"a": "free", "more": {"a": "free", "more": {"a": "x", "more": {"a": "free"}}}}],
        [{"more": {"more": {"a": "z"}}}],
    ),
    "reference by an anchor": (
        closed(a={"$ref": "#code"}, b={"$ref": "#code"})
        | {"$defs": {"c": {**CODE, "$anchor": "code"}}},
        [one("/a", "OSL")],
        [{"a": "OSL", "b": "BGO"}],
        [{"a": "BGO", "b": "BGO"}],
    ),
    "reference with more beside it": (
        closed(a={"$ref": "#/$defs/o", "maxProperties": 1, "description": "d"})
        | {"$defs": {"o": {"type": "object", "properties": {"c": TEXT}}}},
        [one("/a/c", "x")],
        [{"a": {"c": "x"}}, {"a": {"d": 1}}],
        [{"a": {"c": "z"}}],
    ),
    "root behind a reference": (
        {"$ref": "#/$defs/event", "$defs": {"event": EVENT}},
        [PAIRS],
        [event("OSL", "Oslo")],
        [event("OSL", "Bergen")],
    ),
    "branch without the member stays": (
        {"anyOf": [closed(a=TEXT), closed(b=TEXT)]},
        [one("/a", "x")],
        [{"a": "x"}, {"b": "free"}],
        [{"a": "z"}],
    ),
    "branches with a tag": (
        {"oneOf": [closed(k={"const": "p"}, a=TEXT), closed(k={"const": "q"}, a=TEXT, b=TEXT)]},
        [one("/a", "x")],
        [{"k": "p", "a": "x"}, {"k": "q", "a": "x", "b": "free"}],
        [{"k": "p", "a": "z"}, {"k": "q", "a": "z", "b": "free"}],
    ),
    "branches that may overlap stay": (
        {"oneOf": [{"type": "object", "properties": {"a": TEXT}}, {"required": ["b"]}]},
        [one("/a", "x")],
        [{"a": "free"}],
        [],
    ),
    "branch that can hold no value stays": (
        closed(a={"type": "object", "anyOf": [closed(c=TEXT), closed(c={"type": "integer"})]}),
        [one("/a/c", "x")],
        [{"a": {"c": "x"}}, {"a": {"c": 1}}],
        [{"a": {"c": "z"}}],
    ),
    "allOf": (
        {"allOf": [{"properties": {"a": TEXT}}, {"properties": {"a": {"maxLength": 2}}}]},
        [one("/a", "x", "long")],
        [{"a": "x"}],
        [{"a": "z"}],
    ),
    "allOf of definitions": (
        {"allOf": [{"$ref": "#/$defs/o"}], "properties": {"b": REF}, "required": ["a", "b"]}
        | {"$defs": {"o": {"type": "object", "properties": {"a": REF}}, **SHARED}},
        [one("/a", "OSL")],
        [{"a": "OSL", "b": "BGO"}],
        [{"a": "BGO", "b": "BGO"}],
    ),
    "members without a name": (
        {"type": "object", "additionalProperties": TEXT},
        [one("/a", "x")],
        [{"a": "x", "b": "free"}],
        [{"a": "z"}],
    ),
    "members by a pattern": (
        {"type": "object", "patternProperties": {"^a": TEXT}, "additionalProperties": False},
        [one("/a", "x")],
        [{"a": "x", "aa": "free"}],
        [{"a": "z"}],
    ),
    "condition on another member": (
        closed(a=TEXT, b=TEXT) | {"if": {"properties": {"b": {"const": "y"}}}, "then": {}},
        [one("/a", "x")],
        [{"a": "x", "b": "y"}],
        [{"a": "z", "b": "y"}],
    ),
    "condition on the member stays": (
        closed(a=TEXT) | {"not": {"properties": {"a": {"const": "x"}}}},
        [one("/a", "x")],
        [{"a": "z"}],
        [],
    ),
    "forbidden by a pattern": (closed(a=CODE), [one("/a", "OSL", "oslo")], [{"a": "OSL"}], []),
    "forbidden by a length": (
        closed(a={"type": "string", "maxLength": 2}),
        [one("/a", "x", "long")],
        [{"a": "x"}],
        [{"a": "z"}],
    ),
    "forbidden by an enum": (
        closed(a={"enum": ["x", "y"]}),
        [one("/a", "x", "z")],
        [{"a": "x"}],
        [{"a": "y"}],
    ),
    "all forbidden leaves the place": (closed(a=CODE), [one("/a", "oslo")], [{"a": "BGO"}], []),
    "forbidden by the type": (
        closed(a={"type": "integer"}),
        [one("/a", "1", 2)],
        [{"a": 2}],
        [{"a": 1}],
    ),
    "numbers": (
        closed(a={"type": "number", "minimum": 1}),
        [one("/a", 1, 2.5, Decimal("0.30"), Decimal("1.1"))],
        [{"a": 1}, {"a": 1.0}, {"a": 2.5}, {"a": 1.1}],
        [{"a": 3}],
    ),
    "true is not one": (
        closed(a={"type": ["boolean", "integer"]}),
        [one("/a", True)],
        [{"a": True}],
        [{"a": 1}, {"a": False}],
    ),
    "dates": (
        closed(a={"type": "string", "format": "date"}),
        [one("/a", "2026-02-01", "2026-02-31")],
        [{"a": "2026-02-01"}],
        [{"a": "2026-03-01"}],
    ),
    "no values": (closed(a=TEXT), [one("/a")], [{"a": "free"}], []),
    "no candidates": (closed(a=TEXT), [], [{"a": "free"}], []),
    "pointer to nothing": (closed(a=TEXT), [one("/b", "x")], [{"a": "free"}], []),
    "pointer through a text": (closed(a=TEXT), [one("/a/b", "x")], [{"a": "free"}], []),
    "member that only may be there": (
        {"type": "object", "properties": {"a": TEXT}},
        [one("/b", "x")],
        [{"b": "free"}],
        [],
    ),
    "any schema": (True, [one("/a", "x")], [{"a": "free"}], []),
    "pairs": (
        EVENT,
        [PAIRS],
        [event("OSL", "Oslo"), event("BGO", "Bergen"), event("OSL", None)],
        [event("OSL", "Bergen"), event("TRD", "Oslo"), event("TRD", None)],
    ),
    "pairs of one main value": (
        EVENT,
        [rows("/airport /city", ("LON", "London"), ("LON", "Luton"), ("OSL", "Oslo"))],
        [event("LON", "London"), event("LON", "Luton")],
        [event("LON", "Oslo")],
    ),
    "a null at the main place leaves the other free": (
        closed(airport=NULLABLE, city=TEXT),
        [PAIRS],
        [{"airport": None, "city": "free"}, {"airport": "OSL", "city": "Oslo"}],
        [{"airport": "OSL", "city": "free"}, {"airport": "free", "city": "Oslo"}],
    ),
    "a cell without a value binds nothing": (
        closed(airport=TEXT, city=TEXT),
        [rows("/airport /city", ("OSL", None), ("BGO", "Bergen"))],
        [{"airport": "OSL", "city": "free"}, {"airport": "BGO", "city": "Bergen"}],
        [{"airport": "BGO", "city": "free"}],
    ),
    "a pair with a forbidden value": (
        closed(airport=CODE, city=TEXT),
        [rows("/airport /city", ("OSL", "Oslo"), ("bgo", "Bergen"))],
        [{"airport": "OSL", "city": "Oslo"}],
        [{"airport": "BGO", "city": "Bergen"}, {"airport": "OSL", "city": "Bergen"}],
    ),
    "a forbidden value beside the main one leaves null": (
        closed(airport=TEXT, city={"type": ["string", "null"], "maxLength": 4}),
        [PAIRS],
        [{"airport": "OSL", "city": "Oslo"}, {"airport": "BGO", "city": None}],
        [{"airport": "TRD", "city": None}],
    ),
    "a forbidden value beside the main one that may not lack": (
        closed(airport=TEXT, city={"type": "string", "maxLength": 4}),
        [PAIRS],
        [{"airport": "OSL", "city": "Oslo"}],
        [{"airport": "BGO", "city": "Berg"}],
    ),
    "a forbidden value beside the main one that may be left out": (
        {"properties": {"airport": TEXT, "city": {"type": "string", "maxLength": 4}}},
        [PAIRS],
        [{"airport": "OSL", "city": "Oslo"}, {"airport": "BGO"}],
        [{"airport": "TRD"}],
    ),
    "triples": (
        closed(a=TEXT, b=TEXT, c={"type": "integer"}),
        [rows("/a /b /c", ("x", "y", 1), ("x", "y", 2), ("x", "z", 3))],
        [{"a": "x", "b": "y", "c": 2}, {"a": "x", "b": "z", "c": 3}],
        [{"a": "x", "b": "y", "c": 3}, {"a": "x", "b": "z", "c": 1}],
    ),
    "pairs at the nearest parent": (
        closed(e=closed(airport=TEXT, place=closed(city=TEXT)), airport=TEXT),
        [rows("/e/airport /e/place/city", ("OSL", "Oslo"), ("BGO", "Bergen"))],
        [{"airport": "free", "e": {"airport": "OSL", "place": {"city": "Oslo"}}}],
        [{"airport": "free", "e": {"airport": "OSL", "place": {"city": "Bergen"}}}],
    ),
    "pairs in the branches": (
        {"anyOf": [EVENT, closed(none=TEXT)]},
        [PAIRS],
        [event("OSL", "Oslo"), {"none": "free"}],
        [event("OSL", "Bergen")],
    ),
    "pairs with a branch that is not followed": (
        {
            "properties": {"b": TEXT},
            "anyOf": [
                {"properties": {"a": {"type": "integer"}}},
                {
                    "oneOf": [
                        {"properties": {"a": TEXT}},
                        {"properties": {"a": {"type": "boolean"}}},
                    ]
                },
            ],
        },
        [rows("/a /b", ("x", "y"), (1, "z"))],
        [{"a": "x", "b": "y"}, {"a": 1, "b": "z"}],
        [{"a": "x", "b": "free"}, {"a": "x", "b": "z"}],
    ),
    "pairs over two parts of an allOf": (
        {"allOf": [{"properties": {"airport": TEXT}}, {"properties": {"city": TEXT}}]},
        [PAIRS],
        [{"airport": "OSL", "city": "Oslo"}, {"city": "Oslo"}],
        [{"airport": "OSL", "city": "Bergen"}],
    ),
    "two rules with pairs": (
        closed(a=TEXT, b=TEXT, c=TEXT, d=TEXT),
        [rows("/a /b", ("1", "2"), ("3", "4")), rows("/c /d", ("5", "6"), ("7", "8"))],
        [{"a": "1", "b": "2", "c": "7", "d": "8"}, {"a": "3", "b": "4", "c": "5", "d": "6"}],
        [{"a": "1", "b": "4", "c": "5", "d": "6"}, {"a": "1", "b": "2", "c": "5", "d": "8"}],
    ),
    "parallel arrays": (
        closed(airport={"type": "array", "items": TEXT}, city={"type": "array", "items": TEXT}),
        [PAIRS],
        [{"airport": ["OSL", "BGO"], "city": ["Oslo", "Bergen"]}],
        [{"airport": ["TRD"], "city": ["Oslo"]}, {"airport": ["OSL"], "city": ["free"]}],
    ),
    "a pair without its second place": (
        closed(airport=TEXT),
        [PAIRS],
        [{"airport": "OSL"}],
        [{"airport": "TRD"}],
    ),
    "open end": (
        closed(a=TEXT),
        [one("/a", "x", open_end=True)],
        [{"a": "x"}, {"a": "free"}],
        [],
    ),
    "open end of pairs": (
        EVENT,
        [msgspec.structs.replace(PAIRS, open_end=True)],
        [event("OSL", "Oslo"), event("OSL", "free")],
        [],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_narrowed_schema_accepts_only_what_was_given(name: str) -> None:
    """And the schema itself accepts all of both lists."""
    schema, candidates, accepted, refused = CASES[name]
    formats: FormatMode = "known" if name == "dates" else "off"
    whole = compile_schema(json.dumps(schema).encode(), formats)
    found = narrow(schema, *candidates, formats=formats)
    narrowed = compile_schema(found.schema, formats)
    for answer in accepted:
        assert whole.accepts(answer)
        assert narrowed.accepts(answer), found.schema
    for answer in refused:
        assert whole.accepts(answer)
        assert not narrowed.accepts(answer), found.schema


@pytest.mark.parametrize(
    ("schema", "candidates", "left"),
    [
        (closed(a=TEXT), one("/b", "x"), (("/b", "no_place"),)),
        (closed(a=TEXT), one("/a"), (("/a", "no_valid_value"),)),
        (closed(a=CODE), one("/a", "x"), (("/a", "no_valid_value"),)),
        (
            closed(a={"type": "array", "items": closed(b=TEXT)}),
            one("/a/0/b", "x"),
            (("/a/0/b", "not_expressible"),),
        ),
    ],
)
def test_a_place_that_stays_says_why_and_the_schema_keeps_its_bytes(
    schema: Any, candidates: Candidates, left: Any
) -> None:
    """So a caller can hint instead."""
    found = narrow(schema, candidates)
    assert found.left == left
    assert found.narrowed == ()
    assert found.schema == json.dumps(schema).encode()


def test_each_narrowed_place_has_its_record() -> None:
    """The number and digest of the values that the schema let stand, each once."""
    found = narrow(EVENT, rows("/airport /city", ("OSL", "Oslo"), ("GEN", "Oslo"), (7, "Bergen")))
    assert found.narrowed == (
        Narrowed(
            path="/airport",
            column="t.c0",
            mode="decode",
            candidates=2,
            digest=digest_of(["OSL", "GEN"]),
        ),
        Narrowed(
            path="/city", column="t.c1", mode="decode", candidates=1, digest=digest_of(["Oslo"])
        ),
    )


def test_the_form_is_what_decoders_obey() -> None:
    """A plain enum with its type, constants in whole objects, nothing beside an anyOf."""
    schema = json.loads(narrow(closed(a={**NULLABLE, "title": "T"}), one("/a", "x")).schema)
    assert schema["properties"]["a"] == {
        "title": "T",
        "type": ["string", "null"],
        "enum": ["x", None],
    }
    pairs = json.loads(narrow({**EVENT, "title": "E"}, PAIRS).schema)
    assert pairs.keys() == {"title", "anyOf"}
    assert pairs["anyOf"][0] == EVENT | {
        "properties": {
            "airport": {"type": "string", "const": "OSL"},
            "city": {"type": ["string", "null"], "enum": ["Oslo", None]},
            "note": TEXT,
        }
    }


def test_definitions_that_nothing_needs_any_more_are_left_out() -> None:
    """They would count against the limits."""
    schema = closed(a=REF, b={"$ref": "#/$defs/d"}) | {"$defs": {"d": TEXT, **SHARED}}
    assert json.loads(narrow(schema, one("/a", "OSL")).schema)["$defs"] == {"d": TEXT}


def test_strict_mode_still_takes_a_schema_that_it_took() -> None:
    """Where the root may be no union, each place has the values of its column."""
    strict = narrow(EVENT, PAIRS, limits=NarrowingLimits(root_union=False))
    assert may_be_strict(json.dumps(EVENT).encode())
    assert may_be_strict(strict.schema)
    assert not compile_schema(strict.schema).accepts(event("TRD", "Oslo"))
    assert compile_schema(strict.schema).accepts(event("OSL", "Bergen"))
    below = narrow(closed(e=EVENT), rows("/e/airport /e/city", ("A", "B"), ("C", "D")))
    assert may_be_strict(below.schema)
    assert not compile_schema(below.schema).accepts({"e": event("A", "D")})


@pytest.mark.parametrize(
    "limits",
    [
        NarrowingLimits(values_max=3),
        NarrowingLimits(characters_max=8),
        NarrowingLimits(grammar_bytes_max=230),
    ],
)
def test_where_all_is_too_much_the_fewest_candidates_come_first(limits: NarrowingLimits) -> None:
    """The others are left, and say so."""
    many = one("/a", *(f"{n:06}" for n in range(20)))
    found = narrow(closed(a=TEXT, b=TEXT), many, one("/b", "x", "y"), limits=limits)
    assert [record.path for record in found.narrowed] == ["/b"]
    assert found.left == (("/a", "over_limits"),)
    assert fits(found.schema, limits)
    assert not fits(narrow(closed(a=TEXT, b=TEXT), many).schema, limits)


def test_limits_count_the_values_that_the_schema_has_itself() -> None:
    """A provider counts them too."""
    schema = closed(a=TEXT, b={"enum": ["1", "2", "3"]})
    assert narrow(schema, one("/a", "x"), limits=NarrowingLimits(values_max=4)).narrowed
    tight = narrow(schema, one("/a", "x"), limits=NarrowingLimits(values_max=3))
    assert tight.left == (("/a", "over_limits"),)


def test_one_schema_is_narrowed_again_and_again() -> None:
    """Nothing of one text stays for the next."""
    narrowing = SchemaNarrowing(json.dumps(EVENT).encode())
    first = narrowing.narrow([PAIRS])
    assert narrowing.narrow([one("/airport", "TRD")]).narrowed[0].candidates == 1
    assert narrowing.narrow([PAIRS]) == first


@pytest.mark.model
@pytest.mark.parametrize("whole", [True, False])
def test_the_embedded_model_writes_one_of_two_real_pairs(whole: bool) -> None:
    """Although the text speaks of neither; without narrowing it writes something else."""
    pulled_weights()
    schema = closed(airport=TEXT, city=TEXT)
    found = narrow(schema, rows("/airport /city", ("QQX", "Zuzwil"), ("QQY", "Wabern")))

    async def run() -> Any:
        provider = LlamaCppProvider("small", LlamaCppSettings(model=SMOLLM2, slots=1))
        try:
            await provider.load()
            request = question(
                "Flight SK123 from Oslo is delayed. Give airport and city as JSON.",
                schema=json.dumps(schema).encode() if whole else found.schema,
            )
            request = msgspec.structs.replace(request, max_tokens=60, temperature=0.0, seed=1)
            reply = await provider.complete(request, trace={}, deadline_ms=90_000)
            return json.loads(reply.text)
        finally:
            await provider.close()

    answer = asyncio.run(run())
    real = [{"airport": "QQX", "city": "Zuzwil"}, {"airport": "QQY", "city": "Wabern"}]
    assert (answer in real) is not whole
