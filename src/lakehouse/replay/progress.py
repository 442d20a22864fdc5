"""Counts of a run in progress: the rates of both sides, and what was left out and why."""

import msgspec

from lakehouse.core.replay_row import ReplaySide


class SideTally(msgspec.Struct):
    """Counts of one side, over sessions that both sides answered."""

    first_shot: int = 0
    accepted: int = 0

    def count(self, side: ReplaySide) -> None:
        self.accepted += side.verdict == "accepted"
        self.first_shot += side.verdict == "accepted" and side.accepted_iteration == 0


class RunTally(msgspec.Struct):
    """Counts of a run. `total` sessions are in the corpus; `before` were done by an earlier start.

    `recovered` sessions had their row but not yet their line. `gone` ones have changed in the log
    or left it. `refused` ones cannot be repeated as configured; `refusal` is the first reason.
    `outages` counts replays that ended in `infra_error`, including retries.
    """

    total: int
    before: int = 0
    done: int = 0
    recovered: int = 0
    gone: int = 0
    refused: int = 0
    refusal: str = ""
    outages: int = 0
    outages_in_a_row: int = 0
    verdicts_equal: int = 0
    stopped: str = ""
    baseline: SideTally = msgspec.field(default_factory=SideTally)
    candidate: SideTally = msgspec.field(default_factory=SideTally)

    @property
    def unanswered(self) -> int:
        """Sessions without an answer because of an outage or the end of the run."""
        return self.total - self.before - self.done - self.gone - self.refused

    def count(self, baseline: ReplaySide, candidate: ReplaySide) -> None:
        self.done += 1
        self.outages_in_a_row = 0
        self.baseline.count(baseline)
        self.candidate.count(candidate)
        self.verdicts_equal += baseline.verdict == candidate.verdict
