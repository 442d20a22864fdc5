"""Types read off a schema for SQL, and answers made from it."""

import json
from typing import Any

import pytest

from lakehouse.core.shape import Shape
from lakehouse.validation.samples import samples_of
from lakehouse.validation.schema import CompiledSchema, compile_schema
from lakehouse.validation.shapes import member_shapes

TEXT = {"type": "string"}


def compiled(schema: Any) -> CompiledSchema:
    return compile_schema(json.dumps(schema).encode())


def shape(member: Any, **more: Any) -> Shape:
    schema = {"type": "object", "properties": {"m": member}, **more}
    return member_shapes(compiled(schema))["m"]


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        (TEXT, Shape("text")),
        ({"type": ["string", "null"]}, Shape("text")),
        ({"enum": ["a", "b", None]}, Shape("text")),
        ({"enum": [1, 2.5]}, Shape("number")),
        ({"const": True}, Shape("boolean")),
        ({"type": "integer"}, Shape("integer")),
        ({"type": ["integer", "number"]}, Shape("number")),
        ({"type": "number", "multipleOf": 0.001}, Shape("decimal", scale=3)),
        ({"type": "number", "multipleOf": 0.5}, Shape("number")),
        (
            {"anyOf": [{"type": "number", "multipleOf": 0.1}, {"type": "number"}]},
            Shape("number"),
        ),
        ({"type": ["string", "integer"]}, Shape("json")),
        ({}, Shape("json")),
        ({"type": "object"}, Shape("json")),
        ({"type": "object", "properties": {"a": TEXT, "A": TEXT}}, Shape("json")),
        ({"type": "object", "properties": {"": TEXT}}, Shape("json")),
        ({"type": "array"}, Shape("list", item=Shape("json"))),
        ({"type": "array", "items": TEXT}, Shape("list", item=Shape("text"))),
        (
            {"type": "array", "prefixItems": [TEXT, {"type": "integer"}], "items": False},
            Shape("list", item=Shape("json")),
        ),
        (
            {"type": "object", "patternProperties": {"^a": {"type": "integer"}}},
            Shape("map", item=Shape("integer")),
        ),
        (
            {"type": "object", "patternProperties": {"^a": {"type": "integer"}, "^b": TEXT}},
            Shape("map", item=Shape("json")),
        ),
        (
            {"type": "object", "additionalProperties": {"type": "integer"}},
            Shape("map", item=Shape("integer")),
        ),
        ({"type": "object", "additionalProperties": False}, Shape("json")),
        (
            {
                "type": "object",
                "anyOf": [{"additionalProperties": {"type": "integer"}}, {"maxProperties": 1}],
            },
            Shape("json"),
        ),
        (
            {"oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}]},
            Shape("struct", members=(("x", Shape("text")), ("y", Shape("integer")))),
        ),
    ],
)
def test_a_type_is_given_where_the_schema_leaves_one(member: Any, expected: Shape) -> None:
    definitions = {
        "a": {"type": "object", "properties": {"x": TEXT}},
        "b": {"type": "object", "properties": {"y": {"type": "integer"}}},
    }
    assert shape(member, **{"$defs": definitions}) == expected


def test_a_schema_within_itself_ends_in_json() -> None:
    tree = {"type": "object", "properties": {"next": {"$ref": "#/$defs/t"}, "v": TEXT}}
    found = shape({"$ref": "#/$defs/t"}, **{"$defs": {"t": tree}})
    assert dict(found.members)["v"] == Shape("text")
    assert "json" in repr(found)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": TEXT}, "required": ["a"]},
        {"properties": {"a": {"type": "string", "format": "uuid"}}},
        {"properties": {"a": {"type": "integer", "minimum": 40, "maximum": 50}}},
        {"properties": {"a": {"type": "number", "exclusiveMinimum": 7}}},
        {"properties": {"a": {"type": "array", "items": TEXT, "minItems": 5}}},
        {"properties": {"a": {"type": "string", "minLength": 9}}},
        {"properties": {"a": {"type": "string", "pattern": "^[0-9]$"}}},
        {"oneOf": [{"required": ["a"], "properties": {"a": TEXT}}, {"properties": {"a": False}}]},
        {"properties": {"a": {"$ref": "#"}, "b": TEXT}},
    ],
)
def test_samples_hold_the_schema_and_differ(schema: Any) -> None:
    found = samples_of(compiled({"type": "object", **schema}))
    assert found
    assert all(compiled({"type": "object", **schema}).accepts(sample) for sample in found)


def test_no_sample_is_made_of_what_is_no_object() -> None:
    assert samples_of(compiled({"type": "array", "items": TEXT})) == ()
