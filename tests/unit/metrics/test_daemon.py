"""What a daemon counts, read with Prometheus' own parser; and the dashboard that shows it."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from lakehouse.core.context import call_context
from lakehouse.core.errors import InfraError
from lakehouse.core.observation import AttemptTimes, SessionEnded
from lakehouse.core.session import Narrowed
from lakehouse.metrics.daemon import DaemonMetrics
from lakehouse.metrics.exposition import exposition
from support.traced import (
    UNGROUNDED,
    attempt,
    failed_row,
    model_call_ended,
    request_ended,
    session_ended,
)

ROOT = Path(__file__).parents[3]
DASHBOARD = ROOT / "examples" / "grafana" / "lakehouse.json"


def metrics() -> DaemonMetrics:
    return DaemonMetrics(
        "up",
        depths=lambda: {("log",): 2, ("model small",): 0},
        traced=lambda: {("spans", ""): 8, ("spans", "queue_full"): 3},
    )


def samples(found: DaemonMetrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = exposition(found).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: DaemonMetrics, name: str, **labels: str) -> float:
    return samples(found)[name, tuple(sorted(labels.items()))]


def failed() -> SessionEnded:
    context = call_context((), ())
    unfinished = AttemptTimes("00f067aa0ba902b7", 1_250.0)
    return session_ended(context=context, row=failed_row(context), unfinished=unfinished)


def test_sessions_are_counted_by_verdict_and_code():
    """The infra code, or the first finding's of the last attempt; empty where it was accepted."""
    found = metrics()
    found.session(session_ended(attempt(0)))
    found.session(session_ended(attempt(0, UNGROUNDED), attempt(1)))
    found.session(session_ended(attempt(0, UNGROUNDED)))
    found.session(failed())

    def sessions(verdict: str, code: str) -> float:
        labels = {"kind": "event", "model": "small", "verdict": verdict, "code": code}
        return value(found, "lakehouse_sessions_total", **labels)

    assert sessions("accepted", "") == 2
    assert sessions("max_iter_exhausted", "ungrounded") == 1
    assert sessions("infra_error", "timeout") == 1
    assert value(found, "lakehouse_attempts_total", model="small", outcome="accepted") == 2
    assert value(found, "lakehouse_attempts_total", model="small", outcome="rejected") == 2
    assert value(found, "lakehouse_findings_total", code="ungrounded") == 2


def test_attempts_that_were_offered_something_are_counted_once_for_each_mode():
    """And a mode that this version does not have is no label."""

    def offered(*modes: str) -> tuple[Narrowed, ...]:
        return tuple(
            Narrowed(path="/code", column="t.code", mode=mode, candidates=1, digest="sha256:1")
            for mode in modes
        )

    found = metrics()
    found.session(session_ended(attempt(0)))
    found.session(
        session_ended(
            attempt(0, UNGROUNDED, narrowed=offered("decode", "decode", "hint", "by_letter")),
            attempt(1, narrowed=offered("decode")),
        )
    )
    counted = {
        labels: count
        for (name, labels), count in samples(found).items()
        if name == "lakehouse_offered_attempts_total"
    }
    assert counted == {
        (("kind", "event"), ("mode", "decode")): 2,
        (("kind", "event"), ("mode", "hint")): 1,
    }


def test_the_first_shot_ratio_leaves_outages_out():
    """Nine sessions, six first shots, two exhausted, one outage: 75 %."""
    found = metrics()
    assert math.isnan(value(found, "lakehouse_first_shot_ratio"))
    for _ in range(6):
        found.session(session_ended(attempt(0)))
    for _ in range(2):
        found.session(session_ended(attempt(0, UNGROUNDED)))
    found.session(failed())

    assert value(found, "lakehouse_first_shot_ratio") == 0.75
    assert value(found, "lakehouse_first_shot_sessions_total", kind="event", model="small") == 6


def test_overhead_is_a_sessions_time_without_the_models():
    """300 ms and 2 of the append, of which the model took 80 twice; a model that never answered
    took the rest.
    """
    found = metrics()
    found.session(session_ended(attempt(0, UNGROUNDED), attempt(1)))
    assert math.isclose(value(found, "lakehouse_overhead_seconds_sum"), 0.302 - 0.160)
    found.session(failed())
    assert math.isclose(value(found, "lakehouse_overhead_seconds_sum"), 0.142 + 0.302 - 0.050)
    assert value(found, "lakehouse_overhead_seconds_count") == 2


def test_a_commit_is_measured_and_a_row_that_was_lost_is_counted():
    found = metrics()
    found.session(session_ended(attempt(0)))
    found.session(session_ended(attempt(0), logged=False))
    assert math.isclose(value(found, "lakehouse_log_commit_seconds_sum"), 0.002)
    assert value(found, "lakehouse_log_commit_seconds_bucket", le="0.001") == 0
    assert value(found, "lakehouse_log_commit_seconds_bucket", le="0.002") == 1
    assert value(found, "lakehouse_log_commit_seconds_bucket", le="+Inf") == 1
    assert value(found, "lakehouse_sessions_unlogged_total") == 1


