"""A run told as one JSON object, and what all its reports have in common."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

import lakehouse
from lakehouse.comparison.gate import ConditionDecision, GateJudgement
from lakehouse.comparison.pairs import SessionPair
from lakehouse.comparison.statistics import state_of
from lakehouse.comparison.summary import (
    CheckedField,
    FieldAgreement,
    Flow,
    PairCounts,
    PairedHistogram,
    PairedMetric,
    State,
    Summary,
)
from lakehouse.core.json_text import Int64

Change = Literal["lost", "gained", "first_shot_lost", "first_shot_gained"]
CHANGES: Final[tuple[Change, ...]] = ("lost", "gained", "first_shot_lost", "first_shot_gained")


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Which run is told. `baseline` and `candidate` name the sides for people.

    `made_at` is RFC 3339. `corpus` is the digest of the replayed sessions, or what was asked for.
    `warnings` are told first in every report: changed tables, skipped sessions.
    """

    run_id: str
    made_at: str
    baseline: str
    candidate: str
    corpus: str
    warnings: tuple[str, ...] = ()


class Flip(msgspec.Struct, frozen=True):
    """A judged pair whose sides ended differently.

    `lost` and `gained` are about acceptance, the others about the first attempt only.
    """

    row_id: str
    session_id: str
    kind: str | None
    change: Change
    baseline: State
    candidate: State


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """`replay.report.v1`: see spec/v1. `judgement` is null without a gate."""

    schema: Literal["replay.report.v1"] = "replay.report.v1"
    version: str
    run: RunInfo
    judgement: GateJudgement | None
    seed: Int64
    resamples: Int64
    counts: PairCounts
    metrics: tuple[PairedMetric, ...]
    flow: tuple[Flow, ...]
    fields: tuple[FieldAgreement, ...]
    checked_fields: tuple[CheckedField, ...]
    fields_left_out: Int64
    histograms: tuple[PairedHistogram, ...]
    flipped: tuple[Flip, ...]


def to_json(
    info: RunInfo, summary: Summary, judgement: GateJudgement | None, pairs: Sequence[SessionPair]
) -> bytes:
    """Write the whole report as one JSON object; of the texts of sessions only names of fields."""
    return msgspec.json.encode(
        ReplayReport(
            version=lakehouse.__version__,
            run=info,
            judgement=judgement,
            seed=summary.seed,
            resamples=summary.resamples,
            counts=summary.counts,
            metrics=summary.metrics,
            flow=summary.flow,
            fields=summary.fields,
            checked_fields=summary.checked_fields,
            fields_left_out=summary.fields_left_out,
            histograms=summary.histograms,
            flipped=tuple(flip for flip, _ in flips(pairs)),
        )
    )


def flips(pairs: Sequence[SessionPair]) -> list[tuple[Flip, SessionPair]]:
    """Find the flipped pairs: lost ones first, then by `row_id`."""
    found = []
    for pair in pairs:
        change = _change(pair)
        if change is not None:
            flip = Flip(
                pair.row_id,
                pair.session_id,
                pair.kind,
                change,
                state_of(pair.baseline),
                state_of(pair.candidate),
            )
            found.append((flip, pair))
    return sorted(found, key=lambda one: (CHANGES.index(one[0].change), one[0].row_id))


def percent(rate: float | None) -> str:
    """Show a rate; `-` where there is none."""
    return "-" if rate is None else f"{100 * rate:.1f} %"


def amount(unit: str, number: float | None) -> str:
    """Show a value of a measure in its unit."""
    if number is None:
        return "-"
    if unit == "rate":
        return percent(number)
    digits = 2 if unit == "attempts" else 0 if number >= 100 or number == int(number) else 1
    return f"{number:,.{digits}f}" + (f" {unit}" if unit == "ms" else "")


def changed(unit: str, number: float | None) -> str:
    """Show a change: points of a rate, a factor of anything else."""
    if number is None:
        return "-"
    return f"{100 * number:+.1f} points" if unit == "rate" else f"× {number:.3f}"


def probability(number: float) -> str:
    """Show a p-value; never as nothing."""
    return "< 0.0001" if number < 0.0001 else f"{number:.4f}"


def decision_numbers(decision: ConditionDecision) -> str:
    """Say by which numbers a condition was decided; empty where it was not."""
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
    """Show the smallest shortfall that the run would have caught."""
    if decision.detectable is None:
        return "-"
    if decision.unit == "rate":
        return f"{100 * decision.detectable:.1f} points"
    return f"× {decision.detectable:.2f}"


def _level(decision: ConditionDecision) -> str:
    return f"{100 * (1 - decision.tail):.4g} %"


def _change(pair: SessionPair) -> Change | None:
    if not pair.judged:
        return None
    ours, theirs = pair.baseline, pair.candidate
    if ours.accepted != theirs.accepted:
        return "lost" if ours.accepted else "gained"
    if ours.first_shot != theirs.first_shot:
        return "first_shot_lost" if ours.first_shot else "first_shot_gained"
    return None
