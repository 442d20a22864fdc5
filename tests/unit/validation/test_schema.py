"""Schemas: one finding per failing keyword and place, with the bytes of schema and answer."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.core.json_text import JsonValue, compact, parse
from lakehouse.core.limits import SCHEMA_FINDINGS_BYTES_MAX, SCHEMA_FINDINGS_MAX
from lakehouse.validation.schema import compile_schema


def compiled(schema):
    return compile_schema((schema if isinstance(schema, str) else json.dumps(schema)).encode())


def findings(schema, answer):
    artifact = compact(answer if isinstance(answer, str) else json.dumps(answer))
    value = parse(artifact.decode())
    schema = compiled(schema)
    found = schema.findings(value, artifact)
    assert schema.accepts(value) is (not found)
    for finding in found:
        assert finding.code == "schema"
        assert finding.message
    return [
        (
            finding.path,
            bytes(finding.expected).decode(),
            None if finding.got is msgspec.UNSET else bytes(finding.got).decode(),
        )
        for finding in found
    ]


REJECTED = [
    # One per failing keyword and place, each with its bytes.
    ({"type": "string"}, "3", [("", '{"type":"string"}', "3")]),
    ({"type": ["string", "null"]}, "3", [("", '{"type":["string","null"]}', "3")]),
    ('{"minimum": 1.10}', "1.0", [("", '{"minimum":1.10}', "1.0")]),
    ('{"const":18446744073709551616}', "18446744073709551617", None),
    ({"enum": [1, "é"]}, '"e"', [("", '{"enum":[1,"\\u00e9"]}', '"e"')]),
    ({"pattern": "^a+$"}, '"b"', [("", '{"pattern":"^a+$"}', '"b"')]),
    ({"multipleOf": 0.1}, "0.35", [("", '{"multipleOf":0.1}', "0.35")]),
    ({"uniqueItems": True}, "[1,1.0]", [("", '{"uniqueItems":true}', "[1,1.0]")]),
    (
        {"type": "string", "minimum": 5},
        "3",
        [("", '{"minimum":5}', "3"), ("", '{"type":"string"}', "3")],
    ),
    # Names: required, dependentRequired, additionalProperties, unevaluatedProperties.
    (
        {"required": ["b", "a"]},
        "{}",
        [("", '{"required":"a"}', "{}"), ("", '{"required":"b"}', "{}")],
    ),
    (
        {"dependentRequired": {"t": ["x", "y"], "u": ["x"]}},
        '{"t":1,"u":1}',
        [
            ("", '{"dependentRequired":"x"}', '{"t":1,"u":1}'),
            ("", '{"dependentRequired":"y"}', '{"t":1,"u":1}'),
        ],
    ),
    (
        {"properties": {"a": {}}, "patternProperties": {"^p": {}}, "additionalProperties": False},
        '{"z":1,"a":2,"pp":3,"b":4}',
        [
            ("", '{"additionalProperties":false}', '"b"'),
            ("", '{"additionalProperties":false}', '"z"'),
        ],
    ),
    (
        {"additionalProperties": False},
        '{"\\u00e9\\/":1}',
        [("", '{"additionalProperties":false}', '"\\u00e9\\/"')],
    ),
    ({"additionalProperties": {"type": "null"}}, '{"a":1}', [("/a", '{"type":"null"}', "1")]),
    (
        {"allOf": [{"properties": {"a": {"type": "null"}}}], "unevaluatedProperties": False},
        '{"b":1,"a":2,"é":3}',
        [
            ("", '{"unevaluatedProperties":false}', '"b"'),
            ("", '{"unevaluatedProperties":false}', '"é"'),
            ("/a", '{"type":"null"}', "2"),
        ],
    ),
    (
        {"unevaluatedProperties": {"type": "null"}},
        '{"a":1,"b":null}',
        [("", '{"unevaluatedProperties":{"type":"null"}}', '"a"')],
    ),
    # anyOf, oneOf, not, if: one, branches not entered.
    (
        {"anyOf": [{"required": ["a"]}, {"properties": {"b": False}}]},
        '{"b":1}',
        [("", '{"anyOf":[{"required":["a"]},{"properties":{"b":false}}]}', '{"b":1}')],
    ),
    ({"oneOf": [{}, {"type": "number"}]}, "1", [("", '{"oneOf":[{},{"type":"number"}]}', "1")]),
    ({"not": {"type": "number"}}, "1", [("", '{"not":{"type":"number"}}', "1")]),
    (
        {"if": {"type": "number"}, "then": {"minimum": 5, "multipleOf": 2}},
        "1",
        [("", '{"if":{"type":"number"}}', "1")],
    ),
    (
        {"properties": {"a": {"if": {"type": "string"}, "else": False}}},
        '{"a":1}',
        [("/a", '{"if":{"type":"string"}}', "1")],
    ),
    # Everything else that applies subschemas is entered.
    (
        {"allOf": [{"type": "string"}, {"minimum": 5}]},
        "1",
        [("", '{"minimum":5}', "1"), ("", '{"type":"string"}', "1")],
    ),
    (
        {"dependentSchemas": {"a": {"required": ["z"]}}},
        '{"a":1}',
        [("", '{"required":"z"}', '{"a":1}')],
    ),
    (
        {"$ref": "#/$defs/x", "minimum": 5, "$defs": {"x": {"type": "string"}}},
        "1",
        [("", '{"minimum":5}', "1"), ("", '{"type":"string"}', "1")],
    ),
    (
        {"prefixItems": [{"type": "string"}], "items": {"type": "null"}},
        "[1,2,null]",
        [("/0", '{"type":"string"}', "1"), ("/1", '{"type":"null"}', "2")],
    ),
    (
        {"properties": {"a/b~": {"items": {"minLength": 2}}}},
        '{"a/b~":["é","ab"]}',
        [("/a~1b~0/0", '{"minLength":2}', '"é"')],
    ),
    # One for the array or the object.
    ({"contains": {"type": "null"}}, "[1]", [("", '{"contains":{"type":"null"}}', "[1]")]),
    ({"contains": {}, "minContains": 2}, "[1]", [("", '{"minContains":2}', "[1]")]),
    ({"contains": {}, "maxContains": 1}, "[1,2]", [("", '{"maxContains":1}', "[1,2]")]),
    (
        {"prefixItems": [{}], "unevaluatedItems": False},
        "[1,2,3]",
        [("", '{"unevaluatedItems":false}', "[1,2,3]")],
    ),
    (
        {"propertyNames": {"maxLength": 1}},
        '{"ab":1,"cd":2}',
        [("", '{"propertyNames":{"maxLength":1}}', '{"ab":1,"cd":2}')],
    ),
    # A false schema is `not: {}`.
    (False, "1", [("", '{"not":{}}', "1")]),
    ({"properties": {"a": False}}, '{"a":1}', [("/a", '{"not":{}}', "1")]),
    ({"items": False}, "[1,2]", [("/0", '{"not":{}}', "1"), ("/1", '{"not":{}}', "2")]),
    # The same keyword alike in two branches is one finding; with another value it is two.
    (
        {"allOf": [{"minimum": 5}, {"minimum": 5}, {"minimum": 6}]},
        "1",
        [("", '{"minimum":5}', "1"), ("", '{"minimum":6}', "1")],
    ),
    # Order: by path bytes, so `/a-` stands before `/a/b`, and the whole before all.
    (
        {"required": ["z"], "properties": {"a": {"items": False}, "a-": False}},
        '{"a":[1],"a-":2}',
        [
            ("", '{"required":"z"}', '{"a":[1],"a-":2}'),
            ("/a-", '{"not":{}}', "2"),
            ("/a/0", '{"not":{}}', "1"),
        ],
    ),
]


@pytest.mark.parametrize(("schema", "answer", "wanted"), REJECTED)
def test_a_rejected_answer_has_exactly_these_findings(schema, answer, wanted):
    """Path, expected and got, in the contract's order."""
    found = findings(schema, answer)
    if wanted is None:
        expected = schema if isinstance(schema, str) else json.dumps(schema)
        assert found == [("", expected, answer)]
    else:
        assert found == wanted


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        (True, "1"),
        ({}, "null"),
        ({"type": "integer"}, "1.0"),
        ({"type": "integer"}, "1e3"),
        ({"type": "integer"}, "1e400"),
        ({"type": "number"}, "1e400"),
        ({"type": "integer"}, str(2**64)),
        ({"type": "integer"}, "9" * 4300),
        ({"const": 1}, "1.0"),
        ('{"const":1e400}', "10e399"),
        (f'{{"maximum":{2**64}}}', str(2**64)),
        ({"enum": [2**64]}, str(2**64)),
        ({"multipleOf": 0.01}, "1.10"),
        ({"minLength": 1, "maxLength": 1}, '"\U0001f600"'),
        ({"format": "email", "contentEncoding": "base64", "x-own": {"$ref": "elsewhere"}}, '"!"'),
        ({"properties": {"$ref": {"type": "string"}}}, '{"$ref":"http://elsewhere"}'),
        ({"const": {"$ref": "http://elsewhere"}}, '{"$ref":"http://elsewhere"}'),
        ({"contains": {"type": "null"}, "minContains": 0}, "[]"),
        ({"$schema": "https://json-schema.org/draft/2020-12/schema#"}, "1"),
        ({"$ref": "#a", "$defs": {"x": {"$anchor": "a", "type": "number"}}}, "1"),
        ({"$dynamicRef": "#a", "$defs": {"x": {"$dynamicAnchor": "a", "type": "number"}}}, "1"),
        (
            {
                "$id": "http://h.example/r",
                "$ref": "s#/$defs/k",
                "$defs": {"q": {"$id": "s", "$defs": {"k": {"type": "number"}}}},
            },
            "1",
        ),
        (
            {
                "$id": "http://h.example/r",
                "$ref": "http://h.example/r#/$defs/k",
                "$defs": {"k": True},
            },
            "1",
        ),
        ({"$id": "urn:x:y", "$ref": "#/$defs/k", "$defs": {"k": True}}, "1"),
        ({"$ref": "#/definitions/a%20b~1c", "definitions": {"a b/c": {"type": "number"}}}, "1"),
        ({"$ref": "#/own/x", "own": {"x": {"type": "number"}}}, "1"),
    ],
)
def test_an_answer_that_holds_has_no_findings(schema, answer):
    """Numbers at any size, references of every kind inside the document, no `format`."""
    assert findings(schema, answer) == []


