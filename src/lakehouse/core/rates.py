"""Confidence intervals of a rate, and of the difference of two."""

import math
from typing import Final

_Z: Final = 1.959963984540054  # the normal distribution's 97.5 % point: 95 % lie between


def wilson_interval(rate: float, trials: float) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a rate, 0 to 1 like the rate.

    Valid for few trials and for rates near 0 and 1, where the usual rate ± 1.96 errors does not
    (Wilson 1927; Brown, Cai and DasGupta 2001). `trials` are independent, more than none, and may
    be a fraction where dependent ones count as fewer.
    """
    middle = rate + _Z * _Z / (2 * trials)
    half = _Z * math.sqrt(rate * (1 - rate) / trials + _Z * _Z / (4 * trials * trials))
    scale = 1 + _Z * _Z / trials
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def newcombe_interval(before: tuple[int, int], after: tuple[int, int]) -> tuple[float, float]:
    """Return Newcombe's 95 % interval of `after`'s rate less `before`'s, -1 to 1.

    Each is successes and trials, all of them independent, and more than none. It is made of both
    Wilson intervals (Newcombe 1998, method 10), and valid where those are.
    """
    rates = [successes / trials for successes, trials in (before, after)]
    (low_before, high_before), (low_after, high_after) = (
        wilson_interval(rate, trials)
        for rate, (_, trials) in zip(rates, (before, after), strict=True)
    )
    change = rates[1] - rates[0]
    return (
        change - math.hypot(rates[1] - low_after, high_before - rates[0]),
        change + math.hypot(high_after - rates[1], rates[0] - low_before),
    )
