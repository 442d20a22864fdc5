"""Planted drifts: the gate closes for each of them and says what it is."""

import json
import sys
from pathlib import Path

import pytest

import lakehouse
from lakehouse.parity.fixtures import Fixture, KnownFailure, load_fixtures, shipped_fixtures
from lakehouse.parity.gate import FixtureCheck, Report, compare
from lakehouse.parity.peers import HelperPeer
from support.rows import make_row

HELPER = Path(__file__).parents[2] / "support" / "drifting_helper.py"
SOURCE = Path(lakehouse.__file__).parent.parent


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))


@pytest.fixture(scope="module")
def rows() -> list[Fixture]:
    """The required rows, and one with what the drifts are about."""
    from lakehouse.core.row_codec import add_crc, encode_line  # noqa: PLC0415  only here

    prompt = "is 1 < 2 & 3 > 2? Øresund"
    line = add_crc(encode_line(make_row(prompt=prompt))[:-18] + b',"reviewed_by":"me"}')
    whole = Fixture("drift", "session_log", "extended", "everything", line, line)
    shipped = load_fixtures(shipped_fixtures(), suites=("session_log",))
    return [*(fixture for fixture in shipped if fixture.level == "required"), whole]


def peer(drift: str, name: str = "other") -> HelperPeer:
    return HelperPeer(
        name, [sys.executable, str(HELPER), drift], suites=("session_log",), timeout_s=20
    )


def failed(report: Report) -> list[FixtureCheck]:
    return [check for check in report.checks if check.status == "failed"]


def test_without_drift_the_gate_is_open(rows):
    """The same helper, unchanged: what follows is about the drifts alone."""
    report = compare([peer("none", "one"), peer("none", "other")], rows)

    assert report.passed, failed(report)
    assert [(pair.equal, pair.asked) for pair in report.pairs] == [(4, 4), (1, 1)]


@pytest.mark.parametrize(
    ("drift", "names"),
    [
        ("html escaping", "/prompt"),
        ("ascii escapes", "/prompt"),
        ("float rounding", "/artifact/delay"),
        ("renamed member", "`row_id`"),
        ("null for missing", "nearest"),
        ("key order", "/verdict"),
        ("integer as float", "duration_ms"),
        ("timestamp precision", "`timestamp` has another form"),
        ("lost unknown member", "/reviewed_by"),
        ("white space", "differs at"),
        ("missing member", "`conversation_id`"),
        ("no crc", "no `crc`"),
        ("wrong crc", "not a row"),
        ("trivial", "not a row"),
    ],
)
def test_a_drift_closes_the_gate_and_is_named(rows, drift, names):
    """In words, and as a place where both sides can be looked at."""
    report = compare([peer("none", "one"), peer(drift)], rows)

    assert not report.passed
    assert failed(report)
    assert {check.peer for check in failed(report)} == {"other"}
    assert any(names in check.reason for check in failed(report)), [
        check.reason for check in failed(report)
    ]


@pytest.fixture(scope="module")
def bodies() -> list[Fixture]:
    """The required bodies, and one whose artifact has what the drifts are about."""
    shipped = load_fixtures(shipped_fixtures(), suites=("validator",))
    body = b'{"schema":{},"output":"{\\"a\\":1.10,\\"b\\":\\"x & y\\"}"}'
    answer = (
        b'{"verdict":"accepted","artifact":{"a":1.10,"b":"x & y"},"grounded":null,"findings":[]}'
    )
    whole = Fixture("drift", "validator", "extended", "everything", body, answer)
    return [*(fixture for fixture in shipped if fixture.level == "required"), whole]


