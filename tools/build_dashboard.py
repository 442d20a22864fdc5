"""Write examples/grafana/lakehouse.json, the dashboard of the daemons' metrics.

python tools/build_dashboard.py
"""

import json
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "examples" / "grafana" / "lakehouse.json"
WINDOW = "[$__rate_interval]"
SOURCE = {"type": "prometheus", "uid": "${source}"}
WIDTH, HEIGHT = 8, 8


Lines = list[tuple[str, str]]


def rate(metric: str, by: str, where: str = "") -> str:
    """Ask for a rate per second, summed by labels."""
    return f"sum by ({by}) (rate({metric}{{{where}}}{WINDOW}))"


def quantiles(metric: str, *percents: int, by: str = "") -> Lines:
    """Ask for quantiles of a histogram, by a label or over all."""
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return [
        (
            f"p{percent}{legend}",
            f"histogram_quantile(0.{percent}, {rate(f'{metric}_bucket', labels)})",
        )
        for percent in percents
    ]


SESSIONS = "lakehouse_sessions_total"
FIRST_SHOTS = rate("lakehouse_first_shot_sessions_total", "kind, model")
JUDGED = rate(SESSIONS, "kind, model", 'verdict!="infra_error"')
TRACING = "lakehouse_tracing_items_total"
MODEL_CALLS = "lakehouse_model_call_seconds"
REQUESTS = rate("lakehouse_requests_total", "route, status")
UNLOGGED = rate("lakehouse_sessions_unlogged_total", "instance")
OFFERED = rate("lakehouse_offered_attempts_total", "kind, mode")
UNANSWERED = rate(f"{MODEL_CALLS}_count", "model, code", 'code!=""')

# Title, unit, and each line's legend and expression.
PANELS: list[tuple[str, str, Lines]] = [
    ("First-shot rate", "percentunit", [("{{kind}} {{model}}", f"{FIRST_SHOTS} / {JUDGED}")]),
    ("Sessions by verdict", "ops", [("{{verdict}}", rate(SESSIONS, "verdict"))]),
    (
        "Sessions that failed, by code",
        "ops",
        [("{{verdict}} {{code}}", rate(SESSIONS, "verdict, code", 'code!=""'))],
    ),
    ("Attempts", "ops", [("{{outcome}}", rate("lakehouse_attempts_total", "outcome"))]),
    ("Attempts with candidates", "ops", [("{{kind}} {{mode}}", OFFERED)]),
    ("Findings", "ops", [("{{code}}", rate("lakehouse_findings_total", "code"))]),
    (
        "First-shot ratio since start",
        "percentunit",
        [("{{instance}}", "lakehouse_first_shot_ratio")],
    ),
    ("Model latency", "s", quantiles(MODEL_CALLS, 50, 95, by="model")),
    ("Model calls without an answer", "ops", [("{{model}} {{code}}", UNANSWERED)]),
    ("Own overhead", "s", quantiles("lakehouse_overhead_seconds", 50, 99)),
    ("Log commit", "s", quantiles("lakehouse_log_commit_seconds", 50, 99)),
    ("Sessions without a row", "ops", [("{{instance}}", UNLOGGED)]),
    ("Queues", "short", [("{{instance}} {{queue}}", "lakehouse_queue_depth")]),
    ("Requests by status", "ops", [("{{route}} {{status}}", REQUESTS)]),
    ("Tracing: sent", "ops", [("{{what}}", rate(TRACING, "what", 'reason=""'))]),
    (
        "Tracing: dropped",
        "ops",
        [("{{what}} {{reason}}", rate(TRACING, "what, reason", 'reason!=""'))],
    ),
    ("Versions", "short", [("{{daemon}} {{version}}", "lakehouse_build_info")]),
]


def dashboard() -> dict[str, Any]:
    """Lay the panels out three in a row."""
    return {
        "title": "Lakehouse",
        "uid": "lakehouse",
        "schemaVersion": 39,
        "timezone": "utc",
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus"}]},
        "panels": [
            {
                "id": number + 1,
                "type": "timeseries",
                "title": title,
                "datasource": SOURCE,
                "gridPos": {
                    "x": number % 3 * WIDTH,
                    "y": number // 3 * HEIGHT,
                    "w": WIDTH,
                    "h": HEIGHT,
                },
                "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                "targets": [
                    {
                        "refId": chr(ord("A") + index),
                        "datasource": SOURCE,
                        "expr": expression,
                        "legendFormat": legend,
                    }
                    for index, (legend, expression) in enumerate(lines)
                ],
            }
            for number, (title, unit, lines) in enumerate(PANELS)
        ],
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(dashboard(), indent=2) + "\n")
