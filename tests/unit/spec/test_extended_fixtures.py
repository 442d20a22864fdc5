"""The extended parity fixtures: what the sources say, enough, and about all that is named."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from lakehouse.core.errors import InfraCode
from lakehouse.core.finding import FindingCode
from lakehouse.core.matches import MatchName
from support.spec_files import SPEC, fixtures

ROOT = Path(__file__).parents[3]
LEAST = {"session_log": 60, "validator": 120}
NOT_OF_VALIDATE = {"refused", "rule", "too_large"}  # spec/v1/parity/README.md says why
KEYWORDS = (
    {
        "type",
        "enum",
        "const",
        "multipleOf",
        "maximum",
        "minimum",
        "exclusiveMaximum",
        "exclusiveMinimum",
    }
    | {
        "maxLength",
        "minLength",
        "pattern",
        "minItems",
        "maxItems",
        "uniqueItems",
        "minProperties",
        "maxProperties",
    }
    | {"contains", "minContains", "maxContains", "propertyNames", "required", "dependentRequired"}
    | {
        "additionalProperties",
        "unevaluatedProperties",
        "unevaluatedItems",
        "anyOf",
        "oneOf",
        "not",
        "if",
    }
)


def answers(suite: str) -> list[Any]:
    """Parse every answer of a suite; numbers as texts, since some are too long to compute with."""
    return [
        json.loads(fixture["expected"], parse_int=str)
        for fixture in fixtures(suite, "extended").values()
        if "expected" in fixture
    ]


@pytest.mark.parametrize("suite", LEAST)
def test_there_are_enough_and_each_gives_its_reason(suite: str):
    """What is refused counts too, but is not most of it."""
    found = fixtures(suite, "extended")
    answered = [fixture for fixture in found.values() if "expected" in fixture]

    assert len(answered) >= LEAST[suite]
    assert all(fixture["why"].strip() and fixture["about"].strip() for fixture in found.values())
    assert not set(found) & set(fixtures(suite))


def test_the_files_are_what_the_sources_say():
    """Who edits a file by hand is told where to edit; nothing of Lakehouse has a part."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "build_parity_fixtures.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    builder = (ROOT / "tools" / "build_parity_fixtures.py").read_text("utf-8")
    assert not re.search(r"(from|import) lakehouse", builder)
    assert len(list((SPEC / "parity" / "sources").glob("*/*.toml"))) > 10


def test_every_text_that_a_source_names_is_used_there():
    """A sentence of the contract that nothing follows from any more goes."""
    for path in (SPEC / "parity" / "sources").glob("*/*.toml"):
        source = path.read_text("utf-8")
        texts = tomllib.loads(source).get("texts", {})
        assert [name for name in texts if not re.search(rf"'\${name}'|\"\${name}\"", source)] == []


def test_the_rows_cover_the_closed_lists():
    """Every verdict and code that this version writes, and the marker of all that can be cut."""
    rows = answers("session_log")
    found = {row["verdict"] for row in rows}
    assert found == {"accepted", "max_iter_exhausted", "infra_error"}
    assert {row["error"]["code"] for row in rows if row["error"]} >= set(get_args(InfraCode))
    codes = {
        finding["code"]
        for row in rows
        for attempt in row["attempts"]
        for finding in attempt["findings"]
    }
    assert codes >= set(get_args(FindingCode))
    schema = (SPEC / "row.schema.json").read_text()
    markers = set(re.findall(r'"(\w+_truncated)":', schema))
    text = "".join(map(json.dumps, rows))
    assert len(markers) > 8
    assert {marker for marker in markers if f'"{marker}"' not in text} == set()


def test_the_bodies_cover_codes_matches_and_keywords():
    """Each finding code that can arise, each match, and each keyword that gives a finding."""
    replies = answers("validator")
    findings = [finding for reply in replies for finding in reply["findings"]]
    assert {f["code"] for f in findings} == set(get_args(FindingCode)) - NOT_OF_VALIDATE
    matches = {f["expected"]["match"] for f in findings if f["code"] == "ungrounded"}
    assert matches == set(get_args(MatchName))
    keywords = {next(iter(f["expected"])) for f in findings if f["code"] == "schema"}
    assert KEYWORDS - keywords == set()
    assert {reply["grounded"] for reply in replies} == {None, True, False}


def test_the_list_of_known_failures_is_empty():
    """Every runtime holds every fixture today."""
    assert json.loads((SPEC / "parity" / "known_failures.json").read_text()) == []
