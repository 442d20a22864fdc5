"""Fixtures without an answer, and lists of known failures without a reason, are refused."""

import json
from pathlib import Path

import pytest

from lakehouse.core.errors import SetupError
from lakehouse.parity.fixtures import load_fixtures, load_known_failures, shipped_fixtures

GOOD = {
    "name": "one",
    "suite": "session_log",
    "about": "it",
    "why": "so",
    "input": "x",
    "expected": "y",
}


def write(root: Path, **changes) -> Path:
    directory = root / "session_log" / "required"
    directory.mkdir(parents=True)
    content = {name: value for name, value in (GOOD | changes).items() if value is not None}
    (directory / "one.json").write_text(json.dumps(content))
    return root


def test_the_shipped_fixtures_load():
    """The required ones among them, every one with its answer."""
    found = load_fixtures(shipped_fixtures())
    required = [fixture.suite for fixture in found if fixture.level == "required"]
    assert (required.count("session_log"), required.count("validator")) == (4, 6)


def test_bytes_that_are_no_text_come_as_base64(tmp_path: Path):
    """And an input that must be refused has no answer."""
    root = write(tmp_path, input=None, input_base64="/w==", expected=None, outcome="errored")
    (fixture,) = load_fixtures(root)
    assert (fixture.data, fixture.expected) == (b"\xff", None)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"expected": None}, "one of `expected` and `outcome`"),
        ({"outcome": "errored"}, "one of `expected` and `outcome`"),
        ({"input": None}, "one of `input`"),
        ({"input_base64": "eA=="}, "one of `input`"),
        ({"name": "two"}, "calls itself"),
        ({"suite": "validator"}, "calls itself"),
        ({"colour": "red"}, "colour"),
        ({"why": None}, "why"),
        ({"input": None, "input_base64": "%"}, "one.json"),
    ],
)
def test_a_file_that_is_no_fixture_is_named(tmp_path: Path, changes, says):
    """One message with the path."""
    with pytest.raises(SetupError, match=says):
        load_fixtures(write(tmp_path, **changes))


def test_a_directory_without_fixtures_is_an_error(tmp_path: Path):
    """A run that compares nothing does not begin."""
    with pytest.raises(SetupError, match="No parity fixture"):
        load_fixtures(tmp_path)


@pytest.mark.parametrize(
    "content", ["{", "{}", '[{"peer": "go"}]', '[{"peer": "go", "fixture": "a", "reason": " "}]']
)
def test_a_known_failure_needs_its_reason(tmp_path: Path, content):
    """Also a list that is none."""
    path = tmp_path / "known.json"
    path.write_text(content)
    with pytest.raises(SetupError):
        load_known_failures(path)
