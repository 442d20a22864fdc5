"""`format`: an annotation by default, asserted where it is asked for."""

import json
from typing import Any

import pytest

from lakehouse.core.errors import Refusal
from lakehouse.core.json_text import parse_bytes
from lakehouse.validation.formats import FORMATS, AssertedFormats
from lakehouse.validation.schema import SchemaCache, compile_schema
from lakehouse.validation.schema_engine import _validator

UUID_2 = "019ab3c4-d5e6-2f80-91a2-b3c4d5e6f708"
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
    "ipv4network": ("192.0.2.0/24", "192.0.2.1/24"),
    "ipv6network": ("2001:db8::/32", "2001:db8::1/32"),
    "ipv4interface": ("192.0.2.1/24", "192.0.2.1/33"),
    "ipv6interface": ("2001:db8::1/32", "2001:db8::1/129"),
    "ipvanyaddress": ("2001:db8::1", "192.0.2.1/24"),
    "ipvanynetwork": ("192.0.2.0/24", "192.0.2.1/24"),
    "ipvanyinterface": ("192.0.2.1/24", "192.0.2.1/33"),
    "base64": ("+/8=", "-_8="),
    "base64url": ("-_8=", "+/8="),
    **{
        f"uuid{number}": (f"019ab3c4-d5e6-{number}f80-91a2-b3c4d5e6f708", UUID_2)
        for number in (1, 3, 4, 5, 6, 7, 8)
    },
}


def codes(schema: Any, value: Any, formats: Any) -> list[tuple[str, str]]:
    raw = json.dumps(value).encode()
    found = compile_schema(json.dumps(schema).encode(), formats).findings(parse_bytes(raw), raw)
    return [(one.path, str(one.expected, "utf-8")) for one in found]  # type: ignore[arg-type]


def test_every_format_has_a_sample() -> None:
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
    for mode in ("known", "all"):
        checks = AssertedFormats.of(mode).checks
        for name, (_, bad) in SAMPLES.items():
            assert not _validator({"format": name}, formats=checks).is_valid(bad)


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("date", "0000-03-01"),  # no parser of Python takes the year
        ("date", "202/-03-01"),  # the engine's own check takes it
        ("date-time", "2026-03-01T08:1/:30Z"),
        ("date-time", "0000-03-01T08:15:30Z"),
        ("date-time", "2026-12-31T23:59:60Z"),
        ("date-time", "2026-03-01 08:15:30Z"),
        ("time", "23:59:60Z"),
        ("time", "0/:59:00Z"),
        ("duration", "P1000000000D"),
        ("duration", "P999999999DT86400S"),
        ("duration", "PT4294967296S"),
        ("duration", f"P{'9' * 5_000}Y"),
        ("email", "root@localhost"),
        ("email", "a@b.test"),
        ("email", '"a b"@example.org'),
        ("email", "a@[192.0.2.1]"),
        ("email", "a@example.c0"),
        ("email", f"{'a' * 65}@example.org"),
        ("email", f"a@{'b.' * 125}example.org"),
        ("uri", "http://"),
        ("uri", "https:///"),
        ("uri", "http://a:65536"),
        ("uri", "http://a:123456"),
        ("uri", "http://[v1.a]"),
        ("uri", "http://192.0.2.256"),
        ("uri", "http://0x"),
        ("uri", "http://a%20b/"),
        ("uri", "http://xn--a/"),
        ("uri", "redis://a:99999"),
        ("uri", "redis://:1"),
        ("uri", "file://a:1/"),
        ("uri", "file://@a"),
    ],
)
def test_what_no_parser_takes_does_not_hold(name: str, value: str) -> None:
    assert codes({"format": name}, value, "known")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("date-time", "2026-12-31T23:59:60Z"),
        ("duration", "P1000000000D"),
        ("email", "root@localhost"),
        ("email", "a@b.test"),
        ("email", '"a b"@example.org'),
        ("uri", "redis://a:99999"),
        ("uri", "http://xn--a/"),
    ],
)
def test_a_kind_means_the_standard(name: str, value: str) -> None:
    """Where its configuration asserts formats, no parser is behind it."""
    assert codes({"format": name}, value, "all") == []
    assert codes({"format": name}, value, "known") != []


@pytest.mark.parametrize(
    ("name", "value"),
    [("date", "202/-03-01"), ("date-time", "2026-03-01T08:1/:30Z"), ("time", "0/:59:00Z")],
)
def test_digits_are_digits_in_both_readings(name: str, value: str) -> None:
    for mode in ("known", "all"):
        assert codes({"format": name}, value, mode) != []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("date", "0001-01-01"),
        ("date-time", "2024-02-29t23:59:59.123456789123z"),
        ("date-time", "2026-03-01T00:00:00-23:59"),
        ("duration", "P999999999DT86399S"),
        ("duration", f"P{'0' * 5_000}1D"),
        ("email", "Ann.O'Neill+tag@mail.example.co.uk"),
        ("uri", "https://user:pass@example.org:65535/a/b?c=d#e"),
        ("uri", "https://[2001:db8::1]:8080/"),
        ("uri", "https://192.0.2.1"),
        ("uri", "https://example.or1."),
        ("uri", "urn:isbn:0451450523"),
        ("uri", "mailto:a@example.org"),
        ("uri", "file:///etc/hosts"),
        ("uri", "redis://a:6379/0"),
        ("uri", "x:///a"),
    ],
)
def test_what_a_parser_takes_holds(name: str, value: str) -> None:
    assert codes({"format": name}, value, "known") == []
