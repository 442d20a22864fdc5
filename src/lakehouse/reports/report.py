"""A run as one JSON object."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

import lakehouse
from lakehouse.comparison.judgement import GateJudgement
from lakehouse.comparison.pairs import SessionPair
from lakehouse.comparison.summary import (
    CheckedField,
    FieldAgreement,
    Flow,
    PairCounts,
    PairedHistogram,
    PairedMetric,
    Summary,
)
from lakehouse.core.json_text import Int64
from lakehouse.reports.flips import Flip, flips


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The run that a report is about. `baseline` and `candidate` name the sides for people.

    `made_at` is RFC 3339. `corpus` is the digest of the replayed sessions, or a description of
    them. `warnings`, such as changed tables and skipped sessions, come first in every report.
    """

    run_id: str
    made_at: str
    baseline: str
    candidate: str
    corpus: str
    warnings: tuple[str, ...] = ()


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


_OF_SUMMARY: Final = set(ReplayReport.__struct_fields__) & set(Summary.__struct_fields__)


def report_of(
    info: RunInfo, summary: Summary, judgement: GateJudgement | None, pairs: Sequence[SessionPair]
) -> ReplayReport:
    """Put a report together, with the flips among `pairs`."""
    return ReplayReport(
        version=lakehouse.__version__,
        run=info,
        judgement=judgement,
        flipped=tuple(flip for flip, _ in flips(pairs)),
        **{name: getattr(summary, name) for name in _OF_SUMMARY},
    )


def summary_of(report: ReplayReport) -> Summary:
    """Take the results out of a report again."""
    return Summary(**{name: getattr(report, name) for name in _OF_SUMMARY})


def to_json(
    info: RunInfo, summary: Summary, judgement: GateJudgement | None, pairs: Sequence[SessionPair]
) -> bytes:
    """Encode the report. It holds no text of a session, except the names of artifact fields."""
    return msgspec.json.encode(report_of(info, summary, judgement, pairs))
