"""A run told: as a table of pairs and failures, as JSON, and as one HTML file without references.

Refuses to run anything that a helper wrote: every text is escaped, and the page has no script.
"""

from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import Final

import msgspec

import lakehouse
from lakehouse.parity.gate import Check, Report

_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
body{color:#1b1f24}
table{border-collapse:collapse;width:100%;margin:1rem 0}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d8dee4;vertical-align:top}
code{font:13px ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
.passed{color:#1a7f37}.failed{color:#cf222e;font-weight:600}.known,.skipped{color:#9a6700}
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}th,td{border-color:#30363d}}
"""


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
    """Tell of each pair of runtimes: (pair, suite/level, equal of asked)."""
    return [
        (f"{pair.left} = {pair.right}", f"{pair.suite} {pair.level}", f"{pair.equal}/{pair.asked}")
        for pair in report.pairs
    ]


def failures(report: Report) -> list[Check]:
    """Give the checks that close the gate."""
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
    """Write the run as one HTML page that needs nothing else."""
    verdict = "passed" if report.passed else "failed"
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width'>",
        f"<title>Parity: {verdict}</title><style>{_STYLE}</style>",
        f"<h1>Parity: <span class={verdict}>{verdict}</span></h1>",
        f"<p>{escape(made_at)}, lakehouse {escape(lakehouse.__version__)}</p>",
        *(f"<p class=failed>{escape(complaint)}</p>" for complaint in report.complaints),
        "<h2>Runtimes</h2>",
        _table(("runtime", "suite", "passed", "else"), summary(report)),
        "<h2>Pairs</h2>",
        _table(("pair", "suite", "equal"), pair_lines(report)),
    ]
    shown = [check for check in report.checks if check.status != "passed"]
    if shown:
        parts += ["<h2>Not passed</h2>", *map(_details, shown)]
    return "".join(parts)


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _details(check: Check) -> str:
    lines = [
        f"<h3 class={check.status}>{escape(check.peer)}: {escape(check.fixture)}</h3>",
        f"<p>{escape(check.reason)}</p>",
    ]
    if check.difference is not None:
        lines.append(
            f"<p>expected <code>{escape(check.difference.expected)}</code><br>"
            f"got <code>{escape(check.difference.got)}</code></p>"
        )
    return "".join(lines)
