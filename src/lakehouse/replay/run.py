"""A run on disk: its plan, the lines of its finished sessions, and its lock.

`replays/<run id>/plan.json` is written once, before the first session. Finished sessions are
recorded only in `replay_runs.jsonl`. The lock keeps a second process from working on the run.
"""

import os
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec

from lakehouse.core.clock import Clock
from lakehouse.core.errors import LakehouseError, Refusal, SetupError
from lakehouse.core.ids import is_id, new_id
from lakehouse.core.replay_row import ReplayRun
from lakehouse.core.row import Row
from lakehouse.core.row_codec import RowError, decode_replay_run, decode_row, encode_line
from lakehouse.engine.task import Catalog
from lakehouse.files.locks import try_lock
from lakehouse.files.regular import open_regular
from lakehouse.replay.candidate import Candidate
from lakehouse.replay.corpus import CorpusCounts, build_corpus, write_corpus, write_file
from lakehouse.replay.selection import KindInForce, Selection, kinds_in_force, select_rows
from lakehouse.sessionlog.layout import REPLAY_RUNS, REPLAYS
from lakehouse.sessionlog.lines import row_key
from lakehouse.sessionlog.reading.reader import read_rows
from lakehouse.sessionlog.shared_file import append_lines, whole_lines

Mode = Literal["replay", "rejudge"]

