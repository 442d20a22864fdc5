"""The results of a run, in the form of the JSON report and of spec/v1. Needs no numpy."""

from typing import Final, Literal

import msgspec

from lakehouse.comparison.pairs import Side
from lakehouse.core.json_text import Int64

Unit = Literal["rate", "attempts", "tokens", "ms"]
State = Literal["first_shot", "accepted_later", "max_iter_exhausted", "infra_error"]
STATES: Final[tuple[State, ...]] = (
    "first_shot",
    "accepted_later",
    "max_iter_exhausted",
    "infra_error",
)


class Estimate(msgspec.Struct, frozen=True):
    """A value with its two-sided 95 % interval; null if it cannot be computed."""

    value: float | None
    low: float | None
    high: float | None


class McNemar(msgspec.Struct, frozen=True):
    """Pairs that differ in a rate. `p_value` is exact, two-sided, and ignores conversations."""

    lost: Int64
    gained: Int64
    p_value: float


class PairedMetric(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of both sides. Rates are 0 to 1; other values are in `unit` per session.

    `pairs` counts the judged pairs that have the measure, `clusters` their conversations. `change`
    is candidate - baseline for rates, and candidate / baseline otherwise. `baseline` and `change`
    are null for a measure of the pair. `mcnemar` is set only for rates that both sides have.
    """

    name: str
    unit: Unit
    pairs: Int64
    clusters: Int64
    baseline: Estimate | None
    candidate: Estimate
    change: Estimate | None
    mcnemar: McNemar | None


class CodeCount(msgspec.Struct, frozen=True):
    """How many sessions of each side ended as `infra_error` with this code."""

    code: str
    baseline: Int64
    candidate: Int64


class PairCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The number of pairs, and how many of them can be compared.

    `judged`: both sides have an answer. `clusters`: conversations of the judged pairs.
    `answerable`: the baseline has an answer; `candidate_infra` of these ended as `infra_error` in
    the replay.
    """

    pairs: Int64
    judged: Int64
    clusters: Int64
    answerable: Int64
    candidate_infra: Int64
    infra: tuple[CodeCount, ...]


class Flow(msgspec.Struct, frozen=True):
    """How many pairs ended as `baseline` in the log and as `candidate` in the replay."""

    baseline: State
    candidate: State
    pairs: Int64


class FieldAgreement(msgspec.Struct, frozen=True):
    """How often a field was equal, among pairs that were accepted on both sides and have it."""

    path: str
    pairs: Int64
    equal: Int64
    rate: Estimate


class CheckedField(msgspec.Struct, frozen=True):
    """How often a side was accepted with the checked value in this field."""

    path: str
    pairs: Int64
    baseline_right: Int64
    candidate_right: Int64


class PairedHistogram(msgspec.Struct, frozen=True, kw_only=True):
    """The values of both sides: bin `i` counts `edges[i] <= value < edges[i + 1]`.

    The last bin includes its upper edge. `scale` is the spacing of the edges.
    """

    column: str
    unit: Unit
    scale: Literal["linear", "log"]
    edges: tuple[float, ...]
    baseline: tuple[Int64, ...]
    candidate: tuple[Int64, ...]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All results of a run. Metrics that no pair has are left out.

    `fields_left_out` counts the fields beyond those listed.
    """

    seed: Int64
    resamples: Int64
    counts: PairCounts
    metrics: tuple[PairedMetric, ...]
    flow: tuple[Flow, ...] = ()
    fields: tuple[FieldAgreement, ...] = ()
    checked_fields: tuple[CheckedField, ...] = ()
    fields_left_out: Int64 = 0
    histograms: tuple[PairedHistogram, ...] = ()

    def metric(self, name: str) -> PairedMetric | None:
        """Find a metric by its name; None if no pair has it."""
        return next((metric for metric in self.metrics if metric.name == name), None)


def state_of(side: Side) -> State:
    """Classify how a side ended."""
    if side.verdict == "accepted":
        return "first_shot" if side.first_shot else "accepted_later"
    return side.verdict
