"""Names of measures and outcomes, and number formats, for reports."""

from collections.abc import Mapping
from typing import Final

from lakehouse.comparison.judgement import ConditionDecision, GateJudgement, GateOutcome
from lakehouse.comparison.summary import State, Summary

MEASURE_WORDS: Final[Mapping[str, str]] = {
    "accepted": "Accepted",
    "first_shot": "Accepted at the first attempt",
    "checked_right": "Equal to the checked answer",
    "artifact_equal": "Both sides' artifacts equal",
    "mean_iterations": "Attempts, mean",
    "mean_prompt_tokens": "Prompt tokens, mean",
    "mean_completion_tokens": "Completion tokens, mean",
    "mean_latency_ms": "Latency, mean",
    "p50_latency_ms": "Latency, median",
    "p95_latency_ms": "Latency, 95th percentile",
}
STATE_WORDS: Final[Mapping[State, str]] = {
    "first_shot": "first shot",
    "accepted_later": "accepted later",
    "max_iter_exhausted": "exhausted",
    "infra_error": "infra error",
}
OUTCOME_WORDS: Final[Mapping[GateOutcome, str]] = {
    "pass": "pass",
    "regression": "regression",
    "could_not_be_run": "undecided",
}


def outcome_title(judgement: GateJudgement, summary: Summary) -> str:
    """Name the outcome of a gate; if too few pairs were judged, also say how many."""
    words = OUTCOME_WORDS[judgement.outcome]
    judged, needed = summary.counts.judged, judgement.pairs_min
    if judgement.outcome == "could_not_be_run" and judged < needed:
        return f"{words}: {judged} of {needed} pairs"
    return words


def percent(rate: float | None) -> str:
    """Format a rate; `-` for None."""
    return "-" if rate is None else f"{100 * rate:.1f} %"


def amount(unit: str, number: float | None) -> str:
    """Format a value in the unit of its measure."""
    if number is None:
        return "-"
    if unit == "rate":
        return percent(number)
    digits = 2 if unit == "attempts" else 0 if number >= 100 or number == int(number) else 1
    return f"{number:,.{digits}f}" + (f" {unit}" if unit == "ms" else "")


def changed(unit: str, number: float | None) -> str:
    """Format a change: points for a rate, a factor for any other measure."""
    if number is None:
        return "-"
    return f"{100 * number:+.1f} points" if unit == "rate" else f"× {number:.3f}"


def probability(number: float) -> str:
    """Format a p-value; a tiny one is never shown as 0."""
    return "< 0.0001" if number < 0.0001 else f"{number:.4f}"


def decision_numbers(decision: ConditionDecision) -> str:
    """List the numbers that decided a condition; empty if it was not decided."""
    if decision.estimate is None or decision.bound is None:
        return ""
    show = changed if decision.against_baseline else amount
    estimate, limit, bound = (
        show(decision.unit, number)
        for number in (decision.estimate, decision.limit, decision.bound)
    )
    told = f"Candidate {estimate}, limit {limit}, {_level(decision)} bound {bound}."
    if decision.p_value is not None:
        told += f" p: {probability(decision.p_value)} ({decision.test})."
    return told


def detectable_text(decision: ConditionDecision) -> str:
    """Format the smallest shortfall that the run would have caught."""
    if decision.detectable is None:
        return "-"
    if decision.unit == "rate":
        return f"{100 * decision.detectable:.1f} points"
    return f"× {decision.detectable:.2f}"


def _level(decision: ConditionDecision) -> str:
    return f"{100 * (1 - decision.tail):.4g} %"
