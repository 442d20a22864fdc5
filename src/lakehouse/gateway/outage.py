"""A validator out of reach still leaves rows: an outage must show in the log, and only once.

The gateway writes the row only when the session surely never reached a validator. Where it
cannot know, it says so with the row id and leaves the row to the validator or the reaper.
"""

import asyncio

import msgspec

from lakehouse.core.clock import Clock, SystemClock
from lakehouse.core.context import CallContext
from lakehouse.core.errors import InfraError
from lakehouse.core.observation import Observer, SessionEnded, SessionTimes
from lakehouse.core.ports import KindInfo, RecordSink, ValidateRequest, Validator
from lakehouse.core.session import IterateRequest, SessionReply, ValidateReply
from lakehouse.engine.record import Outcome, final_row, session_reply
from lakehouse.engine.task import Catalog, SessionTask, plan


class OutageRecorder:
    """A `Validator` around a remote one. Its row says `infra_error/connect`, daemon `gateway`."""

    def __init__(
        self,
        remote: Validator,
        *,
        catalog: Catalog,
        sink: RecordSink,
        observer: Observer | None = None,
        clock: Clock | None = None,
        daemon: str = "gateway",
    ) -> None:
        self._remote = remote
        self._catalog = catalog
        self._sink = sink
        self._observer = observer
        self._clock = clock or SystemClock()
        self._daemon = daemon

    async def iterate(self, request: IterateRequest, context: CallContext) -> SessionReply:
        """Pass the session on; record it when there is surely nobody else to."""
        started_ms = self._clock.monotonic_ms()
        try:
            return await self._remote.iterate(request, context)
        except asyncio.CancelledError:
            # This daemon stops; the session goes on where it runs, and leaves its row there.
            current = asyncio.current_task()
            assert current is not None
            current.uncancel()
            error = InfraError("crashed", "The gateway stopped before the session ended.")
        except InfraError as infra_error:
            error = infra_error
        task = plan(request, context, self._catalog)
        outcome = Outcome(
            verdict="infra_error",
            attempts=(),
            grounded=None,
            error=error,
            tables={},
            duration_ms=int(self._clock.monotonic_ms() - started_ms),
        )
        if error.code == "connect":
            outcome = await asyncio.shield(
                asyncio.create_task(self._recorded(task, outcome, started_ms))
            )
        return session_reply(task, outcome)

    async def validate(self, request: ValidateRequest) -> ValidateReply:
        """Pass the check on; it leaves no row anyway."""
        return await self._remote.validate(request)

    async def kinds(self) -> tuple[KindInfo, ...]:
        """Pass the question on."""
        return await self._remote.kinds()

    async def _recorded(self, task: SessionTask, outcome: Outcome, started_ms: float) -> Outcome:
        moment, ended_ms = self._clock.now(), self._clock.monotonic_ms()
        row = final_row(task, outcome, daemon=self._daemon, moment=moment)
        logged = True
        try:
            await self._sink.append(row)
        except InfraError as error:
            outcome, logged = msgspec.structs.replace(outcome, error=error), False
            row = final_row(task, outcome, daemon=self._daemon, moment=moment)
        if self._observer is not None:
            times = SessionTimes(started_ms, ended_ms, self._clock.monotonic_ms())
            self._observer.session(SessionEnded(row, task.context, times, logged))
        return outcome
