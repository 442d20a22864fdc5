"""A gate as JUnit XML, so that CI shows it: one test case for each condition."""

from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as ET

from lakehouse.comparison.gate import ConditionDecision, GateJudgement
from lakehouse.comparison.pairs import SessionPair
from lakehouse.comparison.summary import Summary
from lakehouse.pages.printable import printable
from lakehouse.reports.report import (
    RunInfo,
    amount,
    changed,
    decision_numbers,
    flips,
)

_SUITE: Final = "lakehouse replay"
_FLIPS_SHOWN: Final = 20


def to_junit(
    info: RunInfo, summary: Summary, judgement: GateJudgement, pairs: Sequence[SessionPair]
) -> bytes:
    """Write the gate as one test suite: a regression fails, what could not be run is an error."""
    outcomes = [decision.outcome for decision in judgement.decisions]
    attributes = {
        "name": _SUITE,
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count("regression")),
        "errors": str(outcomes.count("could_not_be_run")),
        "skipped": "0",
        "time": "0",
        "timestamp": info.made_at,
    }
    root = ET.Element("testsuites", {"name": _SUITE})
    suite = ET.SubElement(root, "testsuite", attributes)
    properties = ET.SubElement(suite, "properties")
    for name, text in {
        "run_id": info.run_id,
        "baseline": info.baseline,
        "candidate": info.candidate,
        "corpus": info.corpus,
        "outcome": judgement.outcome,
        "seed": str(summary.seed),
        "judged_pairs": str(summary.counts.judged),
    }.items():
        ET.SubElement(properties, "property", {"name": name, "value": printable(text)})
    for decision in judgement.decisions:
        _case(suite, decision, judgement.reasons)
    ET.SubElement(suite, "system-out").text = printable(_lines(info, summary, pairs))
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _case(suite: ET.Element, decision: ConditionDecision, reasons: Sequence[str]) -> None:
    case = ET.SubElement(
        suite, "testcase", {"name": decision.condition, "classname": _SUITE, "time": "0"}
    )
    told = printable(f"{decision.reason} {decision_numbers(decision)}".strip())
    if decision.outcome == "regression":
        ET.SubElement(case, "failure", {"type": "regression", "message": told})
    elif decision.outcome == "could_not_be_run":
        told = printable(" ".join([told, *reasons]))
        ET.SubElement(case, "error", {"type": "could_not_be_run", "message": told})
    else:
        ET.SubElement(case, "system-out").text = told


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
