"""What the pages ask of the replays of a log, and the answers: values that cross a pipe.

Nothing here needs numpy or scipy; only the process that computes a report loads them.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from lakehouse.replay.progress import SideTally
from lakehouse.replay.run import Mode
from lakehouse.replay.selection import Selection
from lakehouse.reports.flips import Change, Flip
from lakehouse.reports.report import ReplayReport

State = Literal["running", "partial", "whole"]

REPLAYS_ON_PAGE: Final = 20
FLIPS_HELD_MAX: Final = 5_000
"""Flips of each kind of change that an answer holds; all of them are counted."""


class ListTask(msgspec.Struct, frozen=True, tag="list"):
    """Asks for the replays that began before the run `before`, newest first."""

    root: str
    before: str | None


class OneTask(msgspec.Struct, frozen=True, tag="one"):
    """Asks for one replay, without its report. `run_id` may be the beginning of an id."""

    root: str
    run_id: str


class ReportTask(msgspec.Struct, frozen=True, tag="report"):
    """Asks for the report of one replay; `conditions` are those of a gate, if there are any."""

    root: str
    run_id: str
    conditions: tuple[str, ...]


Task = ListTask | OneTask | ReportTask


class ReplayState(msgspec.Struct, frozen=True, kw_only=True):
    """One replay as far as it is, without statistics.

    `changed` says in words what was changed. `done` of `sessions` sessions have an answer;
    `baseline` and `candidate` count those. `running`: a process works on it now. `cut` sessions
    were left out because the log does not hold them in full. Times are UTC.
    """

    run_id: str
    created_at: str
    last_answer_at: str | None
    mode: Mode
    changed: str
    selection: Selection
    sessions: int
    done: int
    cut: int
    state: State
    baseline: SideTally
    candidate: SideTally


class ReplayList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of replays, newest first. `next`: the run that the page after this one begins after.

    `unreadable` names runs whose plan cannot be read.
    """

    replays: tuple[ReplayState, ...]
    total: int
    next: str | None
    unreadable: tuple[str, ...]


class HeldFlip(msgspec.Struct, frozen=True):
    """A flipped session, with the row id of its replay."""

    flip: Flip
    replay_row_id: str


class ComputedReport(msgspec.Struct, frozen=True, kw_only=True):
    """A report as `lakehouse replay show` gives it; its `flipped` are in `flips` instead.

    `flip_counts` counts all flips by change, also those beyond `FLIPS_HELD_MAX`.
    """

    report: ReplayReport
    flips: tuple[HeldFlip, ...]
    flip_counts: Mapping[Change, int]


class ReplayAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to a task: one of the first three, or why there is none.

    `code` is set if the question was at fault.
    """

    replays: ReplayList | None = None
    replay: ReplayState | None = None
    report: ComputedReport | None = None
    error: str | None = None
    code: str | None = None
    hint: str = ""
