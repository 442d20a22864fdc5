"""Cluster bootstrap: how a measure varies when whole conversations are resampled.

Each resample draws as many clusters as there are, with replacement. A cluster brings all of its
pairs, with both sides. Cost: two seconds for 10,000 pairs, 2,000 resamples and all measures.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from scipy.special import ndtr, stdtrit

from lakehouse.comparison.sample import Floats, Measure, Sample
from lakehouse.comparison.summary import Summary

RESAMPLES: Final = 2_000
_CHUNK_CELLS: Final = 2_000_000  # weights held at a time: 16 MB


class Draws(msgspec.Struct, frozen=True):
    """One measure in each resample. `change` is candidate - baseline for rates, else a quotient.

    `clusters` counts the clusters that have a pair with the measure. `baseline` and `change` are
    None for a measure of the pair.
    """

    clusters: int
    baseline: Floats | None
    candidate: Floats
    change: Floats | None

    def bounds(self, values: Floats, tail: float) -> tuple[float, float] | None:
        """Return the lower and upper confidence bound, each wrong with probability `tail`.

        The expanded percentile interval (Hesterberg 2015): with few clusters, plain percentiles
        are too narrow, because they ignore Student's t and divide by n instead of n-1. None with
        fewer than two clusters, or when a resample has no value.
        """
        if self.clusters < 2 or np.isnan(values).any():
            return None
        expanded = expanded_tail(tail, self.clusters)
        low = float(np.quantile(values, expanded, method="lower"))
        high = float(np.quantile(values, 1 - expanded, method="higher"))
        return low, high


class Resampled(Summary, frozen=True, kw_only=True):
    """The results with what the gate needs beside them; `draws` is part of no report."""

    draws: Mapping[str, Draws]


def expanded_tail(tail: float, clusters: int) -> float:
    """Return the percentile whose bound is wrong with probability `tail`, also for few clusters."""
    widened = stdtrit(clusters - 1, tail) * math.sqrt(clusters / (clusters - 1))
    return float(ndtr(widened))


def draw(
    sample: Sample, measures: Sequence[Measure], *, seed: int, resamples: int = RESAMPLES
) -> Mapping[str, Draws]:
    """Compute each measure in each resample; measures that no pair has are left out.

    The same sample, seed and number of resamples give the same draws. All measures share the same
    resamples.
    """
    measures = [measure for measure in measures if sample.known(measure.column).any()]
    if not measures:
        return {}
    sides: dict[tuple[str, str], list[Floats]] = {}
    for weights in _weights(sample.clusters, resamples, np.random.default_rng(seed)):
        for side, columns in (("baseline", sample.baseline), ("candidate", sample.candidate)):
            for measure, values in _drawn(sample, columns, measures, weights):
                sides.setdefault((side, measure.name), []).append(values)
    return {
        measure.name: _joined(
            sample,
            measure,
            np.concatenate(sides["baseline", measure.name]),
            np.concatenate(sides["candidate", measure.name]),
        )
        for measure in measures
    }


def value(sample: Sample, columns: Mapping[str, Floats], measure: Measure) -> float:
    """Compute a measure of one side over the pairs that have it on both sides."""
    values = columns[measure.column][sample.known(measure.column)]
    if measure.quantile is None:
        return float(values.mean())
    return float(np.quantile(values, measure.quantile, method="inverted_cdf"))


def change(measure: Measure, baseline: Floats, candidate: Floats) -> Floats:
    """Return the difference of rates, or the quotient of anything else (0 / 0 is 1: no change)."""
    if measure.unit == "rate":
        return candidate - baseline
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((baseline == 0) & (candidate == 0), 1.0, candidate / baseline)


def _joined(sample: Sample, measure: Measure, baseline: Floats, candidate: Floats) -> Draws:
    clusters = int(np.unique(sample.cluster[sample.known(measure.column)]).size)
    if not measure.paired:
        return Draws(clusters, None, candidate, None)
    return Draws(clusters, baseline, candidate, change(measure, baseline, candidate))


def _weights(clusters: int, resamples: int, random: np.random.Generator) -> Iterator[Floats]:
    """Yield how often each cluster was drawn: one row per resample."""
    rows = max(1, _CHUNK_CELLS // max(clusters, 1))
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = random.integers(0, clusters, size=(count, clusters))
        drawn += np.arange(count)[:, None] * clusters
        found = np.bincount(drawn.ravel(), minlength=count * clusters)
        yield found.reshape(count, clusters).astype(np.float64)


def _drawn(
    sample: Sample, columns: Mapping[str, Floats], measures: Sequence[Measure], weights: Floats
) -> Iterator[tuple[Measure, Floats]]:
    means = [measure for measure in measures if measure.quantile is None]
    if means:
        yield from zip(means, _means(sample, columns, means, weights), strict=True)
    by_column: dict[str, list[Measure]] = {}
    for measure in measures:
        if measure.quantile is not None:
            by_column.setdefault(measure.column, []).append(measure)
    for asked in by_column.values():
        yield from zip(asked, _quantiles(sample, columns, asked, weights), strict=True)


def _means(
    sample: Sample, columns: Mapping[str, Floats], measures: Sequence[Measure], weights: Floats
) -> list[Floats]:
    """Sum within clusters once; the sums of all resamples are then one matrix product."""
    sums = []
    for measure in measures:
        known = sample.known(measure.column)
        values = np.where(known, columns[measure.column], 0.0)
        sums.append(np.bincount(sample.cluster, values, minlength=sample.clusters))
        sums.append(np.bincount(sample.cluster, known, minlength=sample.clusters))
    drawn = weights @ np.stack(sums, axis=1)
    with np.errstate(invalid="ignore"):
        return [drawn[:, 2 * i] / drawn[:, 2 * i + 1] for i in range(len(measures))]


def _quantiles(
    sample: Sample, columns: Mapping[str, Floats], measures: Sequence[Measure], weights: Floats
) -> list[Floats]:
    """Sort once; a resample's quantile is where the running sum of its weights crosses it."""
    known = np.flatnonzero(sample.known(measures[0].column))
    order = known[np.argsort(columns[measures[0].column][known], kind="stable")]
    values = columns[measures[0].column][order]
    running = np.cumsum(weights[:, sample.cluster[order]], axis=1)
    total = running[:, -1:]
    found = []
    for measure in measures:
        assert measure.quantile is not None
        # As numpy's inverted_cdf: the first value with at least this share at or below it.
        crossed = running >= measure.quantile * total - 1e-9
        quantiles = values[np.argmax(crossed, axis=1)]
        found.append(np.where(total[:, 0] > 0, quantiles, np.nan))
    return found
