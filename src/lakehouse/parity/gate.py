"""Compares every peer with the expected answers, and with each other.

It never passes without comparing something, and keeps the list of known failures current.
"""

import re
from collections.abc import Sequence
from itertools import combinations
from typing import Final, Literal

import msgspec

from lakehouse.parity.difference import Difference, first_difference
from lakehouse.parity.fixtures import Fixture, KnownFailure, Level, Suite
from lakehouse.parity.normalization import InvalidOutput, members, normalized
from lakehouse.parity.peers import OutcomeKind, Peer, PeerOutcome

_DIGIT: Final = re.compile(rb"\d")

Status = Literal["passed", "failed", "known", "skipped"]


class FixtureCheck(msgspec.Struct, frozen=True):
    """One peer on one fixture. `reason` says why it failed, was skipped, or is known to fail."""

    peer: str
    suite: Suite
    level: Level
    fixture: str
    status: Status
    outcome: OutcomeKind
    reason: str = ""
    difference: Difference | None = None


class PairCount(msgspec.Struct, frozen=True):
    """How many fixtures two peers answered equally, of those given to both."""

    left: str
    right: str
    suite: Suite
    level: Level
    equal: int
    asked: int


class Report(msgspec.Struct, frozen=True):
    """All checks, all pairs, and what is wrong with the run as a whole."""

    checks: tuple[FixtureCheck, ...]
    pairs: tuple[PairCount, ...]
    complaints: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.complaints and all(check.status != "failed" for check in self.checks)


def compare(
    peers: Sequence[Peer], fixtures: Sequence[Fixture], known: Sequence[KnownFailure] = ()
) -> Report:
    """Run every fixture of its suites through every peer, and compare.

    Every peer is checked first: where one cannot be asked, no fixture is run.

    Raises:
        InfraError: A peer cannot be started or reached.
    """
    for peer in peers:
        peer.check()
    reasons = {(entry.peer, entry.fixture): entry.reason for entry in known}
    checks: list[FixtureCheck] = []
    outcomes: dict[tuple[str, str], PeerOutcome] = {}
    for peer in peers:
        asked = [fixture for fixture in fixtures if fixture.suite in peer.suites]
        for fixture, outcome in zip(asked, peer.answers(asked) if asked else [], strict=True):
            outcomes[peer.name, fixture.label] = outcome
            check = _check(peer.name, fixture, outcome)
            checks.append(_with_known(check, reasons.get((peer.name, fixture.label))))
    pairs = _pairs(peers, fixtures, outcomes)
    return Report(tuple(checks), tuple(pairs), tuple(_complaints(peers, checks, known)))


def _check(peer: str, fixture: Fixture, outcome: PeerOutcome) -> FixtureCheck:
    reason, difference = _judge(fixture, outcome)
    status: Status = "passed" if not reason else "failed"
    if outcome.kind == "skipped" and fixture.level == "extended":
        status = "skipped"
    return FixtureCheck(
        peer,
        fixture.suite,
        fixture.level,
        fixture.label,
        status,
        outcome.kind,
        reason,
        difference,
    )


def _judge(fixture: Fixture, outcome: PeerOutcome) -> tuple[str, Difference | None]:
    """Return what is wrong with an outcome; an empty text if nothing is."""
    if fixture.expected is None:
        if outcome.kind == "errored":
            return "", None
        return f"it must be rejected, but was {outcome.kind}: {outcome.message}".rstrip(": "), None
    if outcome.kind != "result":
        return f"{outcome.kind}: {outcome.message}".rstrip(": "), None
    try:
        expected = normalized(fixture.suite, fixture.expected)
    except InvalidOutput as error:
        return f"the fixture's own answer is invalid: {error}", None
    try:
        got = normalized(fixture.suite, outcome.output)
    except InvalidOutput as error:
        return f"invalid output: {error}", None
    difference = first_difference(expected, got)
    if difference is None:
        return _form_of_time(fixture, outcome.output), None
    return f"differs at {difference.pointer or '/'} (byte {difference.offset})", difference


def _form_of_time(fixture: Fixture, output: bytes) -> str:
    """Say so if a row's timestamp, which may differ, is written in another form."""
    if fixture.suite != "session_log" or fixture.expected is None:
        return ""
    ours = dict(members(fixture.expected)).get("timestamp", b"")
    theirs = dict(members(output)).get("timestamp", b"")
    if _DIGIT.sub(b"0", ours) == _DIGIT.sub(b"0", theirs):
        return ""
    return f"`timestamp` has another form: {theirs.decode('utf-8', 'replace')}"


def _with_known(check: FixtureCheck, reason: str | None) -> FixtureCheck:
    if reason is None:
        return check
    if check.status == "failed":
        return msgspec.structs.replace(check, status="known", reason=f"known: {reason}")
    if check.status == "passed":
        stale = f"it is listed as known to fail ({reason}), and passes"
        return msgspec.structs.replace(check, status="failed", reason=stale)
    return check


def _pairs(
    peers: Sequence[Peer], fixtures: Sequence[Fixture], outcomes: dict[tuple[str, str], PeerOutcome]
) -> list[PairCount]:
    counts: dict[tuple[str, str, Suite, Level], list[int]] = {}
    # A runtime may have a helper for each suite: pairs are of runtimes.
    for left, right in combinations(dict.fromkeys(peer.name for peer in peers), 2):
        for fixture in fixtures:
            one, other = outcomes.get((left, fixture.label)), outcomes.get((right, fixture.label))
            if one is None or other is None:
                continue
            count = counts.setdefault((left, right, fixture.suite, fixture.level), [0, 0])
            count[0] += _alike(fixture, one, other)
            count[1] += 1
    return [PairCount(*key, *count) for key, count in counts.items()]


def _alike(fixture: Fixture, one: PeerOutcome, other: PeerOutcome) -> bool:
    """Return whether two peers agree: on the same bytes, or on refusing. Nothing else is equal."""
    if (one.kind, other.kind) == ("errored", "errored"):
        return True
    if (one.kind, other.kind) != ("result", "result"):
        return False
    try:
        return normalized(fixture.suite, one.output) == normalized(fixture.suite, other.output)
    except InvalidOutput:
        return False


def _complaints(
    peers: Sequence[Peer], checks: Sequence[FixtureCheck], known: Sequence[KnownFailure]
) -> list[str]:
    compared = {(check.peer, check.fixture) for check in checks}
    names = {peer.name for peer in peers}
    complaints = [
        f"{entry.fixture} of {entry.peer} is listed as known to fail, and there is no such fixture"
        for entry in known
        if entry.peer in names and (entry.peer, entry.fixture) not in compared
    ]
    # By runtime and suite: one that only refuses, or only skips, has shown nothing of itself.
    asked = dict.fromkeys((check.peer, check.suite) for check in checks)
    answered = {(check.peer, check.suite) for check in checks if check.outcome == "result"}
    nothing = [f"{suite} of {name}" for name, suite in asked if (name, suite) not in answered]
    complaints += [f"{what}: nothing was compared" for what in nothing]
    return complaints or ([] if checks else ["nothing was compared"])