def test_model_calls_are_measured_by_how_they_ended():
    found = metrics()
    found.model_call(model_call_ended(120.0))
    found.model_call(model_call_ended(90_000.0, InfraError("timeout", "Too late.")))
    labels = {"model": "small", "code": ""}
    assert value(found, "lakehouse_model_call_seconds_sum", **labels) == 0.12
    assert value(found, "lakehouse_model_call_seconds_bucket", le="0.1", **labels) == 0
    assert value(found, "lakehouse_model_call_seconds_bucket", le="0.25", **labels) == 1
    assert value(found, "lakehouse_model_call_seconds_count", model="small", code="timeout") == 1


def test_requests_are_counted_and_a_strange_method_is_no_label():
    """A caller cannot make metrics up."""
    found = metrics()
    found.request(request_ended(call_context((), ())))
    refused = request_ended(call_context((), ()), status=405)
    found.request(msgspec.structs.replace(refused, method="BREW"))
    route = "/v1/iterate"
    assert value(found, "lakehouse_requests_total", method="POST", route=route, status="200") == 1
    assert value(found, "lakehouse_requests_total", method="other", route=route, status="405") == 1


def test_queues_and_what_tracing_sent_and_dropped_are_read_when_asked():
    found = metrics()
    assert value(found, "lakehouse_queue_depth", queue="log") == 2
    assert value(found, "lakehouse_tracing_items_total", what="spans", reason="") == 8
    assert value(found, "lakehouse_tracing_items_total", what="spans", reason="queue_full") == 3


def test_label_values_are_escaped():
    """Read back as they were."""
    found = metrics()
    route = 'quo"te\\ and\nline'
    found.request(msgspec.structs.replace(request_ended(call_context((), ())), route=route))
    assert value(found, "lakehouse_requests_total", method="POST", route=route, status="200") == 1


def test_the_text_is_what_prometheus_documents():
    """Byte for byte: another `le` or name would be another series."""
    found = metrics()
    found.request(request_ended(call_context((), ())))
    found.model_call(model_call_ended(120.0))
    lines = exposition(found).decode().splitlines()
    about = lines.index("# TYPE lakehouse_requests_total counter")
    assert lines[about - 1 : about + 2] == [
        "# HELP lakehouse_requests_total Answered requests.",
        "# TYPE lakehouse_requests_total counter",
        'lakehouse_requests_total{method="POST",route="/v1/iterate",status="200"} 1.0',
    ]
    name = "lakehouse_model_call_seconds"
    assert [line for line in lines if line.startswith(f"{name}_")] == [
        name + '_bucket{code="",le="0.01",model="small"} 0.0',
        name + '_bucket{code="",le="0.05",model="small"} 0.0',
        name + '_bucket{code="",le="0.1",model="small"} 0.0',
        name + '_bucket{code="",le="0.25",model="small"} 1.0',
        name + '_bucket{code="",le="0.5",model="small"} 1.0',
        name + '_bucket{code="",le="1",model="small"} 1.0',
        name + '_bucket{code="",le="2.5",model="small"} 1.0',
        name + '_bucket{code="",le="5",model="small"} 1.0',
        name + '_bucket{code="",le="10",model="small"} 1.0',
        name + '_bucket{code="",le="30",model="small"} 1.0',
        name + '_bucket{code="",le="60",model="small"} 1.0',
        name + '_bucket{code="",le="120",model="small"} 1.0',
        name + '_bucket{code="",le="300",model="small"} 1.0',
        name + '_bucket{code="",le="+Inf",model="small"} 1.0',
        name + '_count{code="",model="small"} 1.0',
        name + '_sum{code="",model="small"} 0.12',
    ]


def test_what_was_not_counted_yet_is_shown_where_it_has_no_labels():
    """Else a rate over the first of them would not see it."""
    found = metrics()
    for name in ("overhead_seconds", "log_commit_seconds"):
        assert value(found, f"lakehouse_{name}_bucket", le="+Inf") == 0
        assert value(found, f"lakehouse_{name}_count") == 0
    assert value(found, "lakehouse_sessions_unlogged_total") == 0


def test_the_dashboard_asks_for_metrics_that_there_are():
    """Every name in it is exposed, every metric of ours is in it, and the file is its script's."""
    text = DASHBOARD.read_text("utf-8")
    asked = set(re.findall(r"lakehouse_[a-z_]+", text))
    suffix = re.compile(r"_(bucket|sum|count)$")
    exposed = set(re.findall(r"^# TYPE (\S+) ", exposition(metrics()).decode(), re.MULTILINE))
    assert {suffix.sub("", name) for name in asked} == exposed
    script = "from build_dashboard import *; print(json.dumps(dashboard(), indent=2))"
    made = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT / "tools",
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(made.stdout) == json.loads(text)
