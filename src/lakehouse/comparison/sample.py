"""Pairs as columns of numbers: the measures of each side, and the cluster of each pair."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from lakehouse.comparison.agreement import equal_artifacts
from lakehouse.comparison.pairs import SessionPair, Side
from lakehouse.comparison.summary import Unit

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Measure(msgspec.Struct, frozen=True):
    """Something to compare: the `quantile` of a column, or else its mean.

    A rate is the mean of zeros and ones. `paired` measures have a value for each side; others have
    one value for the pair, stored as the candidate's.
    """

    name: str
    column: str
    unit: Unit
    quantile: float | None = None
    paired: bool = True

    @property
    def higher_is_better(self) -> bool:
        """True for rates; time, tokens and attempts are better when lower."""
        return self.unit == "rate"


MEASURES: Final[Mapping[str, Measure]] = {
    measure.name: measure
    for measure in (
        Measure("accepted", "accepted", "rate"),
        Measure("first_shot", "first_shot", "rate"),
        Measure("checked_right", "checked_right", "rate"),
        Measure("artifact_equal", "artifact_equal", "rate", paired=False),
        Measure("mean_iterations", "iterations", "attempts"),
        Measure("mean_prompt_tokens", "prompt_tokens", "tokens"),
        Measure("mean_completion_tokens", "completion_tokens", "tokens"),
        Measure("mean_latency_ms", "latency_ms", "ms"),
        Measure("p50_latency_ms", "latency_ms", "ms", quantile=0.5),
        Measure("p95_latency_ms", "latency_ms", "ms", quantile=0.95),
    )
}
COLUMNS: Final = tuple(dict.fromkeys(measure.column for measure in MEASURES.values()))


class Sample(msgspec.Struct, frozen=True):
    """Judged pairs as columns: `baseline[name][i]` and `candidate[name][i]` are of one session.

    NaN if a side has no such number; the pair is then left out of that measure. `cluster[i]` is
    numbered from 0 without gaps; pairs of one cluster are sampled together.
    """

    cluster: Integers
    baseline: Mapping[str, Floats]
    candidate: Mapping[str, Floats]

    @property
    def clusters(self) -> int:
        return int(self.cluster.max()) + 1 if self.cluster.size else 0

    def known(self, column: str) -> npt.NDArray[np.bool_]:
        """Tell for each pair whether both sides have the number."""
        return ~(np.isnan(self.baseline[column]) | np.isnan(self.candidate[column]))

    def swapped(self, random: np.random.Generator) -> "Sample":
        """Swap the sides of half the clusters at random, as if both models were equal."""
        swap = random.random(self.clusters)[self.cluster] < 0.5
        return Sample(
            self.cluster,
            {c: np.where(swap, self.candidate[c], self.baseline[c]) for c in self.baseline},
            {c: np.where(swap, self.baseline[c], self.candidate[c]) for c in self.candidate},
        )


def sample_of(pairs: Sequence[SessionPair]) -> Sample:
    """Take the judged pairs, sorted by `row_id` so that the result does not depend on timing."""
    judged = sorted((pair for pair in pairs if pair.judged), key=lambda pair: pair.row_id)
    numbers = np.array([_numbers(pair) for pair in judged], dtype=np.float64)
    table = numbers.reshape(len(judged), 2, len(COLUMNS))
    names: dict[str, int] = {}
    cluster = [names.setdefault(pair.cluster, len(names)) for pair in judged]
    return Sample(
        np.array(cluster, dtype=np.int64),
        {name: table[:, 0, index] for index, name in enumerate(COLUMNS)},
        {name: table[:, 1, index] for index, name in enumerate(COLUMNS)},
    )


def both_accepted(pair: SessionPair) -> tuple[bytes, bytes] | None:
    """Return both artifacts if both sides were accepted; only these are compared."""
    ours, theirs = pair.baseline.artifact, pair.candidate.artifact
    if pair.baseline.accepted and pair.candidate.accepted and ours is not None:
        return (ours, theirs) if theirs is not None else None
    return None


def right(side: Side, checked: bytes) -> bool:
    """Return whether a side was accepted with exactly the checked answer."""
    if not side.accepted or side.artifact is None:
        return False
    return equal_artifacts(side.artifact, checked)


def _numbers(pair: SessionPair) -> list[list[float]]:
    artifacts = both_accepted(pair)
    equal = float("nan")
    if artifacts is not None:
        equal = float(equal_artifacts(*artifacts))
    return [
        _of_side(side, pair.checked_artifact, equal) for side in (pair.baseline, pair.candidate)
    ]


def _of_side(side: Side, checked: bytes | None, equal: float) -> list[float]:
    return [
        float(side.accepted),
        float(side.first_shot),
        float("nan") if checked is None else float(right(side, checked)),
        equal,
        float(side.iterations),
        _known(side.usage.prompt_tokens),
        _known(side.usage.completion_tokens),
        float(side.duration_ms),
    ]


def _known(count: int | None) -> float:
    return float("nan") if count is None else float(count)