def test_numbers_are_never_rounded_on_the_way():
    """2^64 and 2^64 + 1 are two numbers, above and below a limit alike."""
    assert findings(f'{{"maximum":{2**64}}}', str(2**64 + 1)) == [
        ("", f'{{"maximum":{2**64}}}', str(2**64 + 1))
    ]
    assert findings({"maximum": 5}, "1e400") == [("", '{"maximum":5}', "1e400")]
    assert findings({"type": "integer"}, "1.5") == [("", '{"type":"integer"}', "1.5")]
    assert findings({"const": 1}, "true") == [("", '{"const":1}', "true")]


def test_got_is_left_out_over_256_bytes():
    """A long value would drown the finding."""
    short, long = json.dumps("x" * 254), json.dumps("x" * 255)
    assert findings({"type": "null"}, short)[0][2] == short
    assert findings({"type": "null"}, long) == [("", '{"type":"null"}', None)]
    name = "n" * 300
    assert findings({"additionalProperties": False}, {name: 1}) == [
        ("", '{"additionalProperties":false}', None)
    ]


def test_a_recursive_schema_reports_the_deepest_place():
    """A tree 60 deep, wrong at its end, through anyOf-free recursion."""
    schema = {"type": "object", "properties": {"n": {"$ref": "#"}}, "additionalProperties": False}
    answer: JsonValue = {"x": 1}
    for _ in range(60):
        answer = {"n": answer}
    assert findings(schema, answer) == [("/n" * 60, '{"additionalProperties":false}', '"x"')]


