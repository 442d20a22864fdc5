"""Reports a parity run as a table, as JSON, and as one HTML file without references.

Output of helper programs is shown as text: the template escapes it, and the page has no script.
"""

from collections import Counter

import msgspec

import lakehouse
from lakehouse.pages.environment import render
from lakehouse.parity.gate import FixtureCheck, Report


def summary(report: Report) -> list[tuple[str, str, str, str]]:
    """Count per peer and suite: (peer, suite/level, passed of asked, what else)."""
    groups: dict[tuple[str, str, str], Counter[str]] = {}
    for check in report.checks:
        group = groups.setdefault((check.peer, check.suite, check.level), Counter())
        group[check.status] += 1
    return [
        (
            peer,
            f"{suite} {level}",
            f"{counts['passed']}/{counts.total()}",
            ", ".join(
                f"{counts[status]} {status}"
                for status in ("failed", "known", "skipped")
                if counts[status]
            ),
        )
        for (peer, suite, level), counts in groups.items()
    ]


def pair_lines(report: Report) -> list[tuple[str, str, str]]:
    """Summarize each pair of runtimes: (pair, suite/level, equal of asked)."""
    return [
        (f"{pair.left} = {pair.right}", f"{pair.suite} {pair.level}", f"{pair.equal}/{pair.asked}")
        for pair in report.pairs
    ]


def failures(report: Report) -> list[FixtureCheck]:
    """Return the failed checks."""
    return [check for check in report.checks if check.status == "failed"]


def to_json(report: Report, *, made_at: str) -> bytes:
    """Write the whole run as one JSON object."""
    return msgspec.json.encode(
        {
            "schema": "parity.report.v1",
            "made_at": made_at,
            "version": lakehouse.__version__,
            "passed": report.passed,
            "complaints": report.complaints,
            "pairs": report.pairs,
            "checks": report.checks,
        }
    )


def to_html(report: Report, *, made_at: str) -> str:
    """Write the run as one self-contained HTML page."""
    return render(
        "parity_report.html",
        verdict="passed" if report.passed else "failed",
        made_at=made_at,
        version=lakehouse.__version__,
        complaints=report.complaints,
        runtimes=summary(report),
        pairs=pair_lines(report),
        checks=[check for check in report.checks if check.status != "passed"],
    )
