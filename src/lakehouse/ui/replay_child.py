"""The process that reads the replays of a log: it answers one question and ends.

A report is computed from the log's rows, as `lakehouse replay show` computes it: a report is not
stored. Sessions come first: this process is nice, and bounded in memory and CPU time.
"""

import os
import resource
import sys
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.core.clock import SystemClock
from lakehouse.core.errors import LakehouseError, Refusal, SetupError
from lakehouse.core.ids import is_id
from lakehouse.core.replay_row import ReplayRun
from lakehouse.core.row_codec import RowError, decode_replay_run
from lakehouse.files.locks import lock_held
from lakehouse.replay.description import baseline_name, candidate_name, unreplayed, warnings_of
from lakehouse.replay.pairing import read_pairs
from lakehouse.replay.progress import SideTally
from lakehouse.replay.run import LOCK, PLAN, RunPlan, read_lines, read_plan
from lakehouse.reports.flips import Change, flips
from lakehouse.reports.report import RunInfo, report_of
from lakehouse.sessionlog.layout import REPLAY_RUNS, REPLAYS
from lakehouse.sessionlog.reading.compacted import open_compacted
from lakehouse.sessionlog.shared_file import whole_lines
from lakehouse.ui.replay_answers import (
    FLIPS_HELD_MAX,
    REPLAYS_ON_PAGE,
    ComputedReport,
    HeldFlip,
    ListTask,
    OneTask,
    ReplayAnswer,
    ReplayList,
    ReplayState,
    ReportTask,
    State,
    Task,
)

_NICE: Final = 10
_MEMORY_BYTES: Final = 4 << 30  # of address space, beside what the libraries take
_CPU_S: Final = 600


def main() -> None:
    """Read a task from stdin, write the answer to stdout."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit(resource.RLIMIT_CPU, _CPU_S)
    try:
        answer = _answer(task)
    except MemoryError:
        answer = ReplayAnswer(error="The replay's report needs more memory than a page may take.")
    except (Refusal, SetupError) as error:
        code = error.code if isinstance(error, Refusal) else "invalid_request"
        answer = ReplayAnswer(error=error.public, code=code, hint=error.hint or "")
    except LakehouseError as error:
        answer = ReplayAnswer(error=error.public, hint=error.hint or "")
    sys.stdout.buffer.write(msgspec.json.encode(answer))


def _answer(task: Task) -> ReplayAnswer:
    if isinstance(task, ListTask):
        return ReplayAnswer(replays=_list(Path(task.root), task.before))
    if isinstance(task, OneTask):
        root = Path(task.root)
        plan = read_plan(root, task.run_id)
        return ReplayAnswer(replay=_state(root, plan, _progress(root, {plan.run_id})[plan.run_id]))
    return ReplayAnswer(report=_report(task))


class _Progress(msgspec.Struct):
    """What the lines of one run say."""

    row_ids: set[str] = msgspec.field(default_factory=set)
    baseline: SideTally = msgspec.field(default_factory=SideTally)
    candidate: SideTally = msgspec.field(default_factory=SideTally)
    last_answer_at: str | None = None

    def count(self, line: ReplayRun) -> None:
        """Count a line, unless the session has one: the first line counts."""
        if line.row_id in self.row_ids:
            return
        self.row_ids.add(line.row_id)
        self.baseline.count(line.baseline)
        self.candidate.count(line.candidate)
        self.last_answer_at = max(self.last_answer_at or "", line.timestamp)


def _list(root: Path, before: str | None) -> ReplayList:
    paths = (root / REPLAYS).glob(f"*/{PLAN}")
    names = sorted((path.parent.name for path in paths if is_id(path.parent.name)), reverse=True)
    rest = [name for name in names if before is None or name < before]
    plans: list[RunPlan] = []
    unreadable: list[str] = []
    for name in rest[:REPLAYS_ON_PAGE]:
        try:
            plans.append(read_plan(root, name))
        except LakehouseError:  # one damaged plan must not hide the others
            unreadable.append(name)
    progress = _progress(root, {plan.run_id for plan in plans})
    return ReplayList(
        replays=tuple(_state(root, plan, progress[plan.run_id]) for plan in plans),
        total=len(names),
        next=rest[REPLAYS_ON_PAGE - 1] if len(rest) > REPLAYS_ON_PAGE else None,
        unreadable=tuple(unreadable),
    )


def _progress(root: Path, run_ids: Collection[str]) -> Mapping[str, _Progress]:
    """Count the lines of runs. Cost: a pass over `replay_runs.jsonl`, 2 µs for each of theirs."""
    found = {run_id: _Progress() for run_id in run_ids}
    if not found:
        return found
    for data in whole_lines(root / REPLAY_RUNS):
        try:
            line = decode_replay_run(data)
        except RowError:
            continue
        if line.run_id in found:
            found[line.run_id].count(line)
    return found


def _state(root: Path, plan: RunPlan, progress: _Progress) -> ReplayState:
    done = len(progress.row_ids)
    state: State = "whole" if done >= plan.counts.sessions else "partial"
    if lock_held(root / REPLAYS / plan.run_id / LOCK):
        state = "running"
    return ReplayState(
        run_id=plan.run_id,
        created_at=plan.created_at,
        last_answer_at=progress.last_answer_at,
        mode=plan.mode,
        changed=plan.candidate.words(),
        selection=plan.selection,
        sessions=plan.counts.sessions,
        done=done,
        cut=plan.counts.cut,
        state=state,
        baseline=progress.baseline,
        candidate=progress.candidate,
    )


def _report(task: ReportTask) -> ComputedReport:
    from lakehouse.comparison.conditions import parse_conditions  # noqa: PLC0415 - numpy and scipy
    from lakehouse.comparison.gate import judge_run  # noqa: PLC0415 - likewise
    from lakehouse.comparison.statistics import summarize  # noqa: PLC0415 - likewise

    root = Path(task.root)
    conditions = parse_conditions(task.conditions)
    plan = read_plan(root, task.run_id)
    open_compacted(root)  # its libraries map a good part of a gigabyte by themselves
    _limit(resource.RLIMIT_AS, _mapped_bytes() + _MEMORY_BYTES)
    run = read_pairs(root, plan)
    summary = summarize(run.pairs, plan.selection.seed)
    judgement = None
    if conditions:
        judgement = judge_run(summary, conditions, unreplayed=unreplayed(plan, run))
    info = RunInfo(
        run_id=plan.run_id,
        made_at=SystemClock().timestamp(),
        baseline=baseline_name(run.pairs),
        candidate=candidate_name(plan),
        corpus=plan.corpus,
        warnings=tuple(warnings_of(plan, run)),
    )
    replays = {line.row_id: line.replay_row_id for line in read_lines(root, plan.run_id)}
    counts: Counter[Change] = Counter()
    held: list[HeldFlip] = []
    for flip, _ in flips(run.pairs):
        counts[flip.change] += 1
        if counts[flip.change] <= FLIPS_HELD_MAX:
            held.append(HeldFlip(flip, replays[flip.row_id]))
    return ComputedReport(
        report=report_of(info, summary, judgement, ()),
        flips=tuple(held),
        flip_counts=dict(counts),
    )


def _mapped_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(what, (value, value))


if __name__ == "__main__":
    main()
