"""Confidence intervals in closed form."""

from typing import Final

import numpy as np
import numpy.typing as npt

from lakehouse.core.rates import wilson_interval

SHOWN_TAIL: Final = 0.025
"""The probability beyond each bound of a reported interval, which covers 95 %."""


def wilson(successes: npt.ArrayLike, trials: npt.ArrayLike) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a rate.

    Both arguments hold one sum per cluster, or are single numbers if all trials are independent.
    Trials of a cluster that succeed together count as fewer trials (Kish's design effect), never
    as more than there are.
    """
    gained, asked = (np.atleast_1d(np.asarray(a, dtype=np.float64)) for a in (successes, trials))
    total = float(asked.sum())
    rate = float(gained.sum()) / total
    return wilson_interval(rate, total / _design_effect(gained, asked, rate))


def _design_effect(
    gained: npt.NDArray[np.float64], asked: npt.NDArray[np.float64], rate: float
) -> float:
    """Divide the rate's variance with clusters by its variance without; at least 1."""
    clusters = int(np.count_nonzero(asked))
    independent = rate * (1 - rate) * float(asked.sum())
    if clusters < 2 or independent <= 0:
        return 1.0
    clustered = clusters / (clusters - 1) * float(((gained - rate * asked) ** 2).sum())
    return max(1.0, clustered / independent)
