"""A run told as one HTML page that needs nothing else: plots inside, no script, no reference.

Texts of sessions come from models and callers: every one is escaped, and a policy in the page lets
a browser load and run nothing, should an escape ever be forgotten.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import lakehouse
from lakehouse.replay.gate import Decision, Judgement, Outcome
from lakehouse.replay.markup import Detailed, Row, legend, safe, table
from lakehouse.replay.page_plots import change_plots, distribution_plots, level_plot
from lakehouse.replay.page_sessions import flipped_sessions
from lakehouse.replay.page_style import STYLE
from lakehouse.replay.pairs import Pair
from lakehouse.replay.plots import flow_plot
from lakehouse.replay.report import (
    RunInfo,
    amount,
    changed,
    decision_numbers,
    detectable_text,
    percent,
    probability,
)
from lakehouse.replay.summary import STATE_WORDS, STATES, Estimate, Metric, Summary

_VERDICTS: Final[dict[Outcome, tuple[str, str]]] = {
    "pass": ("Pass", "Nothing shows that the candidate misses a limit."),
    "regression": ("Regression", "The candidate misses a limit by more than chance explains."),
    "could_not_be_run": ("Could not be run", "The gate could not be decided."),
}
_DISTRIBUTIONS: Final = {
    "latency_ms": "Latency of a session, ms",
    "prompt_tokens": "Prompt tokens of a session",
    "completion_tokens": "Completion tokens of a session",
}


def to_html(
    info: RunInfo, summary: Summary, judgement: Judgement | None, pairs: Sequence[Pair]
) -> str:
    """Write the page. Of the flipped sessions, the first sixty are told, lost ones first."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return "".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>Replay {safe(info.run_id)}</title><style>{STYLE}</style></head><body>",
            _head(info, summary),
            *_gate(judgement),
            *_outages(summary),
            _rates(summary, judgement),
            _flow(summary),
            *_distributions(summary),
            *_fields(summary),
            *_checked(summary),
            *flipped_sessions(pairs),
            _notes(summary),
            "</body></html>\n",
        )
    )


def _head(info: RunInfo, summary: Summary) -> str:
    counts = summary.counts
    facts = {
        "run": info.run_id,
        "made at": info.made_at,
        "corpus": info.corpus,
        "compared": f"{counts.judged} of {counts.pairs} pairs, judged on both sides, "
        f"of {counts.clusters} conversations",
        "seed": f"{summary.seed}, {summary.resamples} resamples",
        "version": f"lakehouse {lakehouse.__version__}",
    }
    return "".join(
        (
            '<header><p class="over">Replay report</p><h1>',
            f'<span class="baseline name">{safe(info.baseline)}</span> ',
            '<span class="against">against</span> ',
            f'<span class="candidate name">{safe(info.candidate)}</span></h1>',
            '<dl class="facts">',
            *(f"<div><dt>{name}</dt><dd>{safe(fact)}</dd></div>" for name, fact in facts.items()),
            "</dl></header>",
            *(f'<p class="warning">{safe(warning)}</p>' for warning in info.warnings),
        )
    )


def _gate(judgement: Judgement | None) -> Iterable[str]:
    if judgement is None:
        return
    title, sentence = _VERDICTS[judgement.outcome]
    yield f'<section class="verdict {judgement.outcome}"><h2>{title}</h2><p>{sentence}</p>'
    yield from (f"<p>{safe(reason)}</p>" for reason in judgement.reasons)
    yield "</section>"
    yield '<h2>Conditions</h2><div class="conditions">'
    yield from map(_condition, judgement.decisions)
    yield "</div>"
    alarms = judgement.false_alarms
    told = (
        "A candidate exactly at its limits is stopped in about "
        f"{percent(judgement.false_alarm)} of runs at most, all conditions together."
    )
    if alarms is not None:
        told += (
            f" On these sessions, with the sides exchanged at random, it was "
            f"{alarms.alarms} of {alarms.runs} runs: {percent(alarms.rate.value)} "
            f"({percent(alarms.rate.low)} to {percent(alarms.rate.high)})."
        )
    yield f'<p class="note">{safe(told)}</p>'


def _condition(decision: Decision) -> str:
    seen = ""
    if decision.detectable is not None:
        seen = (
            f'<p class="note">A run like this catches a shortfall of '
            f"{safe(detectable_text(decision))} beyond the limit in 80 of 100 cases.</p>"
        )
    return (
        f'<article class="{decision.outcome}"><h3><code>{safe(decision.condition)}</code> '
        f'<span class="badge">{_VERDICTS[decision.outcome][0].lower()}</span></h3>'
        f"<p>{safe(decision.reason)} {safe(decision_numbers(decision))}</p>{seen}</article>"
    )


