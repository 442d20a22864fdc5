"""Resampling and intervals, held against other people's code and against their own promise."""

import numpy as np
import pytest
from scipy.stats import binomtest

from lakehouse.comparison.bootstrap import draw, expanded_tail, value
from lakehouse.comparison.intervals import wilson
from lakehouse.comparison.sample import COLUMNS, MEASURES, Floats, Sample
from support.pairs import Truth


def sample_of_values(baseline, candidate, *, cluster=None) -> Sample:
    """Give a sample whose every column holds these values."""
    ours, theirs = np.array(baseline, float), np.array(candidate, float)
    groups = np.arange(len(ours)) if cluster is None else np.array(cluster)
    return Sample(groups, dict.fromkeys(COLUMNS, ours), dict.fromkeys(COLUMNS, theirs))


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (7, 7), (1, 2), (468, 500), (3, 90)])
def test_wilson_is_scipys(successes, trials):
    """Independent trials."""
    theirs = binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson(successes, trials) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_trials_that_succeed_together_count_as_fewer():
    """Twenty conversations of ten alike are twenty trials; mixed ones are never more than all."""
    alike = wilson([10, 0] * 10, [10] * 20)
    independent = wilson(10, 20)
    assert alike == pytest.approx(independent, abs=0.01)
    assert wilson([5] * 20, [10] * 20) == wilson(100, 200)
    assert wilson([0] * 20, [10] * 20) == wilson(0, 200)


def there(found: Floats | None) -> Floats:
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["p50_latency_ms", "p95_latency_ms"])
def test_a_weighted_quantile_is_the_quantile_of_the_drawn_pairs(name):
    """Compared with numpy, on the very resamples, spelled out pair by pair."""
    random = np.random.default_rng(5)
    values = random.integers(0, 40, 37)
    cluster = np.arange(37) // 3
    sample = sample_of_values(values, values + 1, cluster=cluster)
    measure = MEASURES[name]
    assert measure.quantile is not None

    draws = draw(sample, [measure, MEASURES["mean_latency_ms"]], seed=9, resamples=50)

    drawn = np.random.default_rng(9).integers(0, 13, size=(50, 13))
    for index, clusters in enumerate(drawn):
        pairs = np.concatenate([np.flatnonzero(cluster == one) for one in clusters])
        expected = np.quantile(values[pairs], measure.quantile, method="inverted_cdf")
        assert there(draws[name].baseline)[index] == expected
        assert there(draws["mean_latency_ms"].baseline)[index] == pytest.approx(
            values[pairs].mean()
        )


def test_the_same_seed_gives_the_same_draws_and_another_one_others():
    """Recorded, it makes a report repeatable."""
    sample = Truth().sample(1)
    measures = [MEASURES["accepted"]]
    first, again, other = (draw(sample, measures, seed=s, resamples=100) for s in (1, 1, 2))
    assert np.array_equal(there(first["accepted"].change), there(again["accepted"].change))
    assert not np.array_equal(there(first["accepted"].change), there(other["accepted"].change))


def test_a_large_sample_is_drawn_in_parts_with_the_same_right():
    """More cells than are held at a time: every resample still draws as many as there are."""
    count = 30_000
    sample = sample_of_values(np.ones(count), np.zeros(count))
    draws = draw(sample, [MEASURES["accepted"]], seed=1, resamples=150)["accepted"]
    assert draws.change is not None
    assert draws.change.shape == (150,)
    assert set(draws.change) == {-1.0}


def test_a_measure_that_no_pair_has_is_left_out():
    """And a sample of nothing has none at all."""
    sample = Truth().sample(1)
    assert set(draw(sample, list(MEASURES.values()), seed=1, resamples=10)) == {
        name for name in MEASURES if name not in {"checked_right", "artifact_equal"}
    }
    assert draw(sample_of_values([], []), list(MEASURES.values()), seed=1, resamples=10) == {}


def test_bounds_are_none_where_resamples_have_no_value():
    """One pair of a hundred has tokens: some resamples miss it."""
    tokens = np.full(100, np.nan)
    tokens[0] = 7.0
    measure = MEASURES["mean_prompt_tokens"]
    draws = draw(sample_of_values(tokens, tokens), [measure], seed=1, resamples=100)
    found = draws["mean_prompt_tokens"]
    assert found.change is not None
    assert found.clusters == 1
    assert found.bounds(found.change, 0.05) is None


def test_nothing_of_nothing_is_no_change():
    """0 ms against 0 ms is no change; there is no factor of 0."""
    measure = MEASURES["mean_latency_ms"]
    still = draw(sample_of_values([0] * 30, [0] * 30), [measure], seed=1, resamples=10)
    more = draw(sample_of_values([0] * 30, [5] * 30), [measure], seed=1, resamples=10)
    assert set(there(still["mean_latency_ms"].change)) == {1.0}
    assert set(there(more["mean_latency_ms"].change)) == {np.inf}
    assert value(sample_of_values([0], [5]), {"latency_ms": np.array([5.0])}, measure) == 5.0


@pytest.mark.parametrize("clusters", [20, 60])
def test_a_bound_misses_as_often_as_it_says(clusters):
    """The mean of few skewed values: plain percentiles would miss more often."""
    misses = plain = 0
    runs = 1_000
    for seed in range(runs):
        random = np.random.default_rng([17, seed])
        changed = random.normal(0, 1, clusters)
        sample = sample_of_values(np.zeros(clusters), changed)
        drawn = draw(sample, [MEASURES["accepted"]], seed=seed, resamples=400)["accepted"]
        assert drawn.change is not None
        bounds = drawn.bounds(drawn.change, 0.05)
        assert bounds is not None
        misses += bounds[1] < 0
        plain += int(np.quantile(drawn.change, 0.95, method="higher") < 0)
    assert binomtest(misses, runs, 0.05).pvalue > 1e-4, misses
    assert misses < plain
    assert expanded_tail(0.05, clusters) < 0.05
