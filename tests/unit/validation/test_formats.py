"""`format`: an annotation by default, asserted where it is asked for."""

import json
from typing import Any

import pytest

from lakehouse.core.errors import Refusal
from lakehouse.core.json_text import parse_bytes
from lakehouse.validation.schema import SchemaCache, compile_schema
from lakehouse.validation.schema_engine import FORMATS, _validator

SAMPLES = {
    "date": ("2026-02-28", "2026-02-30"),
    "date-time": ("2026-02-28T10:00:00Z", "2026-02-28 10:00"),
    "time": ("10:00:00Z", "25:00:00Z"),
    "duration": ("P3DT1H", "3 days"),
    "email": ("a@example.org", "a.example.org"),
    "idn-email": ("ü@example.org", "ü"),
    "hostname": ("example.org", "-bad-.org"),
    "idn-hostname": ("bücher.example", "-bad-"),
    "ipv4": ("192.0.2.1", "192.0.2.256"),
    "ipv6": ("2001:db8::1", "2001:db8::g"),
    "uri": ("https://example.org/a", "example.org/ a"),
    "uri-reference": ("/a?b", "/a b"),
    "iri": ("https://example.org/ü", "ü a"),
    "iri-reference": ("/ü", "/ü <"),
    "uri-template": ("/a/{b}", "/a/{b"),
    "uuid": ("019ab3c4-d5e6-7f80-91a2-b3c4d5e6f708", "019ab3c4"),
    "json-pointer": ("/a/0", "a/0"),
    "relative-json-pointer": ("1/a", "/a"),
    "regex": ("^a+$", "(a"),
}


def codes(schema: Any, value: Any, formats: Any) -> list[tuple[str, str]]:
    raw = json.dumps(value).encode()
    found = compile_schema(json.dumps(schema).encode(), formats).findings(parse_bytes(raw), raw)
    return [(one.path, str(one.expected, "utf-8")) for one in found]  # type: ignore[arg-type]


def test_every_format_of_the_standard_is_known_and_has_a_sample() -> None:
    assert set(SAMPLES) == FORMATS


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_format_is_asserted_where_it_is_asked_for_and_only_there(name: str) -> None:
    good, bad = SAMPLES[name]
    schema = {"properties": {"v": {"type": "string", "format": name}}}
    for formats in ("known", "all"):
        assert codes(schema, {"v": good}, formats) == []
        assert codes(schema, {"v": bad}, formats) == [("/v", f'{{"format":"{name}"}}')]
    assert codes(schema, {"v": bad}, "off") == []


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"v": {"$ref": "#/$defs/d"}}, "$defs": {"d": {"format": "date"}}},
        {"properties": {"v": {"allOf": [{"type": "string"}, {"format": "date"}]}}},
        {"additionalProperties": {"format": "date"}},
        {"properties": {"v": {"anyOf": [{"type": "null"}, {"format": "date", "type": "string"}]}}},
    ],
)
def test_a_format_is_asserted_wherever_it_stands(schema: Any) -> None:
    assert codes(schema, {"v": "soon"}, "all")
    assert codes(schema, {"v": "2026-01-01"}, "all") == []
    assert codes(schema, {"v": "soon"}, "off") == []


def test_a_format_says_nothing_of_values_that_are_no_texts() -> None:
    assert codes({"properties": {"v": {"format": "date"}}}, {"v": 7}, "all") == []


def test_a_format_that_nobody_knows_is_refused_where_all_are_asserted() -> None:
    raw = json.dumps({"properties": {"v": {"format": "dat"}}}).encode()
    with pytest.raises(Refusal) as caught:
        compile_schema(raw, "all")
    for word in ("/properties/v/format", "'dat'", "did you mean 'date'", "uuid"):
        assert word in caught.value.public
    for formats in ("known", "off"):
        assert compile_schema(raw, formats).accepts({"v": "x"})


def test_the_cache_keeps_the_two_modes_apart() -> None:
    cache, raw = SchemaCache(), b'{"format":"date"}'
    assert cache.get(raw).accepts("soon")
    assert not cache.get(raw, "all").accepts("soon")
    assert cache.get(raw).accepts("soon")
    assert len(cache) == 2


def test_the_engine_itself_checks_each_of_them() -> None:
    """A name that the engine does not know would hold for every text."""
    for name, (_, bad) in SAMPLES.items():
        assert not _validator({"format": name}).is_valid(bad)


@pytest.mark.parametrize(
    ("name", "value", "form"),
    [
        (
            "date-time",
            "2026-03-01T08:15:30",
            ": date and time with an offset or Z, such as 2026-03-01T08:15:30Z",
        ),
        (
            "time",
            "08:15",
            ": a time with an offset or Z, such as 08:15:30Z or 08:15:30+02:00",
        ),
        ("date", "1 March", ", such as 2026-03-01"),
        ("ipv4", "::1", ""),
    ],
)
def test_a_finding_tells_what_a_format_asks_for(name: str, value: str, form: str) -> None:
    """RFC 3339 calls for an offset, which many parsers do without."""
    raw = json.dumps({"v": value}).encode()
    schema = compile_schema(json.dumps({"properties": {"v": {"format": name}}}).encode(), "known")
    [finding] = schema.findings({"v": value}, raw)
    assert finding.message == f'must have the format "{name}"{form}'
