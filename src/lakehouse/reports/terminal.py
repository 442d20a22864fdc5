"""A run on a terminal: the numbers of the page, without the texts of sessions."""

from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lakehouse.comparison.judgement import ConditionDecision, GateJudgement, GateOutcome
from lakehouse.comparison.pairs import SessionPair
from lakehouse.comparison.summary import Estimate, PairedMetric, Summary
from lakehouse.core.wording import counted
from lakehouse.pages.printable import printable
from lakehouse.reports.flips import flips
from lakehouse.reports.report import RunInfo
from lakehouse.reports.tables import FLOW_COLUMNS, fields_by_agreement, flow_rows
from lakehouse.reports.wording import (
    OUTCOME_WORDS,
    amount,
    changed,
    decision_numbers,
    detectable_text,
    outcome_title,
    percent,
    probability,
)

_FLIPS_SHOWN: Final = 10
_FIELDS_SHOWN: Final = 12
STYLES: Final[dict[GateOutcome, str]] = {
    "pass": "green",
    "regression": "red",
    "could_not_be_run": "yellow",
}


def to_terminal(
    info: RunInfo, summary: Summary, judgement: GateJudgement | None, pairs: Sequence[SessionPair]
) -> RenderableType:
    """Lay the report out for a Rich console. No text in it is parsed as markup."""
    counts = summary.counts
    parts: list[RenderableType] = [
        _text(f"run {info.run_id}: {info.baseline} (baseline) against {info.candidate}", "bold"),
        _text(
            f"{counts.judged} of {counts.pairs} pairs judged on both sides, "
            f"{counts.clusters} conversations, seed {summary.seed}"
        ),
        *(_text(f"warning: {warning}", "yellow") for warning in info.warnings),
        *(
            _text(f"infra_error {one.code}: {one.baseline} baseline, {one.candidate} candidate")
            for one in counts.infra
        ),
        Text(""),
        _metrics(summary.metrics),
        Text(""),
        _flow(summary),
    ]
    if summary.fields:
        parts += [Text(""), _fields(summary)]
    found = flips(pairs)
    if found:
        parts.append(_text(f"\n{counted(len(found), 'session')} flipped:"))
        parts += [
            _text(f"  {flip.change:<17} {flip.session_id}") for flip, _ in found[:_FLIPS_SHOWN]
        ]
        if len(found) > _FLIPS_SHOWN:
            parts.append(_text(f"  and {len(found) - _FLIPS_SHOWN} more"))
    if judgement is not None:
        parts += [Text(""), *_gate(judgement, summary)]
    return Group(*parts)


def _metrics(metrics: Sequence[PairedMetric]) -> Table:
    table = _table("measure", "pairs", "baseline", "candidate", "change", "95 % interval", "p")
    for metric in metrics:
        table.add_row(
            metric.name,
            str(metric.pairs),
            "" if metric.baseline is None else amount(metric.unit, metric.baseline.value),
            amount(metric.unit, metric.candidate.value),
            "" if metric.change is None else changed(metric.unit, metric.change.value),
            _interval(metric),
            "" if metric.mcnemar is None else probability(metric.mcnemar.p_value),
        )
    return table


def _interval(metric: PairedMetric) -> str:
    """Format the interval of the change, or of the value if there is no change."""
    estimate: Estimate = metric.candidate if metric.change is None else metric.change
    if estimate.low is None or estimate.high is None:
        return "-"
    if metric.unit != "rate":
        return f"{estimate.low:.3f} to {estimate.high:.3f}"
    sign = "" if metric.change is None else "+"
    return f"{100 * estimate.low:{sign}.1f} to {100 * estimate.high:{sign}.1f}"


def _flow(summary: Summary) -> Table:
    table = _table(*FLOW_COLUMNS)
    for row in flow_rows(summary):
        table.add_row(*row)
    return table


def _fields(summary: Summary) -> Table:
    table = _table("field", "pairs", "equal", "95 % interval")
    for field in fields_by_agreement(summary)[:_FIELDS_SHOWN]:
        table.add_row(
            Text(printable(field.path) or "(the whole)"),
            str(field.pairs),
            percent(field.rate.value),
            f"{percent(field.rate.low)} to {percent(field.rate.high)}",
        )
    hidden = len(summary.fields) - _FIELDS_SHOWN + summary.fields_left_out
    if hidden > 0:
        table.caption = f"{hidden} more fields"
    return table


def _gate(judgement: GateJudgement, summary: Summary) -> list[RenderableType]:
    parts: list[RenderableType] = [_decision(decision) for decision in judgement.decisions]
    alarms = judgement.false_alarms
    if alarms is not None:
        parts.append(
            _text(
                f"A/A: with the sides swapped at random, {alarms.alarms} of {alarms.runs} runs "
                f"were a regression ({percent(alarms.rate.low)} to {percent(alarms.rate.high)}); "
                f"at most about {percent(judgement.false_alarm)} should be."
            )
        )
    parts += [_text(reason, "yellow") for reason in judgement.reasons]
    title = outcome_title(judgement, summary)
    parts.append(_text(f"gate: {title}", f"bold {STYLES[judgement.outcome]}"))
    return parts


def _decision(decision: ConditionDecision) -> Text:
    told = _text(f"{OUTCOME_WORDS[decision.outcome]}: ", STYLES[decision.outcome])
    told.append(f"{decision.condition}\n", "bold")
    told.append(f"  {decision.reason} {decision_numbers(decision)}".rstrip())
    if decision.detectable is not None:
        told.append(
            f"\n  A shortfall of {detectable_text(decision)} beyond the limit would be caught in "
            "80 of 100 runs like this.",
            "dim",
        )
    return told


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", caption_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=index == 0)
    return table


def _text(text: str, style: str = "") -> Text:
    return Text(printable(text), style=style)
