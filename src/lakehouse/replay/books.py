"""The records of a run: the end of every session is written here, whichever engine ran it.

The row of a replay is durable before its line is written. A process killed in between leaves a row
without a line; the next start finds the row by its id and does not ask the model again. Outages
get no line.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from lakehouse.core.clock import Clock
from lakehouse.core.errors import InfraError
from lakehouse.core.replay_row import ReplayRun
from lakehouse.core.row import Row
from lakehouse.core.row_codec import decode_row
from lakehouse.files.disk import reason
from lakehouse.replay.candidate import replay_row_id
from lakehouse.replay.corpus import rows_among
from lakehouse.replay.progress import RunTally
from lakehouse.replay.run import Found, RunPlan, append_runs
from lakehouse.replay.session import Ended, Replay, Replayed, run_session, side_of
from lakehouse.sessionlog.layout import REPLAY_RUNS

OUTAGES_IN_A_ROW_MAX: Final = 20  # after so many in a row, the run stops
_FLUSH_S: Final = 0.1  # between two groups of lines, written and synced together


class Books:
    """The books of one run in one process. What they count as done is in the log."""

    def __init__(
        self,
        root: Path,
        plan: RunPlan,
        *,
        tally: RunTally,
        stop: asyncio.Event,
        clock: Clock,
        tell: Callable[[], None] = lambda: None,
        outages_max: int = OUTAGES_IN_A_ROW_MAX,
    ) -> None:
        """Open the books of a run.

        Args:
            root: The log directory.
            plan: Of the run.
            tally: Updated after every session.
            stop: When set, no further session begins. Too many outages in a row set it.
            clock: For the timestamps of lines.
            tell: Called after every session.
            outages_max: Outages in a row that stop the run.
        """
        self.root = root
        self.plan = plan
        self.tally = tally
        self.stop = stop
        self.attempts: dict[str, int] = {}  # of sessions that outages ended, by row id
        self._clock = clock
        self._tell = tell
        self._outages_max = outages_max
        self._lines: list[ReplayRun] = []
        self._writing = asyncio.Lock()
        self.metadata = {"mode": plan.mode, "corpus": plan.corpus}

    def own_id(self, row_id: str) -> str:
        """Return the row id of the next replay of a session."""
        return replay_row_id(self.plan.run_id, row_id, self.attempts.get(row_id, 0))

    async def run(self, replay: Replay, row: Row) -> Ended:
        """Run one session; the caller settles the result."""
        return await run_session(
            replay,
            self.plan.run_id,
            row,
            self.own_id(row.row_id),
            clock=self._clock,
            metadata=self.metadata,
        )

    def settle(self, row_id: str, ended: Ended) -> bool:
        """Record how a session ended, once its row is durable; tells whether to try it again."""
        tally = self.tally
        if ended.line is not None:
            self._lines.append(ended.line)
            tally.count(ended.line.baseline, ended.line.candidate)
        elif ended.refusal:
            tally.refused += 1
            tally.refusal = tally.refusal or ended.refusal
        else:
            if ended.used:
                self.attempts[row_id] = self.attempts.get(row_id, 0) + 1
            self._count_outage(ended.outage)
        self._tell()
        return bool(ended.outage)

    async def recover(self, entries: Mapping[str, str], found: Found) -> dict[str, str]:
        """Write the missing lines of answers that are in the log; gives the sessions left to run.

        Raises:
            InfraError: `log_unavailable`.
        """
        answers: dict[str, Row] = {}
        for row_id in entries:
            while (own_id := self.own_id(row_id)) in found.outages:
                self.attempts[row_id] = self.attempts.get(row_id, 0) + 1
            if own_id in found.answers:
                answers[row_id] = found.answers[own_id]
        for line in rows_among(self.root, answers):
            row = decode_row(line)
            answer = answers[row.row_id]
            self.settle(row.row_id, await self.run(_there_already(answer), row))
            self.tally.recovered += 1
        await self.flush()
        return {row_id: sha256 for row_id, sha256 in entries.items() if row_id not in answers}

    async def flush_often(self) -> None:
        """Write pending lines at short intervals, until cancelled.

        Raises:
            InfraError: `log_unavailable`.
        """
        while True:
            await asyncio.sleep(_FLUSH_S)
            await self.flush()

    async def flush(self) -> None:
        """Write the pending lines; durable when this returns, with those of a cancelled flush.

        Raises:
            InfraError: `log_unavailable`. The rows of the sessions are in the log, and the next
                start finds them.
        """
        # A thread that writes cannot be cancelled: the next flush waits for it, and tries again
        # what it could not write.
        writing = asyncio.create_task(self._write())
        writing.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        await asyncio.shield(writing)

    async def _write(self) -> None:
        async with self._writing:
            lines, self._lines = self._lines, []
            if not lines:
                return
            try:
                await asyncio.to_thread(append_runs, self.root, lines)
            except OSError as error:
                self._lines = lines + self._lines  # nobody may wait for this write any more
                raise InfraError(
                    "log_unavailable",
                    "The results of the replay cannot be written.",
                    internal=f"{REPLAY_RUNS}: {reason(error)}",
                ) from error

    def _count_outage(self, cause: str) -> None:
        tally = self.tally
        tally.outages += 1
        tally.outages_in_a_row += 1
        if tally.outages_in_a_row >= self._outages_max and not self.stop.is_set():
            tally.stopped = f"Stopped after {self._outages_max} outages in a row. Last: {cause}"
            self.stop.set()


def _there_already(answer: Row) -> Replay:
    """Return the answer that is in the log instead of asking for one."""

    async def replay(row: Row, replay_row_id: str) -> Replayed:
        assert answer.row_id == replay_row_id
        assert answer.session_id == row.session_id
        return Replayed(side=side_of(answer), artifact=answer.artifact, error=None)

    return replay
