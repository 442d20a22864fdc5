"""The required parity fixtures: whole, well-formed, and true to the contract without our code."""

import json
import zlib
from typing import Any

import pytest

from support.spec_files import SPEC, fixtures, schema_validator

REQUIRED = {
    "session_log": {
        "accepted_grounded",
        "max_iter_exhausted",
        "infra_error",
        "unicode_in_prompt",
    },
    "validator": {
        "first_shot_accepted",
        "schema",
        "ungrounded",
        "no_json",
        "truncated",
        "unicode",
    },
}
ALL = [
    pytest.param(fixture, id=f"{suite}-{name}")
    for suite in REQUIRED
    for name, fixture in fixtures(suite).items()
]
ROWS = fixtures("session_log")
BODIES = fixtures("validator")


@pytest.mark.parametrize("suite", REQUIRED)
def test_the_required_fixtures_are_there(suite: str) -> None:
    assert set(fixtures(suite)) == REQUIRED[suite]


@pytest.mark.parametrize("fixture", ALL)
def test_a_fixture_has_its_members(fixture: dict[str, Any]) -> None:
    assert list(fixture) == ["name", "suite", "about", "why", "input", "expected"]
    assert all(isinstance(value, str) and value for value in fixture.values())
    path = SPEC / "parity" / fixture["suite"] / "required" / f"{fixture['name']}.json"
    assert path.exists()


@pytest.mark.parametrize("fixture", ALL)
def test_an_answer_has_no_white_space_between_tokens_and_is_no_copy(
    fixture: dict[str, Any],
) -> None:
    answer = fixture["expected"]
    inside = escaped = False
    for mark in answer:
        assert inside or mark not in " \t\r\n"
        inside = inside != (mark == '"' and not escaped)
        escaped = inside and mark == "\\" and not escaped
    assert len(json.loads(answer)) >= 4


@pytest.mark.parametrize("name", ROWS)
def test_the_crc_of_an_answer_is_crc_32(name: str) -> None:
    line = ROWS[name]["expected"].encode()
    assert line[-18:] == b',"crc":"%08x"}' % zlib.crc32(line[:-18])


@pytest.mark.parametrize("name", ROWS)
def test_an_input_is_a_row_or_a_line_without_crc(name: str) -> None:
    line = ROWS[name]["input"].encode()
    if name == "max_iter_exhausted":
        assert '"crc"' not in ROWS[name]["input"]
    else:
        assert line[-18:] == b',"crc":"%08x"}' % zlib.crc32(line[:-18])


@pytest.mark.parametrize("name", ROWS)
def test_an_answer_says_what_its_input_says(name: str) -> None:
    """Member for member, whatever their order, spelling and white space."""
    came, goes = (json.loads(ROWS[name][part]) for part in ("input", "expected"))
    assert came.pop("crc", None) is not None or name == "max_iter_exhausted"
    del goes["crc"]
    assert came == goes


def test_the_fixtures_cover_every_verdict() -> None:
    verdicts = {json.loads(fixture["expected"])["verdict"] for fixture in ROWS.values()}
    assert verdicts == {"accepted", "max_iter_exhausted", "infra_error"}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_self_contained_and_holds(name: str) -> None:
    body = json.loads(BODIES[name]["input"])
    assert (
        {"output", "schema"} <= set(body) <= {"output", "schema", "source", "grounding", "tables"}
    )
    problems = [error.message for error in schema_validator("validate.request").iter_errors(body)]
    assert problems == []


@pytest.mark.parametrize("name", BODIES)
def test_a_reply_holds_and_its_findings_are_in_order(name: str) -> None:
    reply = json.loads(BODIES[name]["expected"])
    problems = [error.message for error in schema_validator("validate.reply").iter_errors(reply)]
    assert problems == []
    assert (reply["verdict"] == "accepted") == (reply["findings"] == [])
    assert all(finding["message"] == "" for finding in reply["findings"])
    places = [(finding["path"].encode(), finding["code"]) for finding in reply["findings"]]
    assert places == sorted(places)
