"""How large a shortfall a run would have detected: what a pass is worth."""

import math
from typing import Final

import numpy as np
from scipy.special import ndtri
from scipy.stats import binom

from lakehouse.comparison.bootstrap import Draws, expanded_tail
from lakehouse.comparison.conditions import Condition
from lakehouse.comparison.summary import PairedMetric

POWER: Final = 0.8
"""How often a shortfall of the size given by `detectable` is caught."""
_ROUNDS: Final = 14  # halvings: a hundredth of a point


def detectable(
    condition: Condition, metric: PairedMetric, draws: Draws, tail: float
) -> float | None:
    """Estimate the smallest shortfall beyond the limit that `POWER` of runs catch.

    Points for a rate, a factor over 1 for any other measure; None if the resamples vary without
    bound.
    """
    values = draws.change if condition.against_baseline else draws.candidate
    assert values is not None
    if metric.unit != "rate":
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = float(np.std(np.log(values)))
        z = float(ndtri(POWER) - ndtri(expanded_tail(tail, draws.clusters)))
        return math.exp(z * spread) if math.isfinite(spread) else None
    independent = _variance(condition, metric)
    effect = max(1.0, float(np.var(values)) * metric.pairs / independent)
    pairs = max(1, round(metric.pairs / effect))
    if condition.against_baseline and condition.amount == 0:
        return _points_of_exact_test(independent, pairs, tail)
    return _points_of_score_test(independent, pairs, tail)


def _variance(condition: Condition, metric: PairedMetric) -> float:
    """Return the variance of one pair at the limit, as if all pairs were independent.

    For a difference, that is the share of pairs that differ. One pair is added, half a loss and
    half a gain (Agresti, Min 2005): if none differs in this run, some may in another.
    """
    if not condition.against_baseline:
        return max(condition.amount * (1 - condition.amount), 1 / (metric.pairs + 2))
    assert metric.mcnemar is not None
    return (metric.mcnemar.lost + metric.mcnemar.gained + 1) / (metric.pairs + 2)


def _points_of_score_test(variance: float, pairs: int, tail: float) -> float:
    """Iterate for the shortfall (Connor 1987): a larger one makes more pairs differ.

    One pair is added, because the number of pairs is whole.
    """
    z_alarm, z_power = -float(ndtri(tail)), float(ndtri(POWER))
    points = 0.0
    for _ in range(_ROUNDS):
        spread = z_alarm * math.sqrt(variance) + z_power * math.sqrt(variance + points)
        points = spread / math.sqrt(pairs) + 1 / pairs
    return min(points, 1.0)


def _points_of_exact_test(differing: float, pairs: int, tail: float) -> float:
    """Bisect for the shortfall at which McNemar's exact test has the power `POWER`.

    Gains stay as they are and losses are added. The number of differing pairs is binomial, and so
    is the number of losses among them.
    """
    totals = np.arange(pairs + 1)
    losses_needed = binom.isf(tail, totals, 0.5) + 1
    low, high = 0.0, 1.0 - differing
    for _ in range(_ROUNDS):
        points = (low + high) / 2
        share_lost = (differing / 2 + points) / (differing + points)
        happens = binom.pmf(totals, pairs, differing + points)
        caught = binom.sf(losses_needed - 1, totals, share_lost)
        if float(happens @ caught) < POWER:
            low = points
        else:
            high = points
    return high
