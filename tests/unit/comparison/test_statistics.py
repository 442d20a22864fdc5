"""What a summary says of a handful of pairs that can be counted by hand."""

import random

import msgspec
import pytest
from scipy.stats import binomtest

from lakehouse.comparison.pairs import compare_runs
from lakehouse.comparison.statistics import summarize
from lakehouse.comparison.summary import Estimate, McNemar
from lakehouse.core.chat import Usage
from support.pairs import Truth, exhausted, later, make_pair, make_side, outage


def rates(summary, name):
    metric = summary.metric(name)
    return metric.pairs, metric.baseline.value, metric.candidate.value, metric.change.value


def test_rates_are_of_pairs_judged_on_both_sides():
    """An outage is no answer on either side: counted, shown by its code, never divided by."""
    pairs = [
        make_pair(0),
        make_pair(1, candidate=later()),
        make_pair(2, candidate=exhausted()),
        make_pair(3, baseline=exhausted()),
        make_pair(4, candidate=outage("timeout")),
        make_pair(5, baseline=outage("connect")),
        make_pair(6, baseline=outage("connect"), candidate=outage("timeout")),
    ]

    summary = summarize(pairs, 1)

    assert rates(summary, "accepted") == (4, 0.75, 0.75, 0.0)
    assert rates(summary, "first_shot") == (4, 0.75, 0.5, -0.25)
    assert rates(summary, "mean_iterations") == (4, 1.25, 1.5, 1.2)
    counts = summary.counts
    assert (counts.pairs, counts.judged, counts.answerable, counts.candidate_infra) == (7, 4, 5, 1)
    assert [(one.code, one.baseline, one.candidate) for one in counts.infra] == [
        ("connect", 2, 0),
        ("timeout", 0, 2),
    ]


def test_mcnemar_counts_the_pairs_that_differ():
    """Five lost and none gained: two-sided, exact, 2 of 32; and as SciPy has it with gains too."""
    pairs = [make_pair(i, candidate=exhausted() if i < 5 else make_side()) for i in range(20)]
    metric = summarize(pairs, 1).metric("accepted")
    assert metric is not None
    assert metric.mcnemar == McNemar(5, 0, 0.0625)
    pairs += [make_pair(i, baseline=exhausted()) for i in range(20, 32)]
    metric = summarize(pairs, 1).metric("accepted")
    assert metric is not None
    assert metric.mcnemar is not None
    assert metric.mcnemar == McNemar(5, 12, metric.mcnemar.p_value)
    assert metric.mcnemar.p_value == pytest.approx(binomtest(5, 17).pvalue)


def test_nothing_that_differs_is_no_evidence():
    """Two equal sides: no change, and p is 1."""
    metric = summarize([make_pair(i) for i in range(20)], 1).metric("accepted")
    assert metric is not None
    assert metric.mcnemar == McNemar(0, 0, 1.0)
    assert metric.change is not None
    assert (metric.change.low, metric.change.value, metric.change.high) == (0.0, 0.0, 0.0)


def test_tokens_are_compared_where_both_sides_tell_them():
    """A provider that does not say is not one that used none."""
    silent = make_side(usage=Usage(None, 8))
    pairs = [make_pair(0), make_pair(1, candidate=silent), make_pair(2, baseline=silent)]
    summary = summarize(pairs, 1)
    assert rates(summary, "mean_prompt_tokens")[0] == 1
    assert rates(summary, "mean_completion_tokens") == (3, 16.0, 16.0, 1.0)


def test_a_checked_answer_decides_what_is_right():
    """Right is accepted with that very value, member order aside."""
    checked = b'{"delay":1.1,"airport":"OSL"}'
    wrong = make_side(artifact=b'{"airport":"OSL","delay":2}')
    pairs = [
        make_pair(0, checked_artifact=checked),
        make_pair(1, checked_artifact=checked, candidate=wrong),
        make_pair(2, checked_artifact=checked, candidate=exhausted()),
        make_pair(3, candidate=wrong),
    ]
    assert rates(summarize(pairs, 1), "checked_right") == (3, 1.0, 1 / 3, 1 / 3 - 1)


