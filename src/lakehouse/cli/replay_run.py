"""Runs a replay: the stack in this process, the progress bar, and ways to stop."""

import asyncio
import contextlib
import functools
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec
import uvloop
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from lakehouse.cli.console import console as terminal_console
from lakehouse.cli.table import percent
from lakehouse.cli.terminal import say
from lakehouse.config.settings import Config
from lakehouse.core.clock import SystemClock
from lakehouse.core.errors import InfraError, SetupError
from lakehouse.core.installed import check_installed
from lakehouse.core.ports import RecordSink
from lakehouse.replay.books import OUTAGES_IN_A_ROW_MAX, Books
from lakehouse.replay.corpus import read_corpus
from lakehouse.replay.progress import RunTally, SideTally
from lakehouse.replay.run import Found, RunPlan, at_work, find_replays, read_lines
from lakehouse.replay.runner import Engine, LocalEngine, run_corpus
from lakehouse.replay.session import ModelReplay, Rejudge, Replay
from lakehouse.sessionlog.keeping.sealing import reap
from lakehouse.stack import Stack

EngineName = Literal["local", "ray"]

_DRAIN_MS: Final = 10_000  # for sessions under way when the run is stopped
_LOADING_POLL_S: Final = 0.1
_DURATION: Final = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>s|m|h|)")
_UNITS_S: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Job(msgspec.Struct, frozen=True):
    """A plan and how to run it. `deadline_s` is for the whole run.

    `concurrency` is per process, or per worker of a cluster.
    """

    config: Config
    plan: RunPlan
    engine: EngineName
    concurrency: int
    deadline_s: float | None

    @property
    def root(self) -> Path:
        return self.config.path(self.config.log.path)


def check_engine(name: EngineName) -> None:
    """Check that an engine is installed, without loading it: Ray reads its variables when loaded.

    Raises:
        SetupError: It is not installed.
    """
    if name == "ray":
        check_installed("Replays with --engine ray", "ray", extra="ray")


def duration_s(text: str | None, *, option: str) -> float | None:
    """Read a duration as people write it; none stays none.

    Raises:
        SetupError: It is invalid.
    """
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    if match is None:
        raise SetupError(f"{option} is {text!r}; write 90s, 30m or 2h.")
    return float(match["number"]) * _UNITS_S[match["unit"]]


def run_job(job: Job) -> RunTally:
    """Run what is left of a plan, until it is done or stopped; what is done is in the log.

    Raises:
        LakehouseError: Another process works on the run, or the log cannot be used.
    """
    root, plan = job.root, job.plan
    with at_work(root, plan.run_id):
        reap(root)  # sessions that an earlier start was killed in get their rows, and are known
        entries = read_corpus(root, plan.corpus)
        tally = RunTally(total=len(entries))
        known = set()
        for line in read_lines(root, plan.run_id):
            entries.pop(line.row_id, None)
            known.add(line.replay_row_id)
            tally.count(line.baseline, line.candidate)
        tally.before, tally.done = tally.done, 0
        found = find_replays(root, plan.run_id, known)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            loop.run(_run(job, entries, found, tally))
    return tally


async def _run(job: Job, entries: dict[str, str], found: Found, tally: RunTally) -> None:
    stop = asyncio.Event()
    stack = Stack(job.config, os.environ, "replay")
    try:
        await _warn_of_changed_tables(stack, job.plan)
        async with contextlib.AsyncExitStack() as steps:
            engine = await _engine(job, stack, steps)
            tell = steps.enter_context(_bar(tally))
            steps.enter_context(_stopping(stop, tally, job.deadline_s))
            cutter = asyncio.create_task(_cut(stack, stop))
            steps.callback(cutter.cancel)
            books = Books(
                job.root,
                job.plan,
                tally=tally,
                stop=stop,
                clock=SystemClock(),
                tell=tell,
                # Those under way when an endpoint goes away are no sign that it stays away.
                outages_max=OUTAGES_IN_A_ROW_MAX + 2 * job.concurrency,
            )
            await run_corpus(engine, books, await books.recover(entries, found))
    finally:
        try:
            await stack.drain(0)
        finally:
            await stack.close()


