"""What a load costs a daemon, round after round, as cells of a table."""

import statistics
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import uvloop

from load import IN_FLIGHT, load
from rig import cpu_s


class Round(NamedTuple):
    """What some sessions cost and took: medians and shares of one run of them."""

    cpu_ms: float
    sessions_per_s: float
    p50_ms: float
    p99_ms: float


def one_round(
    port: int, pid: int, requests: Sequence[bytes], sessions: int, in_flight: int = IN_FLIGHT
) -> Round:
    """Run sessions against a daemon, and read what they cost it."""
    before, begun = cpu_s(pid), time.perf_counter()
    seconds = uvloop.run(load(port, requests, sessions, in_flight=in_flight))
    return round_of(seconds, cpu_s(pid) - before, time.perf_counter() - begun)


def round_of(seconds: list[float], used_s: float, taken_s: float) -> Round:
    """Sum up sessions that took so many `seconds` each, and a daemon so much CPU."""
    p50_ms, p99_ms = quantiles_ms(seconds)
    return Round(used_s / len(seconds) * 1000, len(seconds) / taken_s, p50_ms, p99_ms)


def quantiles_ms(seconds: Iterable[float]) -> tuple[float, float]:
    """Give the median and the 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2] * 1000, ordered[int(len(ordered) * 0.99)] * 1000


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Write the least, the median and the largest."""
    each = (min(values), statistics.median(values), max(values))
    return " / ".join(f"{value:,.{digits}f}" for value in each)


def cells(rounds: list[Round]) -> str:
    """Put the medians of some rounds into a table's cells, CPU with its least and its largest."""
    median = statistics.median
    return (
        f"{spread([each.cpu_ms for each in rounds])} | "
        f"{median(each.sessions_per_s for each in rounds):.0f} | "
        f"{median(each.p50_ms for each in rounds):.2f} | "
        f"{median(each.p99_ms for each in rounds):.2f}"
    )