@pytest.mark.parametrize(
    ("drift", "names"),
    [
        ("html escaping", "/artifact/b"),
        ("float rounding", "/artifact/a"),
        ("lost nearest", "/findings/0/nearest"),
        ("lost finding", "/findings/9"),
        ("findings reversed", "/findings/0/path"),
        ("grounded forgotten", "/grounded"),
        ("accepts all", "/verdict"),
        ("no path", "missing required field `path`"),
    ],
)
def test_a_drift_of_a_validator_is_named_too(bodies, drift, names):
    """Beside an unchanged one, which passes."""

    def validator(name: str, drift: str) -> HelperPeer:
        command = [sys.executable, str(HELPER), drift]
        return HelperPeer(name, command, suites=("validator",), timeout_s=20)

    report = compare([validator("one", "none"), validator("other", drift)], bodies)

    assert {check.peer for check in failed(report)} == {"other"}
    assert any(names in check.reason for check in failed(report)), [
        check.reason for check in failed(report)
    ]


@pytest.mark.parametrize(
    ("drift", "kind"), [("empty", "empty"), ("crash", "crashed"), ("silence", "crashed")]
)
def test_both_sides_alike_in_saying_nothing_fail(rows, drift, kind):
    """Equal nothings are not equal: not to each other, and not to the answer."""
    report = compare([peer(drift, "one"), peer(drift, "other")], rows)

    assert not report.passed
    assert {check.outcome for check in report.checks} == {kind}
    assert len(failed(report)) == 2 * len(rows)
    assert all(pair.equal == 0 for pair in report.pairs)
    assert report.complaints == (
        "session_log of one: nothing was compared",
        "session_log of other: nothing was compared",
    )


def test_a_helper_that_hangs_is_a_timeout(rows):
    """Bounded, and an outcome of its own."""
    slow = HelperPeer(
        "slow", [sys.executable, str(HELPER), "hang"], suites=("session_log",), timeout_s=1
    )
    report = compare([slow], rows[:1])

    assert [check.outcome for check in report.checks] == ["timeout"]
    assert not report.passed


def test_skipping_a_required_fixture_fails(rows):
    """An extended one may be skipped, with its reason shown; a run of skips compared nothing."""
    report = compare([peer("none", "one"), peer("skips")], rows)

    statuses = {check.fixture: check.status for check in report.checks if check.peer == "other"}
    assert statuses.pop("session_log/extended/drift") == "skipped"
    assert set(statuses.values()) == {"failed"}
    assert report.complaints == ("session_log of other: nothing was compared",)


def test_a_known_failure_is_let_through_and_goes_stale(rows):
    """With its reason; once it passes, or names nothing, the run fails."""
    labels = [row.label for row in rows]
    every = [KnownFailure("other", label, "no rounding yet") for label in labels]
    drifting = compare([peer("none", "one"), peer("html escaping")], rows)
    names = {check.fixture for check in failed(drifting)}
    exact = [entry for entry in every if entry.fixture in names]

    assert compare([peer("none", "one"), peer("html escaping")], rows, exact).passed
    stale = compare([peer("none", "one"), peer("none")], rows, exact)
    assert not stale.passed
    assert all("listed as known to fail" in check.reason for check in failed(stale))
    unknown = [KnownFailure("other", "session_log/required/nothing", "?")]
    assert not compare([peer("none", "one"), peer("none")], rows, unknown).passed


def test_what_may_not_be_a_row_must_be_refused(rows):
    """A helper that takes it fails."""
    bad = Fixture("cut", "session_log", "extended", "cut short", rows[0].data[:-30], None)
    own = HelperPeer(
        "python",
        [sys.executable, "-m", "lakehouse.cli.parity_helper"],
        suites=("session_log",),
    )

    assert compare([own], [*rows, bad]).passed
    eager = Fixture("fine", "session_log", "extended", "a row", rows[0].data, None)
    report = compare([own], [*rows, eager])
    assert [check.fixture for check in failed(report)] == [eager.label]
    assert "it must be rejected" in failed(report)[0].reason


def test_the_difference_shows_both_sides(rows):
    """Pointer, byte offset, and a few bytes of each."""
    report = compare([peer("html escaping")], [rows[-1]])
    (check,) = failed(report)

    assert check.difference is not None
    assert check.difference.pointer == "/prompt"
    assert check.difference.expected.startswith("< 2 &")
    assert check.difference.got.startswith("\\u003c 2")
    assert json.dumps(check.difference.offset).isdigit()
