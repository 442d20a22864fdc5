"""Schemas of draft 7 mean the same in the dialect that answers are checked in."""

import json
from typing import Any

import pytest

from lakehouse.openai_api.subschemas import in_newest_dialect
from lakehouse.validation.schema import compile_schema

DRAFT_7 = "http://json-schema.org/draft-07/schema#"


def newest(schema: dict[str, Any], dialect: str = DRAFT_7) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        in_newest_dialect(json.dumps({"$schema": dialect, **schema}).encode())
    )
    return found


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":"number","maximum":1.10}',
        b'{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object"}',
        b'{"$schema":"http://json-schema.org/draft-04/schema#","type":"object"}',
        b'{"$schema":5}',
        b'["$schema"]',
        b"true",
    ],
)
def test_any_other_schema_keeps_its_bytes(raw: bytes):
    assert in_newest_dialect(raw) == raw


@pytest.mark.parametrize(
    "dialect", [DRAFT_7, DRAFT_7[:-1], "https://json-schema.org/draft-06/schema"]
)
def test_the_older_drafts_lose_their_name_at_every_level(dialect: str):
    schema = {"properties": {"a": {"$schema": dialect, "type": "string"}}}

    assert newest(schema, dialect) == {"properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ({"items": [{"type": "string"}], "additionalItems": False},
         {"prefixItems": [{"type": "string"}], "items": False}),
        ({"items": [True]}, {"prefixItems": [True]}),
        ({"items": {"type": "string"}, "additionalItems": False}, {"items": {"type": "string"}}),
        ({"dependencies": {"a": ["b"], "c": {"items": [True]}, "d": False}},
         {"dependentRequired": {"a": ["b"]},
          "dependentSchemas": {"c": {"prefixItems": [True]}, "d": False}}),
        ({"$ref": "#/definitions/a", "minLength": 3, "title": "t", "definitions": {"a": True}},
         {"$ref": "#/definitions/a", "title": "t", "definitions": {"a": True}}),
        ({"const": {"items": [1], "$ref": "x"}}, {"const": {"items": [1], "$ref": "x"}}),
        ({"properties": {"items": {"type": "string"}, "dependencies": {"enum": ["x"]}}},
         {"properties": {"items": {"type": "string"}, "dependencies": {"enum": ["x"]}}}),
    ],
)  # fmt: skip
def test_only_what_the_drafts_write_differently_changes(
    older: dict[str, Any], newer: dict[str, Any]
):
    assert newest(older) == newer
    assert newest({"anyOf": [{"not": older}]}) == {"anyOf": [{"not": newer}]}


@pytest.mark.parametrize(
    ("reference", "newer"),
    [
        ("#", "#"),
        ("#name", "#name"),
        ("https://example.com/a#/items/0", "https://example.com/a#/items/0"),
        ("#/properties/pair/items/0", "#/properties/pair/prefixItems/0"),
        ("#/properties/pair/additionalItems", "#/properties/pair/items"),
        ("#/properties/list/items", "#/properties/list/items"),
        ("#/properties/items/items/1", "#/properties/items/prefixItems/1"),
        ("#/dependencies/a/properties/b", "#/dependentSchemas/a/properties/b"),
        ("#/properties/dependencies", "#/properties/dependencies"),
        ("#/properties/a~1b/items/0", "#/properties/a~1b/prefixItems/0"),
        ("#/nowhere/items/" + "9" * 5_000, "#/nowhere/items/" + "9" * 5_000),
        ("#/properties/pair/items/" + "9" * 5_000, "#/properties/pair/prefixItems/" + "9" * 5_000),
    ],
)
def test_a_reference_follows_what_it_refers_to(reference: str, newer: str):
    pair = {"items": [{"type": "string"}, {"type": "integer"}], "additionalItems": {}}
    named = {"pair": pair, "list": {"items": {}}, "items": pair, "dependencies": {}, "a/b": pair}
    schema = {"properties": {**named, "x": {"$ref": reference}}, "dependencies": {"a": {}}}

    assert newest(schema)["properties"]["x"] == {"$ref": newer}


def test_the_schema_of_a_tuple_judges_as_it_did():
    """As zod writes `z.tuple([z.string()]).rest(z.number())` for draft 7, used twice."""
    pair = {"type": "array", "items": [{"type": "string"}], "additionalItems": {"type": "number"}}
    schema = {
        "type": "object",
        "properties": {"a": pair, "b": {"$ref": "#/properties/a", "maxItems": 0}},
    }
    compiled = compile_schema(json.dumps(newest(schema)).encode())

    assert compiled.accepts({"a": ["x", 1, 2], "b": ["y", 3]})
    assert not compiled.accepts({"a": [1]})
    assert not compiled.accepts({"b": ["x", "y"]})


def test_a_schema_that_declares_no_dialect_keeps_its_dependencies():
    """They are of draft 7; 2020-12 would pass over them, and the answer would not be checked."""
    schema = {
        "type": "object",
        "properties": {"dependencies": {"type": "object", "dependencies": {"a": ["b"]}}},
        "dependencies": {"c": {"required": ["d"]}, "e": ["f"]},
        "dependentRequired": {"g": ["h"]},
    }
    raw = in_newest_dialect(json.dumps(schema).encode())
    accepts = compile_schema(raw).accepts

    assert accepts({"dependencies": {"a": 1, "b": 2}, "c": 1, "d": 2})
    assert not accepts({"dependencies": {"a": 1}})
    for lacking in ("c", "e", "g"):
        assert not accepts({lacking: 1})
    declared = b'{"$schema":"https://json-schema.org/draft/2020-12/schema","dependencies":{}}'
    assert in_newest_dialect(declared) == declared