async def _engine(job: Job, stack: Stack, steps: contextlib.AsyncExitStack) -> Engine:
    if job.engine == "local":
        return LocalEngine(await _way(stack, job.plan), concurrency=job.concurrency)
    from lakehouse.replay.cluster import ClusterEngine, connected  # noqa: PLC0415 - an extra

    steps.enter_context(connected())
    # Workers have directories of their own.
    config = msgspec.structs.replace(job.config, base=job.config.base.resolve())
    return ClusterEngine(
        functools.partial(_in_worker, config, job.plan),
        sink=stack.sink,
        concurrency=job.concurrency,
    )


@contextlib.asynccontextmanager
async def _in_worker(config: Config, plan: RunPlan, sink: RecordSink) -> AsyncIterator[Replay]:
    stack = Stack(config, os.environ, "replay", sink=sink)
    try:
        yield await _way(stack, plan)
    finally:
        await stack.close()


async def _way(stack: Stack, plan: RunPlan) -> Replay:
    """Choose how sessions are repeated; with a model, wait until those that load have loaded."""
    if plan.mode == "rejudge":
        return Rejudge(
            stack.catalog,
            plan.candidate,
            tables=stack.tables,
            sink=stack.sink,
            clock=SystemClock(),
        )
    await stack.start()
    # A load would count in the first sessions' latency.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(stack.config.session.load_budget_ms / 1000):
            while await _loads(stack):  # noqa: ASYNC110 - another process knows, and is asked
                await asyncio.sleep(_LOADING_POLL_S)
    return ModelReplay(
        stack.validator, plan.candidate, kinds=stack.catalog.kinds, in_force=plan.in_force
    )


async def _loads(stack: Stack) -> bool:
    return any(model.state == "loading" for model in await stack.chat.models())


async def _warn_of_changed_tables(stack: Stack, plan: RunPlan) -> None:
    now: dict[str, str] = {}
    for kind in stack.catalog.kinds.values():
        with contextlib.suppress(InfraError):  # the sessions of that kind will tell
            now |= (await stack.tables.snapshot(kind)).digests
    for name, digests in plan.tables.items():
        if name in now and set(digests) != {now[name]}:
            say(
                f"warning: table {name!r} changed after these sessions were judged: verdicts may "
                f"differ because of that alone.",
                err=True,
            )


async def _cut(stack: Stack, stop: asyncio.Event) -> None:
    """Once the run is stopped, give the sessions under way a while, then end them."""
    await stop.wait()
    await stack.drain(_DRAIN_MS)


@contextlib.contextmanager
def _stopping(stop: asyncio.Event, tally: RunTally, deadline_s: float | None) -> Iterator[None]:
    """Stop on SIGINT, SIGTERM or the deadline; a second signal ends the process where it stands."""
    loop = asyncio.get_running_loop()

    def end(reason: str) -> None:
        tally.stopped = tally.stopped or reason
        stop.set()

    def on_signal(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        end(f"Stopped by {number.name}.")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    timer = None
    if deadline_s is not None:
        timer = loop.call_later(deadline_s, end, f"Stopped at the deadline of {deadline_s:g} s.")
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f}/s")


@contextlib.contextmanager
def _bar(tally: RunTally) -> Iterator[Callable[[], None]]:
    """Show a bar on a terminal: rate, time left, and first-shot rates so far, baseline first."""
    console = terminal_console(err=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(_rates(tally), total=tally.total, completed=tally.before)

        def tell() -> None:
            progress.update(
                bar, completed=tally.total - tally.unanswered, description=_rates(tally)
            )

        yield tell


def _rates(tally: RunTally) -> str:
    sides = (_first_shot(side, tally) for side in (tally.baseline, tally.candidate))
    outages = f", outages {tally.outages}" if tally.outages else ""
    return "first shot " + " → ".join(sides) + outages


def _first_shot(side: SideTally, tally: RunTally) -> str:
    judged = tally.before + tally.done
    return percent(side.first_shot / judged if judged else None)
