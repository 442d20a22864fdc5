"""Schemas and answers meant to do harm: refused at once or harmless, and nothing is fetched."""

import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest

from lakehouse.core.errors import Refusal
from lakehouse.core.json_text import JsonValue
from lakehouse.core.limits import SCHEMA_BYTES_MAX, SCHEMA_NODES_MAX
from lakehouse.validation.schema import compile_schema


class Canary:
    """A server that serves a schema to anybody, and remembers who asked."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        canary = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                canary.seen.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b'{"type":"string"}')

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def canary() -> Iterator[Canary]:
    canary = Canary()
    thread = threading.Thread(target=canary.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield canary
    finally:
        canary.server.shutdown()
        canary.server.server_close()
        thread.join(60)


def remote_schemas(url: str) -> dict[str, object]:
    return {
        "$ref": {"$ref": f"{url}/a"},
        "$ref with a fragment": {"$ref": f"{url}/a#/$defs/x"},
        "$dynamicRef": {"$dynamicRef": f"{url}/a#x"},
        "nested": {"properties": {"a": {"items": {"anyOf": [{"$ref": f"{url}/a"}]}}}},
        "relative to $id": {"$id": f"{url}/root", "$ref": "other"},
        "relative to a nested $id": {"$defs": {"x": {"$id": f"{url}/n/", "items": {"$ref": "o"}}}},
        "without a scheme": {"$id": f"{url}/r", "$ref": "//" + url.partition("//")[2] + "/a"},
        "unused $defs": {"$defs": {"x": {"$ref": f"{url}/a"}}},
        "contentSchema": {"contentSchema": {"$ref": f"{url}/a"}},
        "behind an unknown keyword": {"$ref": "#/own", "own": {"$ref": f"{url}/a"}},
        "$schema": {"$schema": f"{url}/dialect", "type": "string"},
        "nested $schema": {"$defs": {"x": {"$id": "x", "$schema": f"{url}/dialect"}}},
        "the meta-schema": {"$ref": "https://json-schema.org/draft/2020-12/schema"},
        "draft 7": {"$schema": "http://json-schema.org/draft-07/schema#"},
        "upper case": {"$ref": url.replace("http", "HTTP") + "/a"},
        "no URI at all": {"$ref": "http://[::1"},
        "ftp": {"$ref": "ftp://127.0.0.1/a"},
        "file": {"$ref": Path(__file__).as_uri()},
        "file, absolute": {"$id": "file:///", "$ref": "etc/hostname"},
    }


def test_the_canary_sings(canary):
    """Without this, the next test could pass on a dead server."""
    with urlopen(f"{canary.url}/probe", timeout=60) as answer:
        assert answer.status == 200
    assert canary.seen == ["/probe"]


def test_a_reference_out_of_the_document_is_refused_and_nothing_is_fetched(canary):
    """Every way to name another document that we know of."""
    for name, schema in remote_schemas(canary.url).items():
        with pytest.raises(Refusal) as refused:
            compile_schema(json.dumps(schema).encode())
        assert refused.value.code == "invalid_schema", name
        assert refused.value.status == 400
    assert canary.seen == []


def test_data_that_looks_like_a_reference_is_data(canary):
    """`const`, `default`, `examples` and unknown keywords hold values, not schemas."""
    reference: JsonValue = {
        "$ref": f"{canary.url}/a",
        "$id": f"{canary.url}/b",
        "$schema": f"{canary.url}/c",
    }
    schema = compile_schema(
        json.dumps(
            {
                "enum": [reference, 1],
                "default": reference,
                "examples": [reference],
                "x-own": reference,
                "$id": f"{canary.url}/self",
                "$comment": f"{canary.url}/d",
            }
        ).encode()
    )
    assert schema.accepts(reference)
    assert schema.accepts(1)
    assert len(schema.findings(2, b"2")) == 1
    assert canary.seen == []


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a":1,"a":2}', "duplicate member 'a'"),
        (b'{"minimum":NaN}', "NaN"),
        (b"\xff", "UTF-8"),
        (b"[]", "neither an object nor a boolean"),
        (b'"x"', "neither an object nor a boolean"),
        (b"[" * 100_000 + b"]" * 100_000, "65,536"),
        (b'{"items":' * 5_000, "nested deeper than 64"),
        (b'{"title":"' + b"x" * SCHEMA_BYTES_MAX + b'"}', "65,536"),
        (json.dumps({"enum": [[]] * SCHEMA_NODES_MAX}).encode(), "2000"),
        (b'{"type":"strin"}', "/type"),
        (b'{"properties":[]}', "/properties"),
        (b'{"minLength":-1}', "/minLength"),
        (b'{"properties":{"a":{"required":"b"}}}', "/properties/a/required"),
        (b'{"$ref":"#/$defs/nope"}', "points at nothing"),
        (b'{"$ref":"#nope"}', "no such anchor"),
        (b'{"$ref":"#/title","title":"x"}', "not a schema"),
        (b'{"$ref":"#/own","own":{"type":"strin"}}', "strin"),
        (b'{"$ref":5}', "/$ref"),
        (b'{"$ref":"#"}', "leads back"),
        (b'{"allOf":[{"$ref":"#"}]}', "leads back"),
        (
            b'{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"not":{"$ref":"#/$defs/a"}}}}',
            "leads back",
        ),
        (b'{"$defs":{"a":{"$anchor":"x"},"b":{"$anchor":"x"}}}', "appears twice"),
        (
            b'{"$id":"r","$dynamicRef":"#x","$dynamicAnchor":"x","$defs":{"b":{"$id":"q","$dynamicAnchor":"x"}}}',
            "appears 2 times",
        ),
    ],
)
def test_a_bad_schema_is_one_refusal_that_says_what_is_wrong(raw, named):
    """A 400 that names the place or the limit."""
    with pytest.raises(Refusal) as refused:
        compile_schema(raw)
    assert refused.value.code == "invalid_schema"
    assert named in refused.value.public
    assert len(refused.value.public) < 1_000


def doubling(levels: int, end: dict[str, object]) -> bytes:
    """References that multiply: 2^levels subschemas out of a few hundred bytes."""
    definitions: dict[str, object] = {
        f"a{i}": {"allOf": [{"$ref": f"#/$defs/a{i + 1}"}, {"$ref": f"#/$defs/a{i + 1}"}]}
        for i in range(levels)
    }
    definitions[f"a{levels}"] = end
    return json.dumps({"$ref": "#/$defs/a0", "$defs": definitions}).encode()


@pytest.mark.parametrize("end", [{"type": "string"}, {"items": {"$ref": "#/$defs/a0"}}])
def test_references_that_multiply_are_refused(end):
    """Thirty doublings would be a billion checks of one value."""
    with pytest.raises(Refusal, match=re.escape("multiply")):
        compile_schema(doubling(30, end))
    assert compile_schema(doubling(5, end)).accepts("x")


def test_a_long_chain_of_references_is_refused_before_it_can_cost_a_stack():
    """Nine hundred references in a row, all for one value."""
    definitions: dict[str, object] = {f"a{i}": {"$ref": f"#/$defs/a{i + 1}"} for i in range(900)}
    definitions["a900"] = {"type": "string"}
    raw = json.dumps({"$ref": "#/$defs/a0", "$defs": definitions}).encode()
    with pytest.raises(Refusal, match="64 deep"):
        compile_schema(raw)


def nested(depth: int, end: JsonValue, name: str = "a") -> JsonValue:
    value = end
    for _ in range(depth):
        value = {name: value}
    return value


def test_the_deepest_schema_on_the_deepest_answer_holds_the_stack():
    """About sixty references for each of sixty levels, on a thread's smaller stack too."""
    definitions: dict[str, object] = {f"a{i}": {"$ref": f"#/$defs/a{i + 1}"} for i in range(58)}
    definitions["a58"] = {"properties": {"a": {"$ref": "#/$defs/a0"}}, "type": "object"}
    schema = compile_schema(json.dumps({"$ref": "#/$defs/a0", "$defs": definitions}).encode())
    answer = nested(62, 1)
    found: list[str] = []
    thread = threading.Thread(
        target=lambda: found.extend(
            f.path for f in schema.findings(answer, json.dumps(answer).encode())
        )
    )
    thread.start()
    thread.join(60)
    assert found == ["/a" * 62]


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"properties": {"a": {"$ref": "#"}}, "required": ["a"]}] * 2},
        {"oneOf": [{"properties": {"a": {"$ref": "#"}}, "type": "object"}] * 2},
        {"allOf": [{"properties": {"a": {"$ref": "#"}}}] * 2, "type": "object"},
        {"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}, "type": "object"},
        {
            "allOf": [{"properties": {"a": {"$ref": "#"}}}],
            "unevaluatedProperties": False,
            "type": "object",
        },
        {"not": {"properties": {"a": {"$ref": "#"}}}},
        {
            "if": {"properties": {"a": {"$ref": "#"}}},
            "then": {"properties": {"a": {"$ref": "#"}}},
            "else": False,
        },
    ],
)
def test_recursion_that_branches_costs_no_more_than_the_answer_is_deep(schema):
    """Sixty levels with two ways each: 2^60, were results not remembered."""
    schema = compile_schema(json.dumps(schema).encode())
    started = time.process_time()
    ends: list[JsonValue] = [1, {}, {"b": 1}]
    for end in ends:
        answer = nested(60, end)
        found = schema.findings(answer, json.dumps(answer, separators=(",", ":")).encode())
        assert schema.accepts(answer) is (not found)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "pattern", ["^(a+)+$", "^(a|a)*$", "(.*a){25}", "^(([a-z])+.)+[A-Z]([a-z])+$", "(a|aa)+$"]
)
def test_no_pattern_backtracks(pattern):
    """Classical traps on 100,000 characters; a backtracking engine needs ages for 40."""
    schema = compile_schema(json.dumps({"pattern": pattern}).encode())
    started = time.process_time()
    schema.accepts("a" * 100_000 + "!")
    assert time.process_time() - started < 5


