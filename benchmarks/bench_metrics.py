"""CPU of counting and of a scrape: plain cells as `DaemonMetrics` has them, and prometheus-client.

Usage: python benchmarks/bench_metrics.py [--output benchmarks/runs]

One thread, nothing else in the process. The ways take turns; a figure is the median of its turns.
"""

import argparse
import statistics
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram

from lakehouse.core.chat import ChatRequest, Message
from lakehouse.core.context import call_context
from lakehouse.core.observation import ModelCallEnded, RequestEnded
from lakehouse.metrics.daemon import DaemonMetrics, Durations
from lakehouse.metrics.exposition import exposition
from rig import heading, write_result

TURNS = 15
LABELS = ("order", "small", "accepted", "")
BOUNDS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
CONTEXT = call_context((), ())
QUESTION = ChatRequest("small", (Message("user", "hello"),))


def median_us(ways: Mapping[str, Callable[[], object]], times: int) -> dict[str, float]:
    """Time every way in turns; give the median microseconds of CPU of one call."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            started_s = time.process_time()
            for _ in range(times):
                way()
            found[name].append((time.process_time() - started_s) / times * 1e6)
    return {name: statistics.median(each) for name, each in found.items()}


def counting() -> dict[str, Callable[[], object]]:
    """Count under four labels, and observe a duration under two."""
    registry = CollectorRegistry()
    names = ("kind", "model", "verdict", "code")
    library = Counter("sessions", "Sessions.", names, registry=registry)
    library_child = library.labels(*LABELS)
    timed = Histogram("calls", "Calls.", ("model", "code"), buckets=BOUNDS_S, registry=registry)
    timed_child = timed.labels("small", "")
    cells: defaultdict[tuple[str, ...], int] = defaultdict(int)
    durations = Durations(BOUNDS_S)
    kind, model, verdict, code = LABELS

    def add_to_cell() -> None:
        cells[kind, model, verdict, code] += 1

    def observe_in_cell() -> None:
        cell = durations[model, code]
        cell[bisect_left(BOUNDS_S, 0.2)] += 1
        cell[-1] += 0.2

    return {
        "count, a plain cell": add_to_cell,
        "count, prometheus-client": lambda: library.labels(kind, model, verdict, code).inc(),
        "count, prometheus-client, child kept": library_child.inc,
        "observe, a plain cell": observe_in_cell,
        "observe, prometheus-client": lambda: timed.labels(model, code).observe(0.2),
        "observe, prometheus-client, child kept": lambda: timed_child.observe(0.2),
    }


def scraping(combinations: int) -> tuple[int, float]:
    """Scrape a daemon of so many models; give the lines, and microseconds of CPU."""
    metrics = DaemonMetrics("up", depths=dict, traced=dict)
    request = RequestEnded(CONTEXT, "POST", "/v1/iterate", 200, 0, 5.0)
    for number in range(combinations):
        metrics.request(request)
        question = msgspec.structs.replace(QUESTION, model=f"model-{number}")
        metrics.model_call(ModelCallEnded(CONTEXT, question, None, None, 0, 200.0))
        metrics.sessions["order", question.model, "accepted", ""] += 1
        metrics.first_shots["order", question.model] += 1
        metrics.attempts[question.model, "accepted"] += 1
    lines = exposition(metrics).count(b"\n")
    scrape = {"scrape": lambda: exposition(metrics)}
    return lines, median_us(scrape, max(1, 100 // combinations))["scrape"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "runs")
    options = parser.parse_args()
    lines = heading("Counting and scraping", "python benchmarks/bench_metrics.py", "memory only")
    lines += [f"prometheus-client {version('prometheus-client')}.", ""]
    lines += ["| what | µs of CPU |", "| --- | --- |"]
    lines += [f"| {name} | {us:.2f} |" for name, us in median_us(counting(), 20_000).items()]
    lines += [
        "",
        "| a scrape, models | lines | ms of CPU | µs a line |",
        "| --- | --- | --- | --- |",
    ]
    for models in (1, 10, 100):
        count, us = scraping(models)
        lines.append(f"| {models} | {count} | {us / 1000:.2f} | {us / count:.1f} |")
    write_result(options.output, "metrics", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
