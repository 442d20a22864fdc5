"""Keywords that check nothing: a slip of the pen, or another dialect's."""

from typing import Any

import pytest

from lakehouse.validation.keywords import idle_keywords


@pytest.mark.parametrize(
    ("schema", "where", "meant"),
    [
        ({"typ": "object"}, "/typ", "`type`"),
        ({"requried": ["a"]}, "/requried", "`required`"),
        ({"propertes": {"a": {}}}, "/propertes", "`properties`"),
        ({"properties": {"a": {"maximun": 3}}}, "/properties/a/maximun", "`maximum`"),
        ({"$defs": {"x": {"minlength": 3}}}, "/$defs/x/minlength", "`minLength`"),
        ({"items": {"emun": [1]}}, "/items/emun", "`enum`"),
        ({"anyOf": [{}, {"patern": "a"}]}, "/anyOf/1/patern", "`pattern`"),
        ({"additionalproperties": False}, "/additionalproperties", "`additionalProperties`"),
        ({"properties": {"a": {"nullable": True}}}, "/properties/a/nullable", "null"),
        ({"dependencies": {"a": ["b"]}}, "/dependencies", "dependentRequired"),
        ({"if": {"divisibleBy": 2}}, "/if/divisibleBy", "`multipleOf`"),
        ({"items": [{}], "additionalItems": False}, "/additionalItems", "prefixItems"),
    ],
)
def test_a_keyword_that_checks_nothing_is_told(schema: dict[str, Any], where: str, meant: str):
    [told] = idle_keywords(schema)

    assert repr(where) in told
    assert meant in told


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {"type": "object", "properties": {"typ": {"type": "string"}, "nullable": {}}},
        {"enum": [{"typ": 1}], "const": {"requried": 1}, "default": {"typ": 1}},
        {"examples": [{"propertes": 1}], "x-order": 1, "discriminator": {"propertyName": "k"}},
        {"title": "t", "example": 1, "x": 1, "xml": {}, "externalDocs": {}},
        {"$defs": {"items": {"type": "null"}}, "patternProperties": {"^typ$": {}}},
        {"dependentRequired": {"typ": ["requried"]}},
    ],
)
def test_names_data_and_remarks_are_no_keywords(schema):
    """Member names, values, and keywords of somebody's own are left alone."""
    assert idle_keywords(schema) == []


def test_a_flood_is_cut():
    assert len(idle_keywords({"$defs": {f"d{n}": {"typ": 1} for n in range(100)}})) == 20
