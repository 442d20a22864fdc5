"""The workers of `lakehouse run`: they share the inputs, write the results, and stop together."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from lakehouse.cli.run_files import ResultFile, refusal_of, result_of
from lakehouse.cli.run_inputs import Input, RefusedRow
from lakehouse.cli.run_target import SessionTarget
from lakehouse.core.errors import InfraError, LakehouseError, Refusal, SetupError
from lakehouse.core.session import IterateRequest, SessionReply

INFRA_IN_A_ROW_MAX: Final = 20  # after so many outages one after the other, the rest can wait


class Tally:
    """The counts of a run."""

    def __init__(self) -> None:
        self.accepted = 0
        self.rejected = 0
        self.refused = 0
        self.infra = 0
        self.infra_in_a_row = 0
        self.skipped = 0
        self.rejected_before = 0
        self.cause = ""
        self.stopped = ""

    def line(self) -> str:
        told = f"accepted {self.accepted}, rejected {self.rejected}, infra_error {self.infra}"
        return f"{told}, refused {self.refused}" if self.refused else told

    def finished(self) -> int:
        return self.accepted + self.rejected + self.refused + self.infra + self.skipped


def pending(
    rows: Iterator[Input | RefusedRow], done: Mapping[int, str | None], tally: Tally
) -> Iterator[Input | RefusedRow]:
    """Return the rows that are not done, in order.

    Raises:
        SetupError: A finished row has a different prompt now, or a prompt for the first time.
    """
    for row in rows:
        digest = row.digest if isinstance(row, Input) else None
        if row.index not in done:
            yield row
        elif done[row.index] != digest:
            raise SetupError(
                f"row {row.index} is not the same text as in the earlier run.",
                hint="Choose a new --output for a changed input file or template; "
                "--retry-rejects runs the rows of the rejects file again.",
            )
        else:
            tally.skipped += 1


class Crew:
    """The workers of one run."""

    def __init__(
        self,
        target: SessionTarget,
        request: IterateRequest,
        rows: Iterator[Input | RefusedRow],
        files: tuple[ResultFile, ResultFile],
        tally: Tally,
        *,
        stop: asyncio.Event,
        tell: Callable[[], None],
        judged_by: Callable[[dict[str, str]], None],
    ) -> None:
        """Store what they share; `judged_by` receives the tables that only a session can report."""
        self._target = target
        self._request = request
        self._rows = rows
        self._accepted, self._rejected = files
        self._tally = tally
        self._stop = stop
        self._tell = tell
        self._judged_by = judged_by
        self._tables = asyncio.Lock()
        self._tables_known = target.facts.tables is not None

    async def work(self) -> None:
        """Process rows one by one until there are none, or the run is stopped."""
        for row in self._rows:
            if isinstance(row, RefusedRow):
                self._refuse(row)
            else:
                await self._run(row)
            self._tell()
            if self._stop.is_set():
                return

    async def _run(self, row: Input) -> None:
        request = msgspec.structs.replace(self._request, prompt=row.text, metadata=row.metadata)
        try:
            reply = await self._target.iterate(request)
        except Refusal as refusal:
            if refusal.code == "too_large":
                self._refuse(RefusedRow(row.index, f"row {row.index}: {refusal.public}", row.kept))
            elif refusal.retryable:
                self._outage(refusal)
            else:
                raise
        except InfraError as error:
            self._outage(error)
        else:
            await self._take(row, reply)

    async def _take(self, row: Input, reply: SessionReply) -> None:
        if reply.verdict == "infra_error":
            self._outage(reply.error)
            return
        await self._check_tables(reply)
        self._tally.infra_in_a_row = 0
        if reply.verdict == "accepted":
            self._accepted.append(result_of(row, reply))
            self._tally.accepted += 1
        else:
            self._rejected.append(result_of(row, reply))
            self._tally.rejected += 1

    async def _check_tables(self, reply: SessionReply) -> None:
        """See once, before the first result is written, which tables judge."""
        async with self._tables:
            if not self._tables_known:
                found = await self._target.tables(reply)
                if found is not None:
                    self._judged_by(found)
                self._tables_known = True

    def _refuse(self, row: RefusedRow) -> None:
        self._rejected.append(refusal_of(row))
        self._tally.refused += 1

    def _outage(self, error: object) -> None:
        tally = self._tally
        tally.infra += 1
        tally.infra_in_a_row += 1
        tally.cause = _cause(error)
        if tally.infra_in_a_row >= INFRA_IN_A_ROW_MAX and not self._stop.is_set():
            tally.stopped = (
                f"Stopped after {INFRA_IN_A_ROW_MAX} outages in a row at {self._target.place}. "
                f"Last: {tally.cause}"
            )
            self._stop.set()


def _cause(error: object) -> str:
    if isinstance(error, LakehouseError):
        return f"{error.public} {error.hint}".rstrip()
    code, message = getattr(error, "code", ""), getattr(error, "message", "")
    return f"{code}: {message} {getattr(error, 'hint', '')}".rstrip()
