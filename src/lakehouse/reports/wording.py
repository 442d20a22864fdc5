"""What measures and outcomes are called where a person reads them."""

from collections.abc import Mapping
from typing import Final

from lakehouse.comparison.gate import GateJudgement, GateOutcome
from lakehouse.comparison.summary import Summary

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
OUTCOME_WORDS: Final[Mapping[GateOutcome, str]] = {
    "pass": "pass",
    "regression": "regression",
    "could_not_be_run": "undecided",
}


def outcome_title(judgement: GateJudgement, summary: Summary) -> str:
    """Name the outcome of a gate: of an undecided one also how much of it was there."""
    words = OUTCOME_WORDS[judgement.outcome]
    judged, needed = summary.counts.judged, judgement.pairs_min
    if judgement.outcome == "could_not_be_run" and judged < needed:
        return f"{words}: {judged} of {needed} pairs"
    return words