TOO_MUCH_WORK = [
    ({"allOf": [{"items": {"minimum": -i}} for i in range(900)]}, [1] * 500_000, "values"),
    ({"items": {"enum": [{"a": i} for i in range(1_900)]}}, [{"a": 1_899}] * 15_000, "values"),
    ({"allOf": [{"uniqueItems": True}] * 900}, list(range(100_000)), "values"),
    (
        {"allOf": [{"propertyNames": {"minLength": 1}}] * 900},
        dict.fromkeys(map(str, range(9**5)), 1),
        "values",
    ),
    (
        {"not": {"anyOf": [{"pattern": f"[ab]*a[ab]{{{60 + i}}}c"} for i in range(16)]}},
        "ab" * 200_000,
        "characters",
    ),
]


@pytest.mark.parametrize(("schema", "answer", "named"), TOO_MUCH_WORK)
def test_an_answer_too_large_for_its_schema_is_a_finding_and_is_not_checked(schema, answer, named):
    """Each took 2 to 15 s in one call, and everybody else's session waited for it."""
    schema = compile_schema(json.dumps(schema).encode())
    artifact = json.dumps(answer, separators=(",", ":")).encode()
    started = time.process_time()
    (found,) = schema.findings(answer, artifact)
    assert not schema.accepts(answer)
    assert (found.code, found.path) == ("too_large", "")
    assert re.search(rf"\d+ {named}; at most \d+", found.message)
    assert time.process_time() - started < 1


