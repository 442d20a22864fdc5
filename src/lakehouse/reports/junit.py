"""A gate as JUnit XML for CI: one test case per condition."""

from collections.abc import Sequence
from io import BytesIO
from typing import Final

from junitparser import Error, Failure, JUnitXml, SystemOut, TestCase, TestSuite

from lakehouse.comparison.judgement import ConditionDecision, GateJudgement
from lakehouse.comparison.pairs import SessionPair
from lakehouse.comparison.summary import Summary
from lakehouse.pages.printable import printable
from lakehouse.reports.flips import flips
from lakehouse.reports.report import RunInfo
from lakehouse.reports.wording import amount, changed, decision_numbers

_SUITE: Final = "lakehouse replay"
_FLIPS_SHOWN: Final = 20


def to_junit(
    info: RunInfo, summary: Summary, judgement: GateJudgement, pairs: Sequence[SessionPair]
) -> bytes:
    """Write one test suite: a regression is a failure, an undecided condition is an error."""
    suite = TestSuite(_SUITE)
    suite.timestamp = info.made_at
    for name, text in {
        "run_id": info.run_id,
        "baseline": info.baseline,
        "candidate": info.candidate,
        "corpus": info.corpus,
        "outcome": judgement.outcome,
        "seed": str(summary.seed),
        "judged_pairs": str(summary.counts.judged),
    }.items():
        suite.add_property(name, printable(text))
    suite.add_testcases([_case(one, judgement.reasons) for one in judgement.decisions])
    suite.append(SystemOut(printable(_lines(info, summary, pairs))))  # type: ignore[no-untyped-call]  # not annotated
    document = JUnitXml(_SUITE)
    document.add_testsuite(suite)
    written = BytesIO()
    document.write(written)
    return written.getvalue()


def _case(decision: ConditionDecision, reasons: Sequence[str]) -> TestCase:
    case = TestCase(decision.condition, _SUITE, 0.0)
    told = printable(f"{decision.reason} {decision_numbers(decision)}".strip())
    if decision.outcome == "regression":
        case.result = Failure(told, "regression")
    elif decision.outcome == "could_not_be_run":
        case.result = Error(printable(" ".join([told, *reasons])), "could_not_be_run")
    else:
        case.system_out = told
    return case


def _lines(info: RunInfo, summary: Summary, pairs: Sequence[SessionPair]) -> str:
    lines = [f"warning: {warning}" for warning in info.warnings]
    lines += [
        f"{metric.name}: {amount(metric.unit, metric.baseline.value)} -> "
        f"{amount(metric.unit, metric.candidate.value)} "
        f"({changed(metric.unit, metric.change.value)}), {metric.pairs} pairs"
        for metric in summary.metrics
        if metric.baseline is not None and metric.change is not None
    ]
    found = flips(pairs)
    lines += [
        f"{flip.change}: session {flip.session_id}, row {flip.row_id}"
        for flip, _ in found[:_FLIPS_SHOWN]
    ]
    if len(found) > _FLIPS_SHOWN:
        lines.append(f"and {len(found) - _FLIPS_SHOWN} more flipped sessions")
    return "\n".join(lines)
