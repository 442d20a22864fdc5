"""What the gate says of runs whose right answer is plain."""

import msgspec
import pytest
from scipy.stats import binom

from lakehouse.comparison.conditions import parse_conditions
from lakehouse.comparison.gate import judge_run
from lakehouse.comparison.judgement import EXIT_CODES
from lakehouse.comparison.statistics import summarize
from support.pairs import Truth, exhausted, make_pair, make_side, outage

GATE = parse_conditions(["accepted >= baseline - 0.02"])


def run(pairs, *conditions, **options):
    return judge_run(summarize(pairs, 1, resamples=500), parse_conditions(conditions), **options)


def lost(count: int, of: int = 100, **changes):
    """Give pairs of which the first `count` are no longer accepted."""
    return [
        make_pair(i, candidate=exhausted() if i < count else make_side(), **changes)
        for i in range(of)
    ]


def test_two_equal_sides_pass():
    """Exit code 0, the limit reached, and what the pass is worth."""
    judgement = run(lost(0), "accepted >= baseline")
    (decision,) = judgement.decisions
    assert (judgement.outcome, judgement.exit_code, judgement.reasons) == ("pass", 0, ())
    assert decision.reason == "The candidate reaches the limit."
    assert (decision.estimate, decision.bound, decision.p_value) == (0.0, 0.0, 1.0)
    assert decision.detectable is not None
    assert 0.03 < decision.detectable < 0.12


def test_a_candidate_that_lost_many_is_a_regression():
    """Exit code 1; the numbers that decided are told."""
    judgement = run(lost(20), "accepted >= baseline - 0.02")
    (decision,) = judgement.decisions
    assert (judgement.outcome, judgement.exit_code) == ("regression", 1)
    assert decision.estimate == pytest.approx(-0.2)
    assert decision.bound is not None
    assert -0.2 < decision.bound < -0.1
    assert decision.test == "Tango score"
    assert decision.p_value is not None
    assert decision.p_value < 0.001


def test_losses_that_chance_explains_pass():
    """Four lost and none gained: one in sixteen by chance, though no resample gains anything."""
    (decision,) = run(lost(4), "accepted >= baseline").decisions
    assert decision.outcome == "pass"
    assert decision.bound is not None
    assert decision.bound < 0  # the bootstrap alone would have stopped it
    assert decision.p_value == binom.sf(3, 4, 0.5)
    assert decision.reason == "The candidate misses the limit, but by no more than chance explains."
    assert run(lost(5), "accepted >= baseline").outcome == "regression"


def test_many_conditions_share_the_chance_of_a_false_alarm():
    """Five lost are stopped by one condition, not by three together."""
    three = ["accepted >= baseline", "first_shot >= baseline", "mean_iterations <= baseline * 2"]
    judgement = run(lost(5), *three)
    assert {decision.tail for decision in judgement.decisions} == {0.05 / 3}
    assert judgement.outcome == "pass"


def test_a_run_that_is_not_whole_decides_nothing():
    """A stopped run has its quickest sessions; up to 5 % may be missing."""
    judgement = run(lost(20), "accepted >= baseline", unreplayed=6)
    assert (judgement.outcome, judgement.exit_code) == ("could_not_be_run", 3)
    assert judgement.reasons[0].startswith("6 of 106 sessions were not replayed; at most 5%")
    assert run(lost(20), "accepted >= baseline", unreplayed=5).outcome == "regression"


def test_one_regression_is_enough():
    """Also beside a condition that nothing can be said of: exit code 1."""
    judgement = run(lost(30), "accepted >= baseline", "checked_right >= 0.9")
    assert [d.outcome for d in judgement.decisions] == ["regression", "could_not_be_run"]
    assert judgement.outcome == "regression"


def test_a_condition_without_its_data_cannot_be_run():
    """Exit code 3, naming what is missing."""
    judgement = run(lost(0), "accepted >= baseline", "checked_right >= 0.9")
    assert (judgement.outcome, judgement.exit_code) == ("could_not_be_run", 3)
    assert judgement.reasons == (
        "checked_right >= 0.9: 0 pairs have checked_right on both sides; 50 are needed.",
    )


def test_too_few_pairs_cannot_be_run_however_bad_they_look():
    """The minimum is of judged pairs; outages do not fill it up."""
    judgement = run(lost(49, of=49), "accepted >= baseline")
    assert judgement.exit_code == EXIT_CODES["could_not_be_run"] == 3
    assert judgement.reasons == ("49 pairs were judged on both sides; 50 are needed.",)
    assert judgement.decisions[0].outcome == "could_not_be_run"
    assert run(lost(49, of=49), "accepted >= baseline", n_min=40).outcome == "regression"