def test_agreement_has_no_sides():
    """Of pairs accepted on both."""
    other = make_side(artifact=b'{"airport":"OSL"}')
    pairs = [make_pair(0), make_pair(1, candidate=other), make_pair(2, candidate=exhausted())]
    metric = summarize(pairs, 1).metric("artifact_equal")
    assert metric is not None
    assert (metric.pairs, metric.candidate.value) == (2, 0.5)
    assert (metric.baseline, metric.change, metric.mcnemar) == (None, None, None)


def test_the_flow_counts_every_pair_once():
    """Outages too."""
    pairs = [
        make_pair(0),
        make_pair(1),
        make_pair(2, candidate=later()),
        make_pair(3, baseline=later(), candidate=exhausted()),
        make_pair(4, candidate=outage()),
    ]
    flow = [(f.baseline, f.candidate, f.pairs) for f in summarize(pairs, 1).flow]
    assert flow == [
        ("first_shot", "first_shot", 2),
        ("first_shot", "accepted_later", 1),
        ("first_shot", "infra_error", 1),
        ("accepted_later", "max_iter_exhausted", 1),
    ]


def test_the_order_in_which_pairs_ended_changes_nothing():
    """Replays end in any order; the summary of the same pairs is the same, draws included."""
    pairs = Truth(of_a_conversation=4).pairs_of(3)
    shuffled = random.Random(1).sample(pairs, len(pairs))
    assert [
        msgspec.structs.replace(summarize(some, 7, resamples=100), draws={})
        for some in (pairs, shuffled)
    ] == [msgspec.structs.replace(summarize(pairs, 7, resamples=100), draws={})] * 2


def wide(estimate: Estimate | None) -> float:
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


def test_sessions_of_one_conversation_widen_every_interval():
    """The same numbers, once as twenty conversations of ten and once alone."""
    together = Truth(of_a_conversation=10).pairs_of(1)
    alone = [msgspec.structs.replace(pair, conversation_id=None) for pair in together]

    def width(pairs):
        metric = summarize(pairs, 1, resamples=500).metric("accepted")
        assert metric is not None
        return (
            metric.clusters,
            wide(metric.baseline),
            wide(metric.change),
        )

    clusters, level, change = width(together)
    assert clusters == 20
    assert width(alone)[0] == 200
    assert level > 2 * width(alone)[1]
    assert change > 2 * width(alone)[2]


def test_two_rows_of_one_session_belong_together():
    """A client that sends a session id twice has not asked twice independently."""
    pairs = [make_pair(i, session_id=f"session-{i // 2}") for i in range(10)]
    assert summarize(pairs, 1).counts.clusters == 5


@pytest.mark.parametrize("pairs", [[], [make_pair(0, candidate=outage())]], ids=["none", "outage"])
def test_nothing_to_compare_is_an_empty_summary(pairs):
    """Not an error: the gate says that it could not be run."""
    summary = summarize(pairs, 1)
    assert (summary.counts.judged, summary.metrics, summary.histograms) == (0, (), ())


def test_histograms_hold_every_value():
    """From 0 ms on, on a logarithmic axis too; the same bins for both sides."""
    slow = [make_side(duration_ms=ms) for ms in (0, 1, 10, 5_000)]
    pairs = [make_pair(i, candidate=side) for i, side in enumerate(slow)]
    latency, *tokens = summarize(pairs, 1).histograms
    assert (latency.column, latency.scale, sum(latency.candidate)) == ("latency_ms", "log", 4)
    assert sum(latency.baseline) == 4
    assert [(one.column, one.scale, sum(one.baseline)) for one in tokens] == [
        ("prompt_tokens", "linear", 4),
        ("completion_tokens", "linear", 4),
    ]


def test_two_runs_are_compared_by_the_rows_that_both_replayed():
    """The first run's candidate is the baseline; what only one of them has is left out."""
    first = [make_pair(i, candidate=later()) for i in range(3)]
    second = [make_pair(i, candidate=exhausted()) for i in (2, 1, 9)]

    pairs = compare_runs(first, second)

    assert [pair.row_id for pair in pairs] == ["row-000001", "row-000002"]
    assert {(p.baseline.verdict, p.candidate.verdict) for p in pairs} == {
        ("accepted", "max_iter_exhausted")
    }
