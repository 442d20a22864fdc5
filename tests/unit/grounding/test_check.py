"""Grounding rules over artifacts: what matches, and what a finding says when nothing does."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from lakehouse.core.finding import Finding
from lakehouse.core.json_text import JsonValue, parse_bytes
from lakehouse.core.kind import GroundingRule, SqlRule
from lakehouse.core.ports import RuleOutcome
from lakehouse.grounding.check import check_rules
from lakehouse.grounding.inline import InlineTables
from lakehouse.grounding.no_tables import NoTables
from support.grounding import check_with, ground, kind_of

AIRPORTS: dict[str, list[dict[str, Any]]] = {
    "airports": [
        {"iata": "ZRH", "city": "Zürich", "lat": 47.458, "runways": 3},
        {"iata": "BSL", "city": "Basel", "lat": 47.59, "runways": 2},
        {"iata": "LHR", "city": "London", "lat": 51.47, "runways": 2},
        {"iata": "LGW", "city": "London", "lat": 51.148, "runways": 1},
        {"iata": None, "city": "Nowhere", "lat": None, "runways": None},
    ]
}
IATA = GroundingRule(path="/airport", column="airports.iata")


def one(findings: Sequence[Finding]) -> dict[str, str]:
    """The only finding, as plain JSON without its message."""
    assert len(findings) == 1, findings
    members = msgspec.structs.asdict(findings[0])
    del members["message"]
    return {
        name: bytes(value).decode() if isinstance(value, msgspec.Raw) else value
        for name, value in members.items()
        if value is not msgspec.UNSET
    }


def test_a_value_of_the_column_is_grounded() -> None:
    result = ground([IATA], b'{"airport":"ZRH"}', AIRPORTS)
    assert (result.findings, result.applied) == ((), True)


def test_a_value_that_is_not_there_is_named_with_the_nearest_ones() -> None:
    result = ground([IATA], b'{"airport":"ZRX"}', AIRPORTS)
    assert one(result.findings) == {
        "code": "ungrounded",
        "path": "/airport",
        "got": '"ZRX"',
        "expected": '{"column":"airports.iata","match":"exact"}',
        "nearest": '["ZRH","BSL","LGW"]',
    }
    message = result.findings[0].message
    assert '"ZRX"' in message
    assert "airports.iata" in message
    assert '"ZRH"' in message


@pytest.mark.parametrize("raw", [b"{}", b'{"airport":null}', b'{"airport":[]}', b"[]", b"3"])
def test_an_absent_or_null_value_or_an_empty_array_is_not_judged(raw: bytes) -> None:
    result = ground([IATA], raw, AIRPORTS)
    assert (result.findings, result.applied) == ((), False)


def test_each_element_of_an_array_is_judged_and_null_elements_are_not() -> None:
    raw = b'{"airport":["ZRH","XXX",null,"BSL","YYY"]}'
    result = ground([IATA], raw, AIRPORTS)
    assert [finding.path for finding in result.findings] == ["/airport/1", "/airport/4"]
    assert result.findings[1].got == msgspec.Raw(b'"YYY"')


def test_an_array_element_that_is_an_array_matches_nothing() -> None:
    assert [f.path for f in ground([IATA], b'{"airport":[["ZRH"]]}', AIRPORTS).findings] == [
        "/airport/0"
    ]


def test_the_empty_pointer_judges_the_whole_artifact() -> None:
    rule = GroundingRule(path="", column="airports.iata")
    assert ground([rule], b'"ZRH"', AIRPORTS).findings == ()
    assert one(ground([rule], b'"ZRX"', AIRPORTS).findings)["path"] == ""


def test_pointers_follow_escapes_and_array_indexes() -> None:
    rule = GroundingRule(path="/a~1b/1/~0", column="airports.iata")
    raw = b'{"a/b":[0,{"~":"ZRX"}]}'
    assert one(ground([rule], raw, AIRPORTS).findings)["got"] == '"ZRX"'
    for path in ("/a~1b/01/~0", "/a~1b/-/~0", "/a~1b/²/~0", "/a~1b/9/~0"):
        elsewhere = GroundingRule(path=path, column="airports.iata")
        assert not ground([elsewhere], raw, AIRPORTS).applied


@pytest.mark.parametrize("raw", [b"true", b"3", b'{"a":1}', b'{"iata":"ZRH"}', b"3.5"])
def test_a_value_of_another_type_never_matches_a_text_column(raw: bytes) -> None:
    finding = one(ground([IATA], b'{"airport":%b}' % raw, AIRPORTS).findings)
    assert finding["got"] == raw.decode()
    assert "nearest" not in finding


@pytest.mark.parametrize("raw", [b"true", b'"3"', b"{}"])
def test_a_value_of_another_type_never_matches_a_numeric_column(raw: bytes) -> None:
    rule = GroundingRule(path="/runways", column="airports.runways")
    result = ground([rule], b'{"runways":%b}' % raw, AIRPORTS)
    assert "nearest" not in one(result.findings)
    assert "must be a number" in result.findings[0].message


@pytest.mark.parametrize("raw", [b"3", b"3.0", b"3e0", b"0.3E1"])
def test_numbers_match_by_value_however_they_are_written(raw: bytes) -> None:
    rule = GroundingRule(path="/runways", column="airports.runways")
    assert ground([rule], b'{"runways":%b}' % raw, AIRPORTS).findings == ()


def test_large_integers_are_told_apart_exactly() -> None:
    tables = {"t": [{"n": 2**64}]}
    rule = GroundingRule(path="/n", column="t.n")
    assert ground([rule], b'{"n":18446744073709551616}', tables).findings == ()
    result = ground([rule], b'{"n":18446744073709551617}', tables)
    assert one(result.findings)["nearest"] == "[18446744073709551616]"
    assert one(ground([rule], b'{"n":1e400}', tables).findings)["got"] == "1e400"


def test_evidence_keeps_the_bytes_of_the_artifact() -> None:
    rule = GroundingRule(path="/lat", column="airports.lat")
    assert one(ground([rule], b'{"lat": 1.10}', AIRPORTS).findings)["got"] == "1.10"
    assert one(ground([IATA], rb'{"airport":"\u005aR\u0058"}', AIRPORTS).findings)["got"] == (
        r'"\u005aR\u0058"'
    )
    assert one(ground([IATA], b'{"airport":{"a" : [1, 2.0]}}', AIRPORTS).findings)["got"] == (
        '{"a":[1,2.0]}'
    )


def test_evidence_over_256_bytes_is_left_out_and_nearest_with_it() -> None:
    fits = one(ground([IATA], b'{"airport":"%b"}' % (b"x" * 254), AIRPORTS).findings)
    assert "got" in fits
    assert "nearest" in fits
    too_long = one(ground([IATA], b'{"airport":"%b"}' % (b"x" * 255), AIRPORTS).findings)
    assert "got" not in too_long
    assert "nearest" not in too_long


def test_casefold_ignores_case_and_nothing_else() -> None:
    rule = GroundingRule(path="/city", column="airports.city", match="casefold")
    assert ground([rule], '{"city":"ZÜRICH"}'.encode(), AIRPORTS).findings == ()
    assert one(ground([rule], b'{"city":"ZURICH"}', AIRPORTS).findings)["nearest"].startswith(
        '["Zürich"'
    )


def test_casefold_compares_numbers_by_value() -> None:
    rule = GroundingRule(path="/runways", column="airports.runways", match="casefold")
    assert ground([rule], b'{"runways":3}', AIRPORTS).findings == ()


@pytest.mark.parametrize(
    ("value", "tolerance", "holds"),
    [
        (b"1.1", 0.1, True),  # as written; in binary the difference is over 0.1
        (b"0.9", 0.1, True),
        (b"1.11", 0.1, False),
        (b"1", 0.0, True),
        (b"1.0000001", 0.0, False),
        (b"3", 1.0, True),
        (b"3.5", 1.0, False),
        (b"1e400", 1e300, False),
    ],
)
def test_within_takes_the_tolerance_as_absolute(
    value: bytes, tolerance: float, *, holds: bool
) -> None:
    rule = GroundingRule(path="/n", column="t.n", match="within", tolerance=tolerance)
    result = ground([rule], b'{"n":%b}' % value, {"t": [{"n": 1.0}, {"n": 2}]})
    assert (result.findings == ()) == holds


def test_within_says_its_tolerance_and_orders_by_difference_then_bytes() -> None:
    tables = {"t": [{"n": n} for n in (1, 9, 10, 12, 100)]}
    rule = GroundingRule(path="/n", column="t.n", match="within", tolerance=0.5)
    assert one(ground([rule], b'{"n":11}', tables).findings) == {
        "code": "ungrounded",
        "path": "/n",
        "got": "11",
        "expected": '{"column":"t.n","match":"within","tolerance":0.5}',
        "nearest": "[10,12,9]",
    }
    whole = GroundingRule(path="/n", column="t.n", match="within", tolerance=5.0)
    assert one(ground([whole], b'{"n":30}', tables).findings)["expected"].endswith('nce":5}')
    tie = GroundingRule(path="/n", column="t.n")
    assert one(ground([tie], b'{"n":9.5}', {"t": [{"n": 9}, {"n": 10}]}).findings)["nearest"] == (
        "[10,9]"
    )


def test_nearest_shows_numbers_as_the_table_wrote_them() -> None:
    rule = GroundingRule(path="/n", column="t.n")
    tables = InlineTables({"t": [{"n": msgspec.Raw(b"1.10")}, {"n": msgspec.Raw(b"2e0")}]})
    snapshot = asyncio.run(tables.snapshot(kind_of([rule])))
    assert one(check_with(snapshot, [rule], {"n": 1.2}).findings)["nearest"] == "[1.10,2e0]"


def test_a_quote_must_stand_in_one_of_the_sources_word_for_word() -> None:
    rule = GroundingRule(path="/quote", match="quote")
    sources = ("Flight delayed at ZRH", "due to fog")
    assert ground([rule], b'{"quote":"delayed at"}', {}, sources).findings == ()
    for bad in (b'"Delayed at"', b'""', b'"ZRHdue"', b"3", b"{}"):
        finding = one(ground([rule], b'{"quote":%b}' % bad, {}, sources).findings)
        assert finding == {
            "code": "ungrounded",
            "path": "/quote",
            "got": bad.decode(),
            "expected": '{"match":"quote"}',
        }
    assert len(ground([rule], b'{"quote":"x"}', {}, ()).findings) == 1


def with_city(match: str = "exact") -> GroundingRule:
    return GroundingRule(
        path="/airport",
        column="airports.iata",
        match=match,  # type: ignore[arg-type]  # one of the literals
        with_={"/city": "airports.city"},
    )


def test_with_must_hold_in_the_same_row() -> None:
    assert ground([with_city()], b'{"airport":"LGW","city":"London"}', AIRPORTS).findings == ()
    result = ground([with_city()], b'{"airport":"BSL","city":"London"}', AIRPORTS)
    assert one(result.findings) == {
        "code": "ungrounded",
        "path": "/city",
        "got": '"London"',
        "expected": '{"column":"airports.city","match":"exact"}',
        "nearest": '["Basel"]',
    }


def test_with_uses_the_rules_own_match() -> None:
    raw = '{"airport":"zrh","city":"ZÜRICH"}'.encode()
    assert ground([with_city("casefold")], raw, AIRPORTS).findings == ()
    assert len(ground([with_city()], raw, AIRPORTS).findings) == 1


def test_an_absent_or_null_with_value_does_not_apply() -> None:
    for raw in (b'{"airport":"BSL"}', b'{"airport":"BSL","city":null}'):
        assert ground([with_city()], raw, AIRPORTS).findings == ()


def test_a_failing_main_value_is_reported_alone() -> None:
    result = ground([with_city()], b'{"airport":"XXX","city":"Nirgendwo"}', AIRPORTS)
    assert [finding.path for finding in result.findings] == ["/airport"]


def test_with_values_that_never_meet_in_one_row_are_found_though_each_is_there() -> None:
    tables = {"t": [{"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 2, "c": 2}, {"a": 2, "b": 1, "c": 2}]}
    rule = GroundingRule(path="/a", column="t.a", with_={"/c": "t.c", "/b": "t.b"})
    assert ground([rule], b'{"a":1,"b":2,"c":2}', tables).findings == ()
    finding = one(ground([rule], b'{"a":1,"b":1,"c":2}', tables).findings)
    assert (finding["path"], finding["nearest"]) == ("/c", "[1]")
    both = ground([rule], b'{"a":1,"b":7,"c":8}', tables).findings
    assert [finding.path for finding in both] == ["/b", "/c"]


def test_arrays_pair_with_arrays_by_index_and_single_values_go_with_every_element() -> None:
    rule = with_city()
    raw = b'{"airport":["LHR","BSL"],"city":["London","Basel"]}'
    assert ground([rule], raw, AIRPORTS).findings == ()
    raw = b'{"airport":["LHR","BSL"],"city":["Basel","Basel"]}'
    assert one(ground([rule], raw, AIRPORTS).findings)["path"] == "/city/0"
    raw = b'{"airport":["LHR","LGW"],"city":"London"}'
    assert ground([rule], raw, AIRPORTS).findings == ()
    assert ground([rule], b'{"airport":["LHR","BSL"],"city":["London"]}', AIRPORTS).findings == ()
    raw = b'{"airport":"LHR","city":["London"]}'
    assert one(ground([rule], raw, AIRPORTS).findings)["path"] == "/city"


def test_null_cells_match_nothing() -> None:
    raw = b'{"airport":"","city":"Nowhere"}'
    assert [f.path for f in ground([with_city()], raw, AIRPORTS).findings] == ["/airport"]


def test_with_over_many_rows_is_found_beyond_the_first_turns() -> None:
    """The only row that fits both stands behind thousands that fit one of them."""
    rows = [{"a": "x", "b": "y" if i % 2 else "z", "c": i} for i in range(700)]
    rows += [{"a": "w", "b": "v", "c": 1} for _ in range(700)]
    rows.append({"a": "x", "b": "v", "c": 2})
    rule = GroundingRule(path="/a", column="t.a", with_={"/b": "t.b"})
    assert ground([rule], b'{"a":"x","b":"v"}', {"t": rows}).findings == ()
    finding = one(ground([rule], b'{"a":"w","b":"z"}', {"t": rows}).findings)
    assert finding["nearest"] == '["v"]'


class Outcomes(NoTables):
    """A snapshot that only answers rules, and keeps what was bound."""

    def __init__(self, *outcomes: RuleOutcome) -> None:
        self._outcomes = list(outcomes)
        self.members: Mapping[str, JsonValue] = {}

    async def outcomes(
        self, rules: Sequence[SqlRule], members: Mapping[str, JsonValue]
    ) -> list[RuleOutcome]:
        self.members = members
        return self._outcomes[: len(rules)]


def test_a_rule_that_does_not_hold_is_a_finding_at_the_member_it_names() -> None:
    rule = SqlRule("SELECT $delay < 5", "delay must be under 5")
    raw = b'{"delay": 7.0, "x": {"a" : [1.10, 18446744073709551617]}}'
    snapshot = Outcomes(RuleOutcome(False, ("delay",)))
    findings = asyncio.run(check_rules([rule], parse_bytes(raw), raw, snapshot))
    assert one(findings) == {
        "code": "rule",
        "path": "/delay",
        "got": "7.0",
        "expected": '{"sql":"SELECT $delay < 5"}',
    }
    assert findings[0].message == "delay must be under 5"
    assert snapshot.members == {"delay": 7.0, "x": {"a": [1.1, 18446744073709551617]}}


def test_an_error_of_the_values_is_told_with_the_rules_message() -> None:
    rule = SqlRule("SELECT $day::DATE < today()", "day must be past")
    snapshot = Outcomes(RuleOutcome(False, ("day",), "Conversion Error: 'soon' is no date"))
    findings = asyncio.run(check_rules([rule], {"day": "soon"}, b'{"day":"soon"}', snapshot))
    assert one(findings)["code"] == "rule"
    assert findings[0].message.startswith("day must be past")
    assert "Conversion Error: 'soon' is no date" in findings[0].message


def test_a_rule_over_several_members_or_none_is_about_the_whole() -> None:
    rules = [SqlRule("SELECT $a < $b", "m"), SqlRule("SELECT false", "n"), SqlRule("SELECT 1", "o")]
    snapshot = Outcomes(
        RuleOutcome(False, ("a", "b")), RuleOutcome(False, ()), RuleOutcome(True, ())
    )
    findings = asyncio.run(check_rules(rules, {"a": 1}, b'{"a":1}', snapshot))
    assert [(finding.path, finding.message) for finding in findings] == [("", "m"), ("", "n")]
    assert all(finding.got is msgspec.UNSET for finding in findings)


def test_a_missing_member_leaves_got_out_and_its_name_is_escaped() -> None:
    snapshot = Outcomes(RuleOutcome(False, ("a/b",)))
    findings = asyncio.run(check_rules([SqlRule("q", "m")], [1], b"[1]", snapshot))
    assert one(findings) == {"code": "rule", "path": "/a~1b", "expected": '{"sql":"q"}'}