def test_findings_of_one_answer_are_bounded_in_number_and_bytes():
    """100,000 wrong items do not make a row of 100,000 findings."""
    many = findings({"items": {"type": "null"}}, [1] * 100_000)
    assert len(many) == SCHEMA_FINDINGS_MAX
    wide = {"items": {"enum": ["x" * 5_000]}}
    found = compiled(wide).findings([1] * 900, b"[" + b",".join([b"1"] * 900) + b"]")
    assert 1 < len(found) < 900
    assert sum(len(msgspec.json.encode(finding)) for finding in found) <= SCHEMA_FINDINGS_BYTES_MAX


values = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 1.0, 1.5, -1, 2**64, "", "a", "ab", "b"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)
names = st.sampled_from("abc")
leaves = st.sampled_from(
    [
        True,
        False,
        {},
        {"type": "string"},
        {"type": ["object", "array"]},
        {"minimum": 1},
        {"required": ["a", "b"]},
        {"dependentRequired": {"a": ["c"]}},
        {"$ref": "#/$defs/tree"},
        {"pattern": "^a"},
        {"const": 1},
        {"enum": ["a", None, []]},
        {"uniqueItems": True},
        {"maxProperties": 1},
    ]
)


def branches(inner):
    listed = st.lists(inner, min_size=1, max_size=2)
    named = st.dictionaries(names, inner, min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "properties": named,
            "patternProperties": st.dictionaries(
                st.sampled_from(["^[ab]", "c"]), inner, max_size=1
            ),
            "additionalProperties": inner,
            "unevaluatedProperties": inner,
            "unevaluatedItems": inner,
            "propertyNames": inner,
            "dependentSchemas": named,
            "prefixItems": listed,
            "items": inner,
            "contains": inner,
            "minContains": st.integers(0, 2),
            "allOf": listed,
            "anyOf": listed,
            "oneOf": listed,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
        },
    )


