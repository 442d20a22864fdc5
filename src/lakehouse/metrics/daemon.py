"""The metrics of one daemon: an observer that counts.

Rates over time are Prometheus' to make of the counters; the first-shot ratio stands here as well,
over the life of the process, for a look without Prometheus.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final

from lakehouse import __version__
from lakehouse.core.observation import ModelCallEnded, RequestEnded, SessionEnded
from lakehouse.core.row import Row
from lakehouse.metrics.exposition import (
    Counter,
    Histogram,
    Labels,
    Metric,
    Reading,
)

# Seconds. Ours is a fraction of a millisecond, a commit one sync, a model anything up to minutes.
_OVERHEAD_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)
_COMMIT_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)
_MODEL_S: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

_METHODS: Final = frozenset({"GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"})

Depths = Callable[[], Mapping[Labels, float]]


class DaemonMetrics:
    """Counts what has ended in this process. Cost: about 5 µs a session.

    Args:
        daemon: The role of this process.
        depths: Tells the queues by name, when somebody asks.
        traced: Tells items sent and dropped by tracing, as (what, reason); reason empty: sent.
    """

    def __init__(self, daemon: str, *, depths: Depths, traced: Depths) -> None:
        self.requests = Counter(
            "lakehouse_requests_total", "Answered requests.", ("method", "route", "status")
        )
        self.sessions = Counter(
            "lakehouse_sessions_total",
            "Sessions; code is the infra code, or the first finding's of the last attempt.",
            ("kind", "model", "verdict", "code"),
        )
        self.first_shots = Counter(
            "lakehouse_first_shot_sessions_total",
            "Sessions accepted at iteration 0.",
            ("kind", "model"),
        )
        self.attempts = Counter("lakehouse_attempts_total", "Answers judged.", ("model", "outcome"))
        self.findings = Counter(
            "lakehouse_findings_total", "Reasons to reject an answer.", ("code",)
        )
        self.unlogged = Counter(
            "lakehouse_sessions_unlogged_total", "Sessions whose row could not be made durable."
        )
        self.overhead = Histogram(
            "lakehouse_overhead_seconds",
            "A session's time that no model took, row and sync included.",
            _OVERHEAD_S,
        )
        self.commits = Histogram(
            "lakehouse_log_commit_seconds", "From a row to its being durable.", _COMMIT_S
        )
        self.model_calls = Histogram(
            "lakehouse_model_call_seconds",
            "A model call with its retries and waits; code is empty where it was answered.",
            _MODEL_S,
            ("model", "code"),
        )
        self._daemon = daemon
        self._depths = depths
        self._traced = traced
        self._judged = 0

    @property
    def all(self) -> tuple[Metric, ...]:
        """Every metric, in the order in which it is shown."""
        return (
            Reading(
                "lakehouse_build_info",
                "The version that runs, and its role.",
                ("version", "daemon"),
                lambda: {(__version__, self._daemon): 1},
            ),
            self.requests,
            self.sessions,
            self.first_shots,
            Reading(
                "lakehouse_first_shot_ratio",
                "First shots among sessions that are no infra_error, since the process started.",
                (),
                lambda: {(): self._first_shot_ratio()},
            ),
            self.attempts,
            self.findings,
            self.unlogged,
            self.overhead,
            self.commits,
            self.model_calls,
            Reading("lakehouse_queue_depth", "What waits in each queue.", ("queue",), self._depths),
            Reading(
                "lakehouse_tracing_items_total",
                "Spans and scores sent; dropped where reason is not empty.",
                ("what", "reason"),
                self._traced,
                kind="counter",
            ),
        )

    def request(self, ended: RequestEnded) -> None:
        """Count a request."""
        method = ended.method if ended.method in _METHODS else "other"
        self.requests.add(method, ended.route, str(ended.status))

    def session(self, ended: SessionEnded) -> None:
        """Count a session and its attempts, and measure what was ours of its time."""
        row, times = ended.row, ended.times
        kind = row.kind or ""
        self.sessions.add(kind, row.model_alias, row.verdict, _code(row))
        if row.verdict != "infra_error":
            self._judged += 1
        if row.verdict == "accepted" and row.accepted_iteration == 0:
            self.first_shots.add(kind, row.model_alias)
        for attempt in row.attempts:
            self.attempts.add(row.model_alias, attempt.outcome)
            for finding in attempt.findings:
                self.findings.add(finding.code)
        model_ms = sum(
            (each.answered_ms or times.ended_ms) - each.started_ms for each in times.attempts
        )
        self.overhead.observe((times.logged_ms - times.started_ms - model_ms) / 1000)
        if ended.logged:
            self.commits.observe((times.logged_ms - times.ended_ms) / 1000)
        else:
            self.unlogged.add()

    def model_call(self, ended: ModelCallEnded) -> None:
        """Measure a model call."""
        code = "" if ended.error is None else ended.error.code
        self.model_calls.observe(ended.duration_ms / 1000, ended.request.model, code)

    def _first_shot_ratio(self) -> float:
        return self.first_shots.total() / self._judged if self._judged else math.nan


def _code(row: Row) -> str:
    if row.error is not None:
        return row.error.code
    if row.verdict == "accepted" or not row.attempts:
        return ""
    return row.attempts[-1].findings[0].code