def test_too_few_conversations_cannot_be_run():
    """A hundred sessions of one conversation are one observation."""
    judgement = run(lost(50, conversation_id="the only one"), "accepted >= baseline")
    assert judgement.outcome == "could_not_be_run"
    assert "from 1 conversations; 20 are needed" in judgement.reasons[0]


def test_too_many_outages_cannot_be_run():
    """Six of a hundred: those that were answered may be the easy ones."""
    pairs = [make_pair(i, candidate=outage() if i < 6 else make_side()) for i in range(100)]
    judgement = run(pairs, "accepted >= baseline")
    assert judgement.outcome == "could_not_be_run"
    assert judgement.reasons[0].startswith("6 of 100 replayed sessions ended as infra_error")
    assert run(pairs[1:], "accepted >= baseline").outcome == "could_not_be_run"
    assert run(pairs[2:], "accepted >= baseline").outcome == "pass"


def test_the_baselines_outages_are_not_held_against_the_candidate():
    """They were never an answer to compare with."""
    pairs = [make_pair(i, baseline=outage() if i < 40 else make_side()) for i in range(100)]
    assert run(pairs, "accepted >= baseline").outcome == "pass"


def test_a_quantile_needs_pairs_beyond_it():
    """Of fifty latencies two or three are over the 95th percentile: too few to move it."""
    pairs = [make_pair(i) for i in range(99)]
    judgement = run(pairs, "p95_latency_ms <= baseline")
    assert judgement.reasons == (
        "p95_latency_ms <= baseline: p95_latency_ms needs 100 conversations; there are 99.",
    )
    assert run([*pairs, make_pair(99)], "p95_latency_ms <= baseline").outcome == "pass"


def test_a_slower_candidate_is_a_regression_beyond_the_factor():
    """Half as slow again, of which a fifth is allowed."""
    pairs = Truth(slower=1.5).pairs_of(1)
    (decision,) = run(pairs, "p50_latency_ms <= baseline * 1.2").decisions
    assert decision.outcome == "regression"
    assert decision.estimate is not None
    assert decision.bound is not None
    assert 1.2 < decision.bound < decision.estimate < 1.8
    assert (decision.test, decision.p_value) == (None, None)
    assert run(pairs, "p50_latency_ms <= baseline * 1.8").outcome == "pass"


def test_a_faster_and_better_candidate_passes():
    """The gate is one-sided."""
    pairs = Truth(fall=-0.05, slower=0.5).pairs_of(1)
    judgement = run(pairs, "accepted >= baseline", "mean_latency_ms <= baseline")
    assert judgement.outcome == "pass"


def test_a_number_is_a_limit_too():
    """Of the candidate alone, by the exact binomial test and its bound."""
    (decision,) = run(lost(20), "accepted >= 0.95").decisions
    assert (decision.outcome, decision.estimate, decision.limit) == ("regression", 0.8, 0.95)
    assert decision.test == "exact binomial"
    assert run(lost(20), "accepted >= 0.8").outcome == "pass"
    assert run([make_pair(i) for i in range(60)], "mean_latency_ms <= 99").outcome == "regression"


def test_agreement_is_held_against_a_number():
    """The same artifacts, and others."""
    other = make_side(artifact=b"{}")
    pairs = [make_pair(i, candidate=other if i % 2 else make_side()) for i in range(100)]
    assert run(pairs, "artifact_equal >= 0.8").outcome == "regression"
    assert run(pairs, "artifact_equal >= 0.5").outcome == "pass"


def test_a_factor_of_nothing_cannot_be_run():
    """A baseline of 0 ms, as a null model has it, against 5."""
    none = make_side(duration_ms=0)
    pairs = [make_pair(i, baseline=none) for i in range(60)]
    judgement = run(pairs, "mean_latency_ms <= baseline * 1.2")
    assert judgement.outcome == "could_not_be_run"
    assert "The baseline's value is 0" in judgement.reasons[0]
    same = [make_pair(i, baseline=none, candidate=none) for i in range(60)]
    assert run(same, "mean_latency_ms <= baseline * 1.2").outcome == "pass"


def test_a_gain_can_be_demanded():
    """Twenty points more, of a candidate that gained none."""
    assert run(lost(0), "accepted >= baseline + 0.2").outcome == "regression"


@pytest.mark.parametrize("effect_min", [0.0, 0.1, 0.19])
def test_a_shortfall_over_the_minimum_effect_counts(effect_min):
    """Twenty points lost, none allowed."""
    assert run(lost(20), "accepted >= baseline", effect_min=effect_min).outcome == "regression"


def test_a_judgement_is_the_same_each_time():
    """Nothing in it depends on the clock or on chance beyond the seed."""
    pairs = Truth(of_a_conversation=3).pairs_of(2)
    first, second = (judge_run(summarize(pairs, 4, resamples=300), GATE) for _ in range(2))
    assert msgspec.json.encode(first) == msgspec.json.encode(second)
