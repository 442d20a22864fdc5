"""Pairs to compare in tests: one by one, or many from a seed, with their truth known."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from lakehouse.comparison.pairs import SessionPair, Side
from lakehouse.comparison.sample import Sample
from lakehouse.core.chat import Usage
from lakehouse.reports.report import RunInfo
from support.rows import make_attempt, rejected_attempt

INFO = RunInfo(
    run_id="019ab1c2d3e47f60b1a2c3d4e5f60718",
    made_at="2026-11-25T18:00:00.000000Z",
    baseline="small",
    candidate="small, constrain auto",
    corpus="sha256:0f1e2d3c",
)


def make_side(**changes: Any) -> Side:
    """Give a side accepted at the first shot; `changes` replace members."""
    side = Side(
        model="small",
        verdict="accepted",
        iterations=1,
        accepted_iteration=0,
        grounded=True,
        artifact=b'{"airport":"OSL","delay":1.10}',
        usage=Usage(10, 20),
        duration_ms=100,
        attempts=(make_attempt(),),
    )
    return msgspec.structs.replace(side, **changes)


def later(**changes: Any) -> Side:
    """Give a side accepted at its second attempt."""
    attempts = (rejected_attempt(), make_attempt(1, told="/airport is not good"))
    return make_side(iterations=2, accepted_iteration=1, attempts=attempts, **changes)


def exhausted(**changes: Any) -> Side:
    """Give a side whose attempts were all rejected."""
    return make_side(
        verdict="max_iter_exhausted",
        iterations=2,
        accepted_iteration=None,
        attempts=(rejected_attempt(), rejected_attempt(1, told="/airport is not good")),
        **changes,
    )


def outage(code: str = "timeout") -> Side:
    """Give a side that could not be judged."""
    return make_side(
        verdict="infra_error",
        error_code=code,
        iterations=0,
        accepted_iteration=None,
        grounded=None,
        artifact=None,
        usage=Usage(),
        attempts=(),
    )


def make_pair(index: int = 0, **changes: Any) -> SessionPair:
    """Give a pair of two equal sides, a session of its own by `index`."""
    pair = SessionPair(
        row_id=f"row-{index:06}",
        session_id=f"session-{index:06}",
        kind="airport_event",
        prompt="Flight to Oslo is late.",
        baseline=make_side(),
        candidate=make_side(),
    )
    return msgspec.structs.replace(pair, **changes)


class Truth(NamedTuple):
    """What is true of simulated pairs.

    The baseline is accepted with probability `accepted`. Two equal candidates end differently in
    `differ` of the sessions, half of them lost, half gained; `fall` of all sessions are lost beyond
    that, so the true change of the rate is exactly `-fall`. Both latencies follow the session's
    difficulty and vary alike; the candidate's is `slower` times as long. Sessions of one
    conversation end alike on each side: as many independent ones as there are conversations.
    """

    pairs: int = 200
    accepted: float = 0.7
    differ: float = 0.2
    fall: float = 0.0
    slower: float = 1.0
    of_a_conversation: int = 1

    def sample(self, seed: int) -> Sample:
        """Draw the columns of one run."""
        random = np.random.default_rng([8128, seed])
        talk = np.arange(self.pairs) // self.of_a_conversation
        talks = int(talk[-1]) + 1
        ours = random.random(talks) < self.accepted
        lost = random.random(talks) < (self.differ / 2 + self.fall) / self.accepted
        gained = random.random(talks) < self.differ / 2 / (1 - self.accepted)
        sides = (ours[talk], np.where(ours, ~lost, gained)[talk])
        hard = random.lognormal(6, 0.5, self.pairs)
        columns = []
        for accepted, pace in zip(sides, (1.0, self.slower), strict=True):
            first = accepted & (random.random(self.pairs) < 0.8)
            vary = random.lognormal(0, 0.3, talks)[talk]
            missing = np.full(self.pairs, np.nan)
            columns.append(
                {
                    "accepted": accepted.astype(float),
                    "first_shot": first.astype(float),
                    "checked_right": missing,
                    "artifact_equal": missing,
                    "iterations": np.where(first, 1.0, 2.0),
                    "prompt_tokens": np.full(self.pairs, 200.0),
                    "completion_tokens": np.round(40 + hard / 20),
                    "latency_ms": np.round(hard * pace * vary),
                }
            )
        return Sample(talk, *columns)

    def pairs_of(self, seed: int) -> list[SessionPair]:
        """Give one run as pairs, with attempts to tell."""
        sample = self.sample(seed)
        return [
            make_pair(
                index,
                conversation_id=f"talk-{talk}" if self.of_a_conversation > 1 else None,
                baseline=_side(sample.baseline, index),
                candidate=_side(sample.candidate, index),
            )
            for index, talk in enumerate(sample.cluster)
        ]


def _side(columns: Mapping[str, Any], index: int) -> Side:
    build = exhausted
    if columns["accepted"][index]:
        build = make_side if columns["first_shot"][index] else later
    return build(
        duration_ms=int(columns["latency_ms"][index]),
        usage=Usage(int(columns["prompt_tokens"][index]), int(columns["completion_tokens"][index])),
    )