def test_large_answers_to_schemas_of_usual_size_are_checked():
    """A megabyte against 20 subschemas, and 300 KB of text against 5 patterns."""
    schema = compile_schema(
        json.dumps(
            {"items": {"properties": {f"m{i}": {"type": "integer"} for i in range(17)}}}
        ).encode()
    )
    answer: JsonValue = [{"m0": 1, "m16": "x"}] * 50_000
    artifact = json.dumps(answer, separators=(",", ":")).encode()
    assert schema.findings(answer, artifact)[0].path == "/0/m16"
    schema = compile_schema(
        json.dumps({"allOf": [{"pattern": f"^[a-z ]{{{i},}}$"} for i in range(5)]}).encode()
    )
    assert schema.findings("a " * 150_000, b'"' + b"a " * 150_000 + b'"') == ()


def test_patterns_that_are_large_together_are_refused():
    """Each one compiles; a thousand of them would take gigabytes."""
    patterns: dict[str, object] = {f"^{i}\\pL{{1,60}}$": {} for i in range(600)}
    started = time.process_time()
    with pytest.raises(Refusal, match="too large together"):
        compile_schema(json.dumps({"patternProperties": patterns}).encode())
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ({"required": [f"k{i}" for i in range(5_000)]}, {f"n{i}": i for i in range(60_000)}),
        ({"items": {"type": "string"}}, [1] * 500_000),
        ({"items": {"type": "integer"}, "contains": {"const": 2}}, [1] * 300_000),
        ({"additionalProperties": False}, {f"n{i}": i for i in range(60_000)}),
        ({"allOf": [{"items": {"const": i}} for i in range(300)]}, [1] * 100_000),
        ({"uniqueItems": True}, [*range(150_000), 1]),
    ],
)
def test_large_wrong_answers_are_judged_within_bounds(schema, answer):
    """The library's own error list takes all memory on the first and 8 s on the second."""
    schema = compile_schema(json.dumps(schema).encode())
    artifact = json.dumps(answer, separators=(",", ":")).encode()
    started = time.process_time()
    found = schema.findings(answer, artifact)
    assert time.process_time() - started < 5
    assert found
    assert all(finding.message != "the schema does not hold" for finding in found)
