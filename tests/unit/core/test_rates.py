"""Wilson's interval, against published values."""

import pytest

from lakehouse.core.rates import wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 1 - 0.1170, 1.0),
    ],
)
def test_published_intervals(successes: int, trials: int, low: float, high: float):
    """Four digits of each bound."""
    found = wilson_interval(successes / trials, trials)
    assert found == pytest.approx((low, high), abs=5e-5)
