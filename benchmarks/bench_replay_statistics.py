"""CPU of a replay's statistics on one core: all measures, the gate, and each report.

Usage: python benchmarks/bench_replay_statistics.py [--pairs N] [--conversations N] [--resamples N]

Prints seconds of CPU. The pairs are drawn from a seed: two equal sides, 20 % ending differently.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

# Set before numpy is loaded: one core is what is asked.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from lakehouse.comparison.conditions import parse_conditions
from lakehouse.comparison.gate import judge_run
from lakehouse.comparison.pairs import SessionPair, Side
from lakehouse.comparison.statistics import summarize
from lakehouse.core.chat import Usage
from lakehouse.reports.page import to_html
from lakehouse.reports.report import RunInfo, to_json

T = TypeVar("T")
GATE = ["accepted >= baseline - 0.02", "first_shot >= baseline", "p50_latency_ms <= baseline * 1.2"]
INFO = RunInfo(run_id="bench", made_at="", baseline="a", candidate="b", corpus="")


def sides(random: np.random.Generator, count: int) -> Iterator[Side]:
    for accepted, ms in zip(
        random.random(count) < 0.7, random.lognormal(6, 0.5, count), strict=True
    ):
        yield Side(
            model="m",
            verdict="accepted" if accepted else "max_iter_exhausted",
            iterations=1 if accepted else 3,
            accepted_iteration=0 if accepted else None,
            grounded=True,
            artifact=b'{"airport":"OSL","city":"Oslo","delay":%d}' % (ms % 7),
            usage=Usage(200, int(ms / 10)),
            duration_ms=int(ms),
        )


def timed(name: str, work: Callable[[], T]) -> T:
    started = time.process_time()
    result = work()
    print(f"{name:<12} {time.process_time() - started:8.2f} s")
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--conversations", type=int, default=10_000)
    parser.add_argument("--resamples", type=int, default=2_000)
    options = parser.parse_args()
    random = np.random.default_rng(1)
    both = zip(sides(random, options.pairs), sides(random, options.pairs), strict=True)
    pairs = [
        SessionPair(
            row_id=f"{index:08}",
            session_id=f"{index:08}",
            conversation_id=f"{index % options.conversations}",
            baseline=ours,
            candidate=theirs,
        )
        for index, (ours, theirs) in enumerate(both)
    ]
    summary = timed("summarize", lambda: summarize(pairs, 1, resamples=options.resamples))
    judgement = timed("judge", lambda: judge_run(summary, parse_conditions(GATE)))
    timed("JSON", lambda: to_json(INFO, summary, judgement, pairs))
    timed("page", lambda: to_html(INFO, summary, judgement, pairs))


if __name__ == "__main__":
    main()
