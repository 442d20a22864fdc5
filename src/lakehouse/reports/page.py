"""A run as one HTML page: the verdict, then the reasons, then the flipped sessions.

Texts of sessions come from models and callers, so the template escapes all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final

import lakehouse
from lakehouse.comparison.judgement import UNDECIDED, ConditionDecision, GateJudgement, GateOutcome
from lakehouse.comparison.pairs import SessionPair, Side
from lakehouse.comparison.summary import Estimate, PairedMetric, Summary, state_of
from lakehouse.pages.environment import render
from lakehouse.reports.flips import CHANGE_WORDS, Flip, flips
from lakehouse.reports.page_plots import (
    distribution_plots,
    factor_plot,
    level_plot,
    limits_of,
    point_plot,
)
from lakehouse.reports.plots import flow_plot
from lakehouse.reports.report import RunInfo
from lakehouse.reports.tables import FLOW_COLUMNS, fields_by_agreement, flow_rows
from lakehouse.reports.wording import (
    MEASURE_WORDS,
    OUTCOME_WORDS,
    STATE_WORDS,
    amount,
    changed,
    decision_numbers,
    detectable_text,
    outcome_title,
    percent,
    probability,
)

_SENTENCES: Final[Mapping[GateOutcome, str]] = {
    "pass": "Nothing shows that the candidate misses a limit.",
    "regression": "The candidate misses a limit by more than chance explains.",
    "could_not_be_run": "This run cannot tell whether the candidate is good enough.",
}
_DISTRIBUTIONS: Final = {
    "latency_ms": "Latency of a session, ms",
    "prompt_tokens": "Prompt tokens of a session",
    "completion_tokens": "Completion tokens of a session",
}
_SESSIONS_SHOWN: Final = 60

Cell = str | tuple[str, str]


def to_html(
    info: RunInfo, summary: Summary, judgement: GateJudgement | None, pairs: Sequence[SessionPair]
) -> str:
    """Write the page. It shows the first sixty flipped sessions, lost ones first."""
    found = flips(pairs)
    return render(
        "replay_report.html",
        info=info,
        flips=[_flip(flip, pair) for flip, pair in found[:_SESSIONS_SHOWN]],
        flips_total=len(found),
        facts=_facts(info, summary),
        **figures(summary, judgement),
    )


def figures(summary: Summary, judgement: GateJudgement | None) -> dict[str, Any]:
    """Put a run's numbers into words, tables and plots, by the names that templates use."""
    limits = limits_of(judgement)
    return {
        "judgement": None if judgement is None else _judgement(judgement, summary),
        "headline": _headline(summary),
        "limits": limits,
        "level_plot": level_plot(summary),
        "point_plot": point_plot(summary, limits),
        "factor_plot": factor_plot(summary, limits),
        "measures": [_metric_cells(metric) for metric in summary.metrics],
        "flow_plot": flow_plot("Verdicts of the baseline and of the candidate", summary.flow),
        "flow_columns": FLOW_COLUMNS,
        "flow_rows": flow_rows(summary),
        "outages": [(c.code, str(c.baseline), str(c.candidate)) for c in summary.counts.infra],
        "distributions": [
            (_DISTRIBUTIONS[column], plot)
            for column, plot in distribution_plots(summary.histograms)
        ],
        "fields": _fields(summary),
        "fields_left_out": summary.fields_left_out,
        "checked": _checked(summary),
        "resamples": f"{summary.resamples:,}",
    }


def _headline(summary: Summary) -> str:
    """Say in one sentence how acceptance changed; empty if nothing can be compared."""
    accepted = summary.metric("accepted")
    if accepted is None or accepted.baseline is None or accepted.change is None:
        return ""
    ours, theirs = accepted.baseline, accepted.candidate
    return (
        f"Accepted: {amount('rate', ours.value)} of {accepted.pairs} sessions before, "
        f"{amount('rate', theirs.value)} now ({changed('rate', accepted.change.value)}, "
        f"95 % interval {changed('rate', accepted.change.low)} to "
        f"{changed('rate', accepted.change.high)})."
    )