PLAN: Final = "plan.json"
LOCK: Final = "run.lock"


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run does, fixed when it begins. `tables`: name → digests that sessions had.

    `config_digest` and `kinds` (name → digest) identify the configuration at the beginning. The
    run cannot be resumed with another one.
    """

    schema: Literal["replay.plan.v1"] = "replay.plan.v1"
    run_id: str
    created_at: str
    mode: Mode
    selection: Selection
    candidate: Candidate
    corpus: str
    counts: CorpusCounts
    in_force: Mapping[str, KindInForce]
    tables: Mapping[str, tuple[str, ...]]
    config_digest: str
    kinds: Mapping[str, str]

    def check(self, catalog: Catalog) -> None:
        """Check that the configuration is the one that the run began with.

        Raises:
            SetupError: The configuration, or a schema that it names, has changed.
        """
        kinds = {name: kind.digest for name, kind in catalog.kinds.items()}
        if (self.config_digest, self.kinds) != (catalog.config_digest, kinds):
            raise SetupError(
                f"The configuration was changed after run {self.run_id} began.",
                hint="Restore it to resume, or start a new run: a run has one configuration.",
            )


class _LineKey(msgspec.Struct):
    run_id: str
    row_id: str


_KEY_DECODER: Final = msgspec.json.Decoder(_LineKey)


class Found(msgspec.Struct, frozen=True):
    """Rows of a run in the log: answers that have no line yet, by row id, and outages."""

    answers: Mapping[str, Row]
    outages: frozenset[str]


def begin_run(
    root: Path,
    selection: Selection,
    candidate: Candidate,
    *,
    mode: Mode,
    catalog: Catalog,
    clock: Clock,
) -> RunPlan:
    """Choose the sessions, fix them as a corpus and write the plan; durable when this returns.

    Raises:
        SetupError: The selection is invalid, or chooses nothing.
        QueryFailed: The log could not be queried.
        InfraError: `log_unavailable`.

    Cost: two queries, and a pass over the log.
    """
    chosen = select_rows(root, selection)
    corpus = build_corpus(root, chosen.row_ids, answers_needed=mode == "rejudge")
    if not corpus.entries:
        raise SetupError(
            f"No session of {root} can be replayed: {len(chosen.row_ids)} were chosen, "
            f"{corpus.counts.cut} of them with inputs or answers that were too long to keep.",
            hint="Loosen --kind, --where or --since; `lakehouse sessions` lists the logged "
            "sessions.",
        )
    kinds = {name: kind.digest for name, kind in catalog.kinds.items()}
    changed = chosen.kind_digests - set(kinds.values())
    plan = RunPlan(
        run_id=new_id(),
        created_at=clock.timestamp(),
        mode=mode,
        selection=selection,
        candidate=candidate,
        corpus=corpus.digest,
        counts=corpus.counts,
        in_force=kinds_in_force(root, selection) if changed else {},
        tables=corpus.tables,
        config_digest=catalog.config_digest,
        kinds=kinds,
    )
    write_corpus(root, corpus)
    write_plan(root, plan)
    return plan


def write_plan(root: Path, plan: RunPlan) -> None:
    """Write a plan, which begins the run; durable when this returns.

    Raises:
        InfraError: `log_unavailable`.
    """
    data = msgspec.json.format(msgspec.json.encode(plan), indent=1)
    write_file(root, root / REPLAYS / plan.run_id / PLAN, data)


def read_plan(root: Path, run_id: str) -> RunPlan:
    """Read the plan of a run by its id, or by the beginning of its id if that is unique.

    Raises:
        Refusal: `not_found`.
        LakehouseError: The plan is damaged.
    """
    names = [plan.parent.name for plan in (root / REPLAYS).glob(f"*/{PLAN}")]
    matching = [name for name in names if run_id and name.startswith(run_id)]
    if len(matching) != 1:
        many = f"{len(matching)} runs start with" if matching else "There is no run"
        raise Refusal(
            "not_found", f"{many} {run_id!r}.", hint="`lakehouse replay list` lists the runs."
        )
    path = root / REPLAYS / matching[0] / PLAN
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunPlan)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LakehouseError(f"{path} cannot be read: {error}") from error


def list_plans(root: Path) -> list[RunPlan]:
    """List the runs, newest first."""
    names = sorted((path.parent.name for path in (root / REPLAYS).glob(f"*/{PLAN}")), reverse=True)
    return [read_plan(root, name) for name in names if is_id(name)]


@contextmanager
def at_work(root: Path, run_id: str) -> Iterator[None]:
    """Lock a run while this process works on it.

    Raises:
        LakehouseError: Another process holds the lock.
    """
    descriptor = open_regular(root / REPLAYS / run_id / LOCK, os.O_RDWR | os.O_CREAT)
    try:
        if not try_lock(descriptor):
            raise LakehouseError(
                f"Run {run_id} is already running in another process.",
                hint=f"Wait for it or stop it, then: lakehouse replay --resume {run_id}",
            )
        yield
    finally:
        os.close(descriptor)


def read_lines(root: Path, run_id: str) -> Iterator[ReplayRun]:
    """Yield the lines of one run, oldest first, and only the first line of each session.

    Cost: a pass over `replay_runs.jsonl`, 1 GB/s. Memory: 100 bytes per session of the run.
    """
    needle = b'"run_id":"%b"' % run_id.encode()
    seen: set[str] = set()
    for line in whole_lines(root / REPLAY_RUNS):
        if needle not in line:
            continue
        try:
            found = decode_replay_run(line)
        except RowError:
            continue
        if found.run_id == run_id and found.row_id not in seen:
            seen.add(found.row_id)
            yield found


def count_lines(root: Path) -> Counter[str]:
    """Count the sessions that have their line, by run id. Cost: a pass over the file."""
    done: dict[str, set[str]] = {}
    for line in whole_lines(root / REPLAY_RUNS):
        key = _KEY_DECODER.decode(line)
        done.setdefault(key.run_id, set()).add(key.row_id)
    return Counter({run_id: len(row_ids) for run_id, row_ids in done.items()})


def append_runs(root: Path, lines: Iterable[ReplayRun]) -> None:
    """Append lines; durable when this returns.

    Raises:
        OSError: They could not be made durable.
    """
    append_lines(root / REPLAY_RUNS, [encode_line(line) for line in lines])


def find_replays(root: Path, run_id: str, known: Container[str]) -> Found:
    """Find the rows of a run in the log; their ids begin like the run's id.

    Args:
        root: The log directory. Reap the sessions of dead writers before.
        run_id: The run.
        known: Row ids of replays that have their line; they are left out.

    Cost: a pass over the log, 1 GB/s and 2 µs per row.
    """
    start = b'"row_id":"%b' % run_id[:16].encode()
    answers: dict[str, Row] = {}
    outages: set[str] = set()
    for line in read_rows(root):
        if start not in line:
            continue
        key = row_key(line)
        if key is None or not key.row_id.startswith(run_id[:16]) or key.row_id in known:
            continue
        row = decode_row(line)
        if row.verdict == "infra_error":
            outages.add(row.row_id)
        else:
            answers[row.row_id] = row
    return Found(answers, frozenset(outages))
