"""What was computed of a run, as it stands in the JSON report and in spec/v1."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from lakehouse.comparison.bootstrap import Draws
from lakehouse.comparison.sample import Unit
from lakehouse.core.json_text import Int64

State = Literal["first_shot", "accepted_later", "max_iter_exhausted", "infra_error"]
STATES: Final[tuple[State, ...]] = (
    "first_shot",
    "accepted_later",
    "max_iter_exhausted",
    "infra_error",
)
STATE_WORDS: Final[dict[State, str]] = {
    "first_shot": "first shot",
    "accepted_later": "accepted later",
    "max_iter_exhausted": "exhausted",
    "infra_error": "infra error",
}


class Estimate(msgspec.Struct, frozen=True):
    """A value with its two-sided 95 % interval; null where it cannot be computed."""

    value: float | None
    low: float | None
    high: float | None


class McNemar(msgspec.Struct, frozen=True):
    """Pairs that differ in a rate. `p_value` is exact, two-sided, and knows of no conversations."""

    lost: Int64
    gained: Int64
    p_value: float


class PairedMetric(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of both sides. Rates are 0 to 1, everything else is in `unit` per session.

    `pairs` counts the judged pairs that have it, `clusters` what they are independent by. `change`
    is candidate - baseline for rates, candidate / baseline for the rest. `baseline` and `change`
    are null for what has no sides. `mcnemar` is null but for rates of two sides.
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
    """How many pairs there are, and how many can be compared.

    `judged`: both sides have an answer. `clusters`: conversations among those. `answerable`: the
    baseline has one; of these, `candidate_infra` ended as `infra_error` in the replay.
    """

    pairs: Int64
    judged: Int64
    clusters: Int64
    answerable: Int64
    candidate_infra: Int64
    infra: tuple[CodeCount, ...]


class Flow(msgspec.Struct, frozen=True):
    """How many pairs went from one end of a session to another."""

    baseline: State
    candidate: State
    pairs: Int64


class FieldAgreement(msgspec.Struct, frozen=True):
    """How often a field was alike, of the pairs that were accepted on both sides and have it."""

    path: str
    pairs: Int64
    equal: Int64
    rate: Estimate


class CheckedField(msgspec.Struct, frozen=True):
    """How often a side was accepted with the checked answer's value in this field."""

    path: str
    pairs: Int64
    baseline_right: Int64
    candidate_right: Int64


class PairedHistogram(msgspec.Struct, frozen=True, kw_only=True):
    """How the values of both sides lie: bin `i` holds `edges[i] <= value < edges[i + 1]`.

    The last bin holds its upper edge too. `scale` is how the edges are spaced.
    """

    column: str
    unit: Unit
    scale: Literal["linear", "log"]
    edges: tuple[float, ...]
    baseline: tuple[Int64, ...]
    candidate: tuple[Int64, ...]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Everything computed of a run. Metrics without any pair are left out.

    `fields_left_out` counts the fields beyond those shown. `draws` is what the gate decides with;
    it is no part of any report.
    """

    seed: Int64
    resamples: Int64
    counts: PairCounts
    metrics: tuple[PairedMetric, ...]
    flow: tuple[Flow, ...]
    fields: tuple[FieldAgreement, ...]
    checked_fields: tuple[CheckedField, ...]
    fields_left_out: Int64
    histograms: tuple[PairedHistogram, ...]
    draws: Mapping[str, Draws]

    def metric(self, name: str) -> PairedMetric | None:
        """Find a metric by its name."""
        return next((metric for metric in self.metrics if metric.name == name), None)