def _outages(summary: Summary) -> Iterable[str]:
    if summary.counts.infra:
        rows = [(one.code, str(one.baseline), str(one.candidate)) for one in summary.counts.infra]
        yield "<h2>Outages: counted here, left out of every comparison</h2>"
        yield table(("code", "baseline", "candidate"), rows)


def _rates(summary: Summary, judgement: Judgement | None) -> str:
    rows = [_metric_cells(metric) for metric in summary.metrics]
    columns = ("measure", "pairs", "baseline", "candidate", "change", "lost / gained", "McNemar p")
    return "".join(
        (
            "<h2>Rates</h2>",
            legend(),
            level_plot(summary),
            change_plots(summary, judgement),
            "<h2>All measures</h2>",
            table(columns, rows),
        )
    )


def _metric_cells(metric: Metric) -> Row:
    unit, mcnemar = metric.unit, metric.mcnemar
    return (
        metric.name,
        str(metric.pairs),
        "" if metric.baseline is None else _estimate(amount, unit, metric.baseline),
        _estimate(amount, unit, metric.candidate),
        "" if metric.change is None else _estimate(changed, unit, metric.change),
        "" if mcnemar is None else f"{mcnemar.lost} / {mcnemar.gained}",
        "" if mcnemar is None else probability(mcnemar.p_value),
    )


def _estimate(
    show: Callable[[str, float | None], str], unit: str, estimate: Estimate
) -> str | Detailed:
    value = show(unit, estimate.value)
    if estimate.low is None or estimate.high is None:
        return value
    return Detailed(value, f"{show(unit, estimate.low)} to {show(unit, estimate.high)}")


def _flow(summary: Summary) -> str:
    counts = {(flow.baseline, flow.candidate): flow.pairs for flow in summary.flow}
    rows: list[Row] = [
        (STATE_WORDS[ours], *(str(counts.get((ours, theirs), 0)) for theirs in STATES))
        for ours in STATES
    ]
    keys = "".join(
        f'<span class="key {name}">{name}</span> ' for name in ("same", "better", "worse", "outage")
    )
    return "".join(
        (
            "<h2>How sessions ended: baseline on the left, candidate on the right</h2>",
            f'<p class="legend">{keys}</p>',
            flow_plot("Verdicts of the baseline and of the candidate", summary.flow),
            table(("baseline \\ candidate", *(STATE_WORDS[state] for state in STATES)), rows),
        )
    )


def _distributions(summary: Summary) -> Iterable[str]:
    for column, plot in distribution_plots(summary.histograms):
        yield f"<h2>{_DISTRIBUTIONS[column]}</h2>{legend()}{plot}"


def _fields(summary: Summary) -> Iterable[str]:
    if not summary.fields:
        return
    least = sorted(summary.fields, key=lambda field: field.equal / field.pairs)
    rows = [
        (
            field.path or "(the whole)",
            str(field.pairs),
            str(field.equal),
            _estimate(amount, "rate", field.rate),
        )
        for field in least
    ]
    yield "<h2>Where the artifacts agree</h2>"
    yield '<p class="note">Of pairs accepted on both sides, the least alike first.</p>'
    yield table(("field", "pairs", "equal", "rate"), rows)
    if summary.fields_left_out:
        yield f'<p class="note">{summary.fields_left_out} rarer fields are left out.</p>'


def _checked(summary: Summary) -> Iterable[str]:
    if not summary.checked_fields:
        return
    rows = [
        (
            field.path or "(the whole)",
            str(field.pairs),
            f"{field.baseline_right} ({percent(field.baseline_right / field.pairs)})",
            f"{field.candidate_right} ({percent(field.candidate_right / field.pairs)})",
        )
        for field in summary.checked_fields
    ]
    yield "<h2>Against the answers that a person checked</h2>"
    yield (
        '<p class="note">A session that was not accepted has no field right. Where the checked '
        "answer is the baseline's own, the baseline cannot be wrong.</p>"
    )
    yield table(("field", "pairs", "baseline right", "candidate right"), rows)


def _notes(summary: Summary) -> str:
    return (
        '<h2>How to read this</h2><p class="note">A pair is one session: the logged one and its '
        "replay. Sessions that ended as infra_error on either side are no answers and are left "
        "out of every rate. Intervals are 95 %: Wilson's for rates, widened where sessions share a "
        "conversation; all others from drawing conversations anew "
        f"{summary.resamples:,} times. p is exact, two-sided, and knows of no conversations. "
        "Latencies compare only where both sides ran on the same machine under the same load.</p>"
    )
