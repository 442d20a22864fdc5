"""The gate: does a run show that the candidate misses a limit?

A condition is a regression when the candidate misses the limit by more than chance explains. The
conditions share a false alarm rate of 5 %: a gate with any number of conditions stops a candidate
that is exactly at its limits in at most about 5 % of runs. A pass does not prove that both sides
are equal: `detectable` says how large a shortfall this run would have caught.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
from scipy.special import bdtr, ndtr

from lakehouse.comparison.bootstrap import Resampled
from lakehouse.comparison.conditions import Condition
from lakehouse.comparison.judgement import (
    PAIRS_MIN,
    UNDECIDED,
    ConditionDecision,
    GateJudgement,
    GateOutcome,
    GateTest,
)
from lakehouse.comparison.power import detectable
from lakehouse.comparison.sample import Measure
from lakehouse.comparison.summary import PairCounts, PairedMetric

FALSE_ALARM: Final = 0.05
"""How often, at most, a gate stops a candidate that is exactly at its limits."""
CLUSTERS_MIN: Final = 20
"""Conversations that a gate needs: with fewer, resampling is not reliable."""
MISSING_SHARE_MAX: Final = 0.05
"""The share of outages, or of sessions not replayed, above which a run is not representative."""
_BEYOND_QUANTILE_MIN: Final = 5  # pairs beyond a quantile, so that it can move in both directions
_NOISE: Final = 1e-9  # floating point noise: a bound that equals the limit does not miss it


def judge_run(
    summary: Resampled,
    conditions: Sequence[Condition],
    n_min: int = PAIRS_MIN,
    effect_min: float = 0.0,
    *,
    unreplayed: int = 0,
) -> GateJudgement:
    """Decide every condition, and compute the shortfall that the run would have caught.

    Args:
        summary: Of the run.
        conditions: At least one.
        n_min: Judged pairs that a condition needs.
        effect_min: Shortfalls beyond a limit that do not matter: points for rates (0.01 is one
            point), a share of the limit for other measures (0.01 is one percent).
        unreplayed: Chosen sessions without a pair, for example because the run was stopped.

    One regression makes the whole a regression, even when other conditions could not be decided.
    """
    judgement = decide(
        summary, conditions, n_min=n_min, effect_min=effect_min, unreplayed=unreplayed
    )
    decisions = tuple(
        msgspec.structs.replace(decision, detectable=_detectable(summary, condition, decision))
        for condition, decision in zip(conditions, judgement.decisions, strict=True)
    )
    return msgspec.structs.replace(judgement, decisions=decisions)


def decide(
    summary: Resampled,
    conditions: Sequence[Condition],
    *,
    n_min: int,
    effect_min: float,
    unreplayed: int = 0,
) -> GateJudgement:
    """Decide as `judge_run` does, but leave `detectable` None: it costs time."""
    assert conditions
    reasons = _reasons(summary.counts, n_min, unreplayed)
    tail = FALSE_ALARM / len(conditions)
    decisions = tuple(
        _decide(summary, condition, tail=tail, n_min=n_min, effect_min=effect_min)
        for condition in conditions
    )
    outcomes = {decision.outcome for decision in decisions}
    outcome: GateOutcome = "pass"
    if reasons:
        outcome = "could_not_be_run"
        decisions = tuple(_undecided(decision) for decision in decisions)
    elif "regression" in outcomes:
        outcome = "regression"
    elif "could_not_be_run" in outcomes:
        outcome = "could_not_be_run"
        reasons = [f"{d.condition}: {d.reason}" for d in decisions if d.outcome == outcome]
    return GateJudgement(
        outcome=outcome,
        reasons=tuple(reasons),
        false_alarm=FALSE_ALARM,
        pairs_min=n_min,
        effect_min=effect_min,
        decisions=decisions,
    )


def _reasons(counts: PairCounts, n_min: int, unreplayed: int) -> list[str]:
    reasons = []
    if counts.judged < n_min:
        reasons.append(f"{counts.judged} pairs were judged on both sides; {n_min} are needed.")
    if counts.clusters < CLUSTERS_MIN:
        reasons.append(
            f"Judged pairs come from {counts.clusters} conversations; {CLUSTERS_MIN} are needed."
        )
    if counts.candidate_infra > MISSING_SHARE_MAX * counts.answerable:
        reasons.append(
            f"{counts.candidate_infra} of {counts.answerable} replayed sessions ended as "
            f"infra_error; at most {MISSING_SHARE_MAX:.0%} may, or the rest is not representative."
        )
    chosen = counts.pairs + unreplayed
    if unreplayed > MISSING_SHARE_MAX * chosen:
        reasons.append(
            f"{unreplayed} of {chosen} sessions were not replayed; at most {MISSING_SHARE_MAX:.0%} "
            "may be missing, or the rest is not representative."
        )
    return reasons


def _undecided(decision: ConditionDecision) -> ConditionDecision:
    return msgspec.structs.replace(decision, outcome="could_not_be_run", reason=UNDECIDED)


def _decide(
    summary: Resampled, condition: Condition, *, tail: float, n_min: int, effect_min: float
) -> ConditionDecision:
    metric = summary.metric(condition.measure)
    decision = ConditionDecision(
        condition=condition.text,
        measure=condition.measure,
        unit=condition.measured.unit,
        against_baseline=condition.against_baseline,
        outcome="could_not_be_run",
        reason=_missing(metric, condition.measured, n_min),
        limit=condition.amount,
        tail=tail,
    )
    if metric is None or decision.reason:
        return decision
    draws = summary.draws[condition.measure]
    estimate = metric.change if condition.against_baseline else metric.candidate
    values = draws.change if condition.against_baseline else draws.candidate
    assert estimate is not None
    assert values is not None
    bounds = draws.bounds(values, tail)
    if estimate.value is None:
        reason = "The baseline's value is 0, so there is no factor to compare."
        return msgspec.structs.replace(decision, reason=reason)
    if bounds is None:
        reason = "Too few pairs have a value: some resamples have none."
        return msgspec.structs.replace(decision, reason=reason)
    bound = bounds[1] if condition.measured.higher_is_better else bounds[0]
    decision = msgspec.structs.replace(decision, estimate=estimate.value, bound=bound)
    return _decided(condition, metric, decision, effect_min)


def _missing(metric: PairedMetric | None, measure: Measure, n_min: int) -> str:
    """Return why a measure cannot be decided; empty if it can."""
    pairs, clusters = (0, 0) if metric is None else (metric.pairs, metric.clusters)
    if pairs < n_min:
        return f"{pairs} pairs have {measure.name} on both sides; {n_min} are needed."
    if clusters < CLUSTERS_MIN:
        return f"The pairs come from {clusters} conversations; {CLUSTERS_MIN} are needed."
    if measure.quantile is not None:
        beyond = min(measure.quantile, 1 - measure.quantile)
        needed = math.ceil(_BEYOND_QUANTILE_MIN / beyond - _NOISE)
        if clusters < needed:
            return f"{measure.name} needs {needed} conversations; there are {clusters}."
    return ""


def _decided(
    condition: Condition, metric: PairedMetric, decision: ConditionDecision, effect_min: float
) -> ConditionDecision:
    estimate, bound, limit = decision.estimate, decision.bound, decision.limit
    assert estimate is not None
    assert bound is not None
    higher = condition.measured.higher_is_better
    shortfall = limit - estimate if higher else estimate - limit
    mattering = effect_min if metric.unit == "rate" else effect_min * limit
    beyond = bound < limit - _NOISE if higher else bound > limit + _NOISE
    test, p_value = _exact(condition, metric) if higher else (None, None)
    by_chance = not beyond or (p_value is not None and p_value > decision.tail)
    outcome: GateOutcome = "pass"
    if shortfall <= _NOISE:
        reason = "The candidate reaches the limit."
    elif by_chance:
        reason = "The candidate misses the limit, but by no more than chance explains."
    elif shortfall < mattering - _NOISE:
        reason = "The candidate misses the limit, but by too little to matter."
    else:
        outcome = "regression"
        reason = "The candidate misses the limit by more than chance explains."
    return msgspec.structs.replace(
        decision, outcome=outcome, reason=reason, test=test, p_value=p_value
    )


def _detectable(
    summary: Resampled, condition: Condition, decision: ConditionDecision
) -> float | None:
    metric = summary.metric(condition.measure)
    if metric is None or decision.bound is None:
        return None
    return detectable(condition, metric, summary.draws[condition.measure], decision.tail)


def _exact(condition: Condition, metric: PairedMetric) -> tuple[GateTest, float]:
    """Test a rate against its limit exactly: resampling is too optimistic when few pairs differ."""
    n = metric.pairs
    if not condition.against_baseline:
        accepted = round((metric.candidate.value or 0.0) * n)
        return "exact binomial", float(bdtr(accepted, n, condition.amount))
    assert metric.mcnemar is not None
    lost, gained = metric.mcnemar.lost, metric.mcnemar.gained
    if condition.amount == 0:
        # How likely so few gains are if a differing pair is as likely a loss as a gain.
        return "exact McNemar", float(bdtr(gained, lost + gained, 0.5))
    return "Tango score", _tango(lost, gained, n, condition.amount)


def _tango(lost: int, gained: int, n: int, difference: float) -> float:
    """Return the one-sided p-value that the true difference of paired rates is below `difference`.

    Tango 1998, Statistics in Medicine 17: 891-908. A score test, so it is valid even when few or
    no pairs differ.
    """
    a = 2 * n
    b = -gained - lost + (2 * n - gained + lost) * difference
    c = -lost * difference * (1 - difference)
    share_lost = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = n * (2 * share_lost + difference * (1 - difference))
    distance = gained - lost - n * difference
    if variance <= 0:
        return 1.0 if distance >= 0 else 0.0
    return float(ndtr(distance / math.sqrt(variance)))