@settings(max_examples=300)
@given(st.recursive(leaves, branches, max_leaves=8), values)
def test_findings_and_acceptance_never_disagree(schema, value):
    """Located findings exist exactly when the engine says no; each points at a real place."""
    tree = {"type": "object", "properties": {"a": {"$ref": "#/$defs/tree"}, "b": {"type": "null"}}}
    schema = compiled({"allOf": [schema], "$defs": {"tree": tree}})
    artifact = json.dumps(value, separators=(",", ":")).encode()
    found = schema.findings(value, artifact)
    assert schema.accepts(value) is (not found)
    assert len({(f.path, bytes(f.expected), bytes(f.got)) for f in found}) == len(found)


@pytest.mark.parametrize(
    ("schema", "value", "wanted"),
    [
        ('{"type":"integer"}', "12345678901234567890.5", False),
        ('{"type":"integer"}', "12345678901234567890.0", True),
        ('{"maximum":0.1}', "0.10000000000000000001", False),
        ('{"maximum":0.10000000000000000001}', "0.1", True),
        ('{"maximum":10}', "10.000000000000000000001", False),
        ('{"minimum":10}', "10.000000000000000000001", True),
        ('{"minimum":12345678901234567890}', "12345678901234567890.0", True),
        ('{"exclusiveMinimum":0}', "1e-400", True),
        ('{"exclusiveMaximum":0}', "-1e-400", True),
        ('{"exclusiveMaximum":9007199254740993}', "9007199254740993.0", False),
        ('{"multipleOf":0.1}', "0.30000000000000000001", False),
        ('{"multipleOf":2}', "10.000000000000000000001", False),
        ('{"multipleOf":1e-20}', "0.30000000000000000001", True),
        ('{"multipleOf":1e400}', "1e-400", False),
        ('{"multipleOf":3}', "3e99999999999999999", True),
        ('{"multipleOf":7}', "1e99999999999999999", False),
        ('{"multipleOf":7}', "0e-400", True),
        ('{"const":0.1}', "0.10000000000000000001", False),
        ('{"enum":[1,0.10000000000000000001]}', "0.100000000000000000010", True),
        ('{"minLength":1e400}', "1e-400", True),
        ('{"not":{"maximum":10}}', "10.000000000000000000001", True),
        ('{"$ref":"#/$defs/x","$defs":{"x":{"maximum":10}}}', "10.000000000000000000001", False),
    ],
)
@pytest.mark.parametrize("place", ["{}", "[{}]"])
def test_numbers_are_compared_as_they_are_written(schema, value, wanted, place):
    """Not as doubles: the answers are those of exact arithmetic, at the top and further in."""
    if place != "{}":
        schema = f'{{"items":{schema.replace("#/$defs", "#/items/$defs")}}}'
    compiled = compile_schema(schema.encode())
    text = place.format(value)
    assert compiled.accepts(parse(text)) is wanted
    assert (compiled.findings(parse(text), text.encode()) == ()) is wanted


@pytest.mark.parametrize("keyword", ["minLength", "minItems", "minProperties"])
def test_counts_are_integers_by_value(keyword):
    """1.0 and 1e400 are integers; no value is as long as the second."""
    values: dict[str, JsonValue] = {"minLength": "a", "minItems": [1], "minProperties": {"a": 1}}
    value = values[keyword]
    assert compile_schema(f'{{"{keyword}":1.0}}'.encode()).accepts(value)
    assert not compile_schema(f'{{"{keyword}":1e400}}'.encode()).accepts(value)
