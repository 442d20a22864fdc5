"""What a gate decided, in the form of the JSON report and of spec/v1. Needs no numpy."""

from typing import Final, Literal

import msgspec

from lakehouse.comparison.summary import Estimate, Unit
from lakehouse.core.json_text import Int64

GateOutcome = Literal["pass", "regression", "could_not_be_run"]
GateTest = Literal["exact McNemar", "Tango score", "exact binomial"]

EXIT_CODES: Final[dict[GateOutcome, int]] = {"pass": 0, "regression": 1, "could_not_be_run": 3}
PAIRS_MIN: Final = 50
"""Default for the judged pairs that a gate needs."""
UNDECIDED: Final = "The run as a whole is undecided."
"""The reason given for every condition of an undecided run; see `GateJudgement.reasons`."""


class ConditionDecision(msgspec.Struct, frozen=True, kw_only=True):
    """How one condition was decided.

    `estimate`, `limit` and `bound` have one unit: against the baseline, points for a rate and a
    factor for any other measure; against a number, the unit of the measure. `estimate` is the
    candidate's, and `bound` is its one-sided confidence bound, wrong with probability `tail`.
    `test` and `p_value` describe the exact test that must agree, if there is one. `detectable` is
    roughly the smallest shortfall beyond the limit that a run like this catches in 80 of 100 cases:
    points for a rate, a factor for any other measure.
    """

    condition: str
    measure: str
    unit: Unit
    against_baseline: bool
    outcome: GateOutcome
    reason: str
    limit: float
    estimate: float | None = None
    bound: float | None = None
    tail: float
    test: GateTest | None = None
    p_value: float | None = None
    detectable: float | None = None


class FalseAlarms(msgspec.Struct, frozen=True):
    """`alarms` of `runs` runs with swapped sides were regressions; `rate` has a 95 % interval."""

    runs: Int64
    alarms: Int64
    rate: Estimate


class GateJudgement(msgspec.Struct, frozen=True, kw_only=True):
    """The gate's result. `reasons` say why it could not be run, and are empty otherwise.

    `false_alarm` is how often the gate may stop a candidate that is at its limits. `false_alarms`
    is how often it did so in an A/A run on the same sessions, null without such a run.
    """

    outcome: GateOutcome
    reasons: tuple[str, ...]
    false_alarm: float
    pairs_min: Int64
    effect_min: float
    decisions: tuple[ConditionDecision, ...]
    false_alarms: FalseAlarms | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of a command: 0 pass, 1 regression, 3 could not be run."""
        return EXIT_CODES[self.outcome]
