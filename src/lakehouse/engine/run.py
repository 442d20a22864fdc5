"""One session under way: what it knows from its start to its row."""

from collections.abc import Mapping

from lakehouse.core.clock import Clock
from lakehouse.core.errors import InfraError
from lakehouse.core.observation import AttemptTimes
from lakehouse.core.session import Attempt, Verdict
from lakehouse.engine.budget import Budget
from lakehouse.engine.task import SessionTask


class Run:
    """The one value that goes through a session's stages.

    The loop adds to `attempts` and `times`, so that whoever ends it early still has them: `times`
    has one entry for each attempt that was begun, judged or not. `grounded` is the last one's.
    `tables` maps the tables used to their digests, sorted by name in bytes. `verdict`, `error`
    and `ended_ms` are set when it ends.
    """

    __slots__ = (
        "attempts",
        "budget",
        "clock",
        "ended_ms",
        "error",
        "grounded",
        "tables",
        "task",
        "times",
        "verdict",
    )

    def __init__(self, task: SessionTask, clock: Clock) -> None:
        outer = task.context  # what a caller of ours has left is a limit too
        self.task = task
        self.clock = clock
        own, given = task.settings.deadline_ms, outer.deadline_ms
        own_load, given_load = task.load_budget_ms, outer.load_budget_ms
        self.budget = Budget(
            clock.monotonic_ms(),
            deadline_ms=own if given is None else min(own, given),
            load_budget_ms=own_load if given_load is None else min(own_load, given_load),
        )
        self.attempts: list[Attempt] = []
        self.times: list[AttemptTimes] = []
        self.grounded: bool | None = None
        self.tables: Mapping[str, str] = {}
        self.verdict: Verdict = "infra_error"
        self.error: InfraError | None = None
        self.ended_ms = 0.0

    def end(self, verdict: Verdict, error: InfraError | None = None) -> None:
        """Note how it ended, and when: with its last answer, or now."""
        self.verdict, self.error = verdict, error
        self.ended_ms = self.clock.monotonic_ms()
