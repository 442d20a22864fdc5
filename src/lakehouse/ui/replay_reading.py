"""Reads the replays of a log without delaying sessions: one process at a time, of its own.

A report of a large replay takes a minute, so nobody has to wait for it: it is computed once, in the
background, and kept in memory while nothing it depends on has changed.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import msgspec

import lakehouse
from lakehouse.comparison.summary import PairedMetric
from lakehouse.core.errors import LakehouseError, Refusal
from lakehouse.process.children import LAST_WORDS, Child
from lakehouse.sessionlog.forgotten import FORGOTTEN
from lakehouse.sessionlog.index.reader import stopping
from lakehouse.sessionlog.index.root_watch import RootWatch
from lakehouse.sessionlog.layout import FEEDBACK, REPLAY_RUNS
from lakehouse.sessionlog.reading.compacted import is_remote
from lakehouse.ui.replay_answers import (
    ComputedReport,
    ListTask,
    OneTask,
    ReplayAnswer,
    ReplayList,
    ReplayState,
    ReportTask,
    Task,
)

LIST_TIMEOUT_MS: Final = 20_000
REPORT_TIMEOUT_MS: Final = 300_000
_REPORTS_KEPT_MAX: Final = 8  # each up to 10 MB
_METRICS_KEPT_MAX: Final = 256
_LISTS_KEPT_MAX: Final = 16
_REPORTS_WAITING_MAX: Final = 8
_SHARED_S: Final = 2.0  # a list, whether or not something changed: a lock tells nobody
_UNFINISHED_S: Final = 15.0  # the report of a replay that may go on
_FAILED_S: Final = 30.0  # a report that could not be computed is not tried again at once
_ANSWER_BYTES_MAX: Final = 64 << 20
_MODULES: Final = ("numpy", "scipy")  # of the extra, for a report


class ReplayReadFailed(LakehouseError):
    """The replays could not be read: time or memory ran out, or the log is at fault."""


class _Kept(msgspec.Struct):
    """An answer under way or given, and until when it holds. `stamp`: what it depends on."""

    answer: asyncio.Future[Any]
    stamp: object
    until_s: float = float("inf")


class ReplayReadings:
    """Questions about the replays of one log, from the pages of one process."""

    def __init__(
        self,
        root: Path,
        *,
        report_timeout_ms: int = REPORT_TIMEOUT_MS,
        installed: Callable[[str], object] = find_spec,
    ) -> None:
        """Read the log at `root`; nothing runs before the first question.

        Args:
            root: The log directory.
            report_timeout_ms: Of one report.
            installed: Finds a module, None if it is not installed.
        """
        self.root: Final = root.expanduser().resolve()
        self._report_timeout_ms = report_timeout_ms
        self._installed = installed
        # Lists are quick, and must not wait for a report.
        self._lister = ThreadPoolExecutor(max_workers=1, thread_name_prefix="replay-list")
        self._reporter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="replay-report")
        self._lists: OrderedDict[bytes, _Kept] = OrderedDict()
        self._reports: OrderedDict[bytes, _Kept] = OrderedDict()
        self._metrics: dict[str, tuple[object, tuple[PairedMetric, ...]]] = {}
        self._children: set[Child] = set()
        self._stopped = threading.Event()
        self._watch = RootWatch(self.root)

    @property
    def report_needs(self) -> str:
        """Name the modules that a report needs and that are not installed; empty if none."""
        return " and ".join(name for name in _MODULES if self._installed(name) is None)

    def stop(self) -> None:
        """End what is under way; it, what waits and later questions get `shutdown`."""
        self._stopped.set()
        for child in tuple(self._children):
            child.cut()

    def close(self) -> None:
        """Stop, and wait until the processes have ended."""
        self.stop()
        for pool in (self._lister, self._reporter):
            pool.shutdown()  # what waits ends at once

    async def replays(self, *, before: str | None = None) -> ReplayList:
        """Return a page of replays, newest first, those that began before `before`.

        Raises:
            ReplayReadFailed: See there.
        """
        answer = await self._listed(ListTask(str(self.root), before))
        assert answer.replays is not None, "each task has its answer"
        return answer.replays

    async def replay(self, run_id: str) -> ReplayState:
        """Return one replay, by its id or by the beginning of it.

        Raises:
            Refusal: `not_found`.
            ReplayReadFailed: See there.
        """
        answer = await self._listed(OneTask(str(self.root), run_id))
        assert answer.replay is not None, "each task has its answer"
        return answer.replay

    async def report(
        self, replay: ReplayState, conditions: tuple[str, ...] = (), *, wait_s: float = 0.0
    ) -> ComputedReport | None:
        """Return the report of a replay; None while it is computed, which goes on.

        Args:
            replay: As it is now.
            conditions: Of a gate.
            wait_s: How long to wait for it.

        Raises:
            Refusal: A condition is invalid, or too many reports are waited for.
            ReplayReadFailed: See there; the same for some seconds, then it is tried again.
        """
        asked = self._asked(replay, conditions)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                answer: ReplayAnswer = await asyncio.shield(asked)
                return answer.report
        return None

    def known_metrics(self, replay: ReplayState) -> tuple[PairedMetric, ...]:
        """Return the measures of a replay, if its report has been computed; else none."""
        stamp, metrics = self._metrics.get(replay.run_id, (None, ()))
        return metrics if stamp == self._stamp(replay) else ()

    def _asked(
        self, replay: ReplayState, conditions: tuple[str, ...]
    ) -> asyncio.Future[ReplayAnswer]:
        key, stamp = _key(replay.run_id, conditions), self._stamp(replay)
        now_s = asyncio.get_running_loop().time()
        kept = self._reports.get(key)
        if kept is not None and not kept.answer.done():
            return kept.answer  # what changed meanwhile is seen by the next one
        if kept is not None and kept.stamp == stamp and now_s < kept.until_s:
            self._reports.move_to_end(key)
            return kept.answer
        if sum(not one.answer.done() for one in self._reports.values()) >= _REPORTS_WAITING_MAX:
            raise Refusal(
                "rate_limited",
                f"{_REPORTS_WAITING_MAX} reports of replays are being computed or wait.",
                hint="Load the page again shortly.",
                retry_after_s=5,
            )
        task = ReportTask(str(self.root), replay.run_id, conditions)
        timeout_ms = self._report_timeout_ms
        asked = self._begin(self._reporter, task, timeout_ms)
        made = self._reports[key] = _Kept(asked, stamp)
        self._reports.move_to_end(key)
        asked.add_done_callback(lambda done: self._computed(replay, conditions, made, done))
        _drop_oldest(self._reports, _REPORTS_KEPT_MAX)
        return asked

    def _computed(
        self,
        replay: ReplayState,
        conditions: tuple[str, ...],
        made: _Kept,
        done: asyncio.Future[ReplayAnswer],
    ) -> None:
        """Note until when a report holds, and what the list shows of it."""
        now_s = done.get_loop().time()
        if done.cancelled() or done.exception() is not None:
            made.until_s = now_s + _FAILED_S
            return
        if replay.state != "whole":
            made.until_s = now_s + _UNFINISHED_S
        report = done.result().report
        if not conditions and report is not None:
            self._metrics[replay.run_id] = made.stamp, report.report.metrics
            while len(self._metrics) > _METRICS_KEPT_MAX:
                del self._metrics[next(iter(self._metrics))]

    async def _listed(self, task: ListTask | OneTask) -> ReplayAnswer:
        key, stamp = msgspec.json.encode(task), _stat(self.root / REPLAY_RUNS)
        now_s = asyncio.get_running_loop().time()
        kept = self._lists.get(key)
        if kept is None or (kept.answer.done() and (kept.stamp != stamp or now_s > kept.until_s)):
            asked = self._begin(self._lister, task, LIST_TIMEOUT_MS)
            kept = self._lists[key] = _Kept(asked, stamp, until_s=now_s + _SHARED_S)
            self._lists.move_to_end(key)
            _drop_oldest(self._lists, _LISTS_KEPT_MAX)
        answer: ReplayAnswer = await asyncio.shield(kept.answer)
        return answer

    def _begin(
        self, pool: ThreadPoolExecutor, task: Task, timeout_ms: int
    ) -> asyncio.Future[ReplayAnswer]:
        if self._stopped.is_set():
            raise stopping()
        loop = asyncio.get_running_loop()
        asked = loop.run_in_executor(pool, self._run, task, timeout_ms)
        # Those who wait are told of its failure; that nobody waits is no fault.
        asked.add_done_callback(lambda done: done.cancelled() or done.exception())
        return asked

    def _stamp(self, replay: ReplayState) -> object:
        """Return what a report depends on, beside the rows of its sessions, which stay."""
        files = (self.root / FEEDBACK, self.root / FORGOTTEN)
        return replay.done, replay.state, *map(_stat, files)

    def _run(self, task: Task, timeout_ms: int) -> ReplayAnswer:
        if self._stopped.is_set():
            raise stopping()
        self._watch.changed()
        with tempfile.TemporaryFile() as output:
            child = Child(
                # -P: a file of the working directory is no module of ours.
                [sys.executable, "-P", "-m", "lakehouse.ui.replay_child"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=LAST_WORDS,
                env=_environment(self.root),
            )
            self._children.add(child)
            try:
                if self._stopped.is_set():
                    raise stopping()
                with contextlib.suppress(BrokenPipeError):  # it died early: seen by its silence
                    child.process.communicate(msgspec.json.encode(task), timeout=timeout_ms / 1000)
            except subprocess.TimeoutExpired as error:
                raise ReplayReadFailed(
                    f"The replay was not read within {timeout_ms / 1000:g} s.",
                    hint=_ON_A_TERMINAL,
                ) from error
            finally:
                self._children.discard(child)
                code = child.end()
            if self._stopped.is_set() and code:
                raise stopping()
            output.seek(0)
            return _decoded(output.read(_ANSWER_BYTES_MAX), child)


_ON_A_TERMINAL: Final = "`lakehouse replay show RUN` computes it without a limit of time or memory."


def _decoded(data: bytes, child: Child) -> ReplayAnswer:
    try:
        answer = msgspec.json.decode(data, type=ReplayAnswer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ReplayReadFailed(
            "The process that reads replays ended without an answer.",
            hint=_ON_A_TERMINAL,
            internal=f"the process that reads replays {child.ending}",
        ) from error
    if answer.error is None:
        return answer
    if answer.code == "not_found":
        raise Refusal("not_found", answer.error, hint=answer.hint)
    if answer.code is not None:
        raise Refusal("invalid_request", answer.error, hint=answer.hint)
    raise ReplayReadFailed(answer.error, hint=answer.hint or _ON_A_TERMINAL)


def _drop_oldest(kept: OrderedDict[bytes, _Kept], most: int) -> None:
    for key in [key for key, one in kept.items() if one.answer.done()]:
        if len(kept) <= most:
            return
        del kept[key]


def _key(run_id: str, conditions: tuple[str, ...]) -> bytes:
    return msgspec.json.encode((run_id, conditions))


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _environment(root: Path) -> dict[str, str]:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(Path(lakehouse.__file__).parent.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        # Sessions come first: one core is enough for a report.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    if is_remote(root):
        # Its library finds the object store, and the right to read it, in these.
        environment |= {
            name: value for name, value in os.environ.items() if name.startswith("AWS_")
        }
    return environment