def _judgement(judgement: GateJudgement, summary: Summary) -> dict[str, Any]:
    chance = (
        "A candidate exactly at its limits is stopped in about "
        f"{percent(judgement.false_alarm)} of runs at most, all conditions together."
    )
    alarms = judgement.false_alarms
    if alarms is not None:
        chance += (
            f" On these sessions, with the sides swapped at random, it was "
            f"{alarms.alarms} of {alarms.runs} runs: {percent(alarms.rate.value)} "
            f"({percent(alarms.rate.low)} to {percent(alarms.rate.high)})."
        )
    return {
        "outcome": judgement.outcome,
        "title": outcome_title(judgement, summary).capitalize(),
        "sentence": _SENTENCES[judgement.outcome],
        "reasons": judgement.reasons,
        "conditions": [_condition(decision) for decision in judgement.decisions],
        "chance": chance,
    }


def _condition(decision: ConditionDecision) -> dict[str, str]:
    told = f"{decision.reason} {decision_numbers(decision)}".strip()
    detectable = ""
    if decision.detectable is not None:
        detectable = (
            f"A run like this catches a shortfall of {detectable_text(decision)} beyond the limit "
            "in 80 of 100 cases."
        )
    return {
        "condition": decision.condition,
        "outcome": decision.outcome,
        "badge": OUTCOME_WORDS[decision.outcome],
        # The reason for an undecided run appears once, under the verdict.
        "told": "" if decision.reason == UNDECIDED else told,
        "detectable": detectable,
    }


def _flip(flip: Flip, pair: SessionPair) -> dict[str, Any]:
    return {
        "change": flip.change,
        "words": CHANGE_WORDS[flip.change],
        "session_id": flip.session_id,
        "row_id": flip.row_id,
        "kind": flip.kind,
        "prompt": pair.prompt,
        "baseline": _side(pair.baseline),
        "candidate": _side(pair.candidate),
        "attempts": list(zip_longest(pair.baseline.attempts, pair.candidate.attempts)),
    }


def _side(side: Side) -> dict[str, Any]:
    artifact = side.artifact
    return {
        "model": side.model,
        "ended": f"{STATE_WORDS[state_of(side)]} after {side.iterations}, {side.duration_ms:,} ms",
        "accepted": side.accepted,
        "artifact": None if artifact is None else artifact.decode("utf-8", "replace"),
    }


def _metric_cells(metric: PairedMetric) -> tuple[Cell, ...]:
    unit, mcnemar = metric.unit, metric.mcnemar
    return (
        MEASURE_WORDS[metric.name],
        str(metric.pairs),
        "" if metric.baseline is None else _estimate(amount, unit, metric.baseline),
        _estimate(amount, unit, metric.candidate),
        "" if metric.change is None else _estimate(changed, unit, metric.change),
        "" if mcnemar is None else f"{mcnemar.lost} / {mcnemar.gained}",
        "" if mcnemar is None else probability(mcnemar.p_value),
    )


def _estimate(show: Callable[[str, float | None], str], unit: str, estimate: Estimate) -> Cell:
    value = show(unit, estimate.value)
    if estimate.low is None or estimate.high is None:
        return value
    return value, f"{show(unit, estimate.low)} to {show(unit, estimate.high)}"


def _fields(summary: Summary) -> list[tuple[Cell, ...]]:
    return [
        (
            field.path or "(the whole)",
            str(field.pairs),
            str(field.equal),
            _estimate(amount, "rate", field.rate),
        )
        for field in fields_by_agreement(summary)
    ]


def _checked(summary: Summary) -> list[tuple[str, ...]]:
    return [
        (
            field.path or "(the whole)",
            str(field.pairs),
            f"{field.baseline_right} ({percent(field.baseline_right / field.pairs)})",
            f"{field.candidate_right} ({percent(field.candidate_right / field.pairs)})",
        )
        for field in summary.checked_fields
    ]


def _facts(info: RunInfo, summary: Summary) -> list[tuple[str, str]]:
    counts = summary.counts
    return [
        ("run", info.run_id),
        ("made at", info.made_at),
        ("corpus", info.corpus),
        ("compared", f"{counts.judged} of {counts.pairs} pairs, judged on both sides"),
        ("conversations", f"{counts.clusters} among those"),
        ("seed", f"{summary.seed}, {summary.resamples} resamples"),
        ("version", f"lakehouse {lakehouse.__version__}"),
    ]
