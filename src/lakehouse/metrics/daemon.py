"""The counts of one daemon: an observer that adds to plain cells.

Prometheus computes rates from the counters; the first-shot ratio since the start of the process is
also here, for use without Prometheus. Names and their meaning are in `exposition.py`, which only a
scrape reads.
"""

import math
import operator
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, get_args

import msgspec

from lakehouse.core.chat import OfferMode
from lakehouse.core.observation import ModelCallEnded, RequestEnded, SessionEnded
from lakehouse.core.row import Row

# Seconds. Ours is a fraction of a millisecond, a commit one sync, a model anything up to minutes.
_OVERHEAD_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)
_COMMIT_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)
_MODEL_S: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

_METHODS: Final = frozenset({"GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"})

_MODES: Final[frozenset[str]] = frozenset(get_args(OfferMode))

Labels = tuple[str, ...]
Cells = defaultdict[Labels, int]
Readings = Callable[[], Mapping[Labels, float]]


class Durations(dict[Labels, list[float]]):
    """How long something took, by label values, in seconds.

    A cell counts the durations up to each bound, then those above the last, and ends with their
    sum: what is added to `cell[bisect_left(bounds_s, duration_s)]` and to `cell[-1]`.
    """

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        self.bounds_s = bounds_s

    def __missing__(self, labels: Labels) -> list[float]:
        cell = self[labels] = [0.0] * (len(self.bounds_s) + 2)
        return cell


class MetricsCounts(msgspec.Struct, frozen=True, array_like=True):
    """The counts of one process, as it tells them to another one of the same version."""

    requests: dict[Labels, int]
    sessions: dict[Labels, int]
    first_shots: dict[Labels, int]
    attempts: dict[Labels, int]
    offered: dict[Labels, int]
    findings: dict[Labels, int]
    overheads: dict[Labels, list[float]]
    commits: dict[Labels, list[float]]
    model_calls: dict[Labels, list[float]]
    traced: dict[Labels, float]
    depths: dict[Labels, float]
    unlogged: int
    judged: int


_COUNTS: Final = ("requests", "sessions", "first_shots", "attempts", "offered", "findings")
_DURATIONS: Final = ("overheads", "commits", "model_calls")


class DaemonMetrics:
    """Counts what has ended in this process. Cost: about 2 µs a session.

    Args:
        daemon: The role of this process.
        depths: Returns the queue lengths by name, on each scrape.
        traced: Returns items sent and dropped by tracing, as (what, reason); empty reason: sent.
    """

    def __init__(self, daemon: str, *, depths: Readings, traced: Readings) -> None:
        self.daemon = daemon
        self.depths = depths
        self.traced = traced
        self.requests: Cells = defaultdict(int)
        self.sessions: Cells = defaultdict(int)
        self.first_shots: Cells = defaultdict(int)
        self.attempts: Cells = defaultdict(int)
        self.offered: Cells = defaultdict(int)
        self.findings: Cells = defaultdict(int)
        self.unlogged = 0
        self.overheads = Durations(_OVERHEAD_S)
        self.commits = Durations(_COMMIT_S)
        self.model_calls = Durations(_MODEL_S)
        self._overhead, self._commit = self.overheads[()], self.commits[()]  # shown from the start
        self._judged = 0

    def told(self) -> bytes:
        """Return the counts as `MetricsCounts`, written, for another process."""
        return msgspec.msgpack.encode(
            MetricsCounts(
                self.requests, self.sessions, self.first_shots, self.attempts, self.offered,
                self.findings, self.overheads, self.commits, self.model_calls, dict(self.traced()),
                dict(self.depths()), self.unlogged, self._judged,
            )
        )  # fmt: skip

    def request(self, ended: RequestEnded) -> None:
        method = ended.method if ended.method in _METHODS else "other"
        self.requests[method, ended.route, str(ended.status)] += 1

    def session(self, ended: SessionEnded) -> None:
        """Count a session and its attempts, and measure its overhead."""
        row, times = ended.row, ended.times
        kind, model = row.kind or "", row.model_alias
        self.sessions[kind, model, row.verdict, _code(row)] += 1
        if row.verdict != "infra_error":
            self._judged += 1
        if row.verdict == "accepted" and row.accepted_iteration == 0:
            self.first_shots[kind, model] += 1
        for attempt in row.attempts:
            self.attempts[model, attempt.outcome] += 1
            if attempt.narrowed:
                for mode in _MODES.intersection(one.mode for one in attempt.narrowed):
                    self.offered[kind, mode] += 1
            for finding in attempt.findings:
                self.findings[finding.code,] += 1
        overhead_ms = times.logged_ms - times.started_ms
        for each in times.attempts:
            overhead_ms -= (each.answered_ms or times.ended_ms) - each.started_ms
        self._overhead[bisect_left(_OVERHEAD_S, overhead_ms / 1000)] += 1
        self._overhead[-1] += overhead_ms / 1000
        if ended.logged:
            commit_s = (times.logged_ms - times.ended_ms) / 1000
            self._commit[bisect_left(_COMMIT_S, commit_s)] += 1
            self._commit[-1] += commit_s
        else:
            self.unlogged += 1

    def model_call(self, ended: ModelCallEnded) -> None:
        duration_s = ended.duration_ms / 1000
        cell = self.model_calls[ended.request.model, ended.error.code if ended.error else ""]
        cell[bisect_left(_MODEL_S, duration_s)] += 1
        cell[-1] += duration_s

    def first_shot_ratio(self) -> float:
        """First shots among sessions that are no `infra_error`; NaN before the first of them."""
        return sum(self.first_shots.values()) / self._judged if self._judged else math.nan

    @classmethod
    def sum_of(cls, daemon: str, told: Sequence[bytes]) -> "DaemonMetrics":
        """Add what several processes told; queues and durations too."""
        counts = [msgspec.msgpack.decode(each, type=MetricsCounts) for each in told]
        traced, depths = (
            _added(getattr(each, name) for each in counts) for name in ("traced", "depths")
        )
        found = cls(daemon, depths=lambda: depths, traced=lambda: traced)
        for name in _COUNTS:
            getattr(found, name).update(_added(getattr(each, name) for each in counts))
        for name in _DURATIONS:
            for each in counts:
                for labels, cell in getattr(each, name).items():
                    own = getattr(found, name)[labels]
                    own[:] = map(operator.add, own, cell)
        found.unlogged = sum(each.unlogged for each in counts)
        found._judged = sum(each.judged for each in counts)
        return found


def sum_of_told(told: Sequence[bytes]) -> bytes:
    """Add what several processes told, of which one has ended: nothing waits there any more."""
    found = DaemonMetrics.sum_of("", told)
    found.depths = dict
    return found.told()


def _added(counts: Iterable[Mapping[Labels, float]]) -> dict[Labels, float]:
    found: dict[Labels, float] = defaultdict(int)
    for each in counts:
        for labels, number in each.items():
            found[labels] += number
    return dict(found)


def _code(row: Row) -> str:
    if row.error is not None:
        return row.error.code
    if row.verdict == "accepted" or not row.attempts:
        return ""
    return row.attempts[-1].findings[0].code
