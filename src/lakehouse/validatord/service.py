"""`Validator` in this process: ids in, one durable row and one reply out.

A session runs in a task of its own, so that a caller who goes away takes neither the session nor
its row along. Everything that ends a session ends here, in one place, as one row.
"""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial

import msgspec

from lakehouse.core.clock import Clock, SystemClock
from lakehouse.core.context import CallContext, current_session
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.json_text import NULL
from lakehouse.core.kind import Kind
from lakehouse.core.limits import LOG_GRACE_MS, LOG_MS_MIN, VALIDATE_MS_MAX
from lakehouse.core.observation import AttemptTimes, Observer, SessionEnded, SessionTimes
from lakehouse.core.ports import ChatModel, KindInfo, RecordSink, TableSource, ValidateRequest
from lakehouse.core.row import Row
from lakehouse.core.session import IterateRequest, SessionReply, ValidateReply
from lakehouse.engine.budget import Budget
from lakehouse.engine.iterate import Progress, iterate
from lakehouse.engine.judge import judge
from lakehouse.engine.record import Outcome, final_row, session_reply, started_record
from lakehouse.engine.task import Catalog, SessionTask, find_kind, inline_kind, plan
from lakehouse.grounding.no_tables import NoTables
from lakehouse.grounding.rules import fault_of
from lakehouse.validation.pointers import doubts_of

_LOG = logging.getLogger(__name__)


class ValidatorService:
    """Runs sessions to their end and counts them: rows written must equal sessions taken on."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        chat: ChatModel,
        tables: TableSource,
        sink: RecordSink,
        observer: Observer | None = None,
        clock: Clock | None = None,
        daemon: str = "validatord",
    ) -> None:
        self.catalog = catalog
        self.sessions_taken = 0
        self.rows_written = 0
        self.rows_waiting = 0  # handed to the log and not durable yet
        self._chat = chat
        self._tables = tables
        self._sink = sink
        self._observer = observer
        self._clock = clock or SystemClock()
        self._daemon = daemon
        self._running: set[asyncio.Task[SessionReply]] = set()
        self._in_loop: set[asyncio.Task[SessionReply]] = set()
        self._draining = False

    async def iterate(self, request: IterateRequest, context: CallContext) -> SessionReply:
        """Run one session; see the port for what holds."""
        task = plan(request, context, self.catalog)
        self._sink.check_writable()
        self.sessions_taken += 1
        session = asyncio.create_task(self._session(task))
        self._running.add(session)
        session.add_done_callback(self._running.discard)
        caller = asyncio.current_task()
        assert caller is not None
        while True:
            try:
                return await asyncio.shield(session)
            except asyncio.CancelledError:
                if not self._draining or session.cancelled():
                    raise
                # The session ends by itself now, and its reply says how: better than a refusal.
                caller.uncancel()

    async def validate(self, request: ValidateRequest) -> ValidateReply:
        """Judge a given answer; see the port for what holds."""
        kind = self._kind_to_judge_by(request)
        budget = Budget(self._clock, deadline_ms=VALIDATE_MS_MAX, load_budget_ms=0)
        async with budget.bound(_validate_too_long):
            tables = await self._tables_of(request).snapshot(kind)
            judgement = await judge(
                request.output,
                "stop",
                kind=kind,
                schema=self.catalog.schemas.of(kind),
                sources=() if request.source is None else (request.source,),
                tables=tables,
                times=AttemptTimes("", 0.0),
                clock=self._clock,
            )
        return ValidateReply(
            "accepted" if judgement.accepted else "rejected",
            judgement.artifact,
            judgement.grounded,
            judgement.findings,
        )

    async def kinds(self) -> tuple[KindInfo, ...]:
        """List the configured kinds, sorted by name."""
        return tuple(kind_info(name, kind) for name, kind in sorted(self.catalog.kinds.items()))

    async def drain(self, *, patience_ms: int) -> None:
        """Let the sessions under way end, then write the rest as `shutdown`.

        Returns when every session has its row or could not have one. New sessions that still
        arrive on open connections end as `shutdown` at once.
        """
        if self._running:
            await asyncio.wait(self._running, timeout=patience_ms / 1000)
        self._draining = True
        for session in tuple(self._in_loop):
            session.cancel()
        if self._running:
            await asyncio.wait(self._running)

    def _tables_of(self, request: ValidateRequest) -> TableSource:
        if request.kind is not None:
            return self._tables
        if not request.tables and not request.grounding:
            return NoTables()
        from lakehouse.grounding.inline import InlineTables  # noqa: PLC0415  half a second, once

        return InlineTables(request.tables or {})

    def _kind_to_judge_by(self, request: ValidateRequest) -> Kind:
        inline = request.schema != NULL
        if inline == (request.kind is not None):
            raise Refusal("invalid_request", "Send exactly one of `kind` and `schema`.")
        if request.kind is not None:
            if request.grounding is not None or request.tables is not None:
                raise Refusal(
                    "invalid_request",
                    "`grounding` and `tables` go with `schema`; a kind brings its own.",
                )
            return find_kind(request.kind, self.catalog.kinds)
        rules = tuple(rule.rule() for rule in request.grounding or ())
        kind = inline_kind(request.schema, system=None, max_iterations=1, model="")
        for index, rule in enumerate(rules):
            fault = fault_of(rule)
            if fault is not None:
                raise Refusal("invalid_request", f"`grounding[{index}]`: {fault}.")
            for doubt in doubts_of(self.catalog.schemas.of(kind), rule):
                if doubt.fatal:
                    raise Refusal(
                        "invalid_request", f"`grounding[{index}].{doubt.member}`: {doubt.message}."
                    )
        return msgspec.structs.replace(kind, grounding=rules)

    async def _session(self, task: SessionTask) -> SessionReply:
        current_session.set(task.context.session_id)
        budget = Budget(
            self._clock,
            deadline_ms=_tighter(task.settings.deadline_ms, task.context.deadline_ms),
            load_budget_ms=_tighter(task.load_budget_ms, task.context.load_budget_ms),
        )
        try:
            self._sink.started(started_record(task, daemon=self._daemon, moment=self._clock.now()))
        except InfraError as error:
            outcome = _infra(error, Progress(), {}, budget)
            _LOG.error("the session leaves no row: %s", error.told)
            moment, ended_ms = self._clock.now(), self._clock.monotonic_ms()
            row = final_row(task, outcome, daemon=self._daemon, moment=moment)
            self._tell(task, row, outcome, (budget.started_ms, ended_ms), logged=False)
            return session_reply(task, outcome)
        outcome = await self._outcome(task, budget)
        if outcome.error is not None:
            _LOG.warning("the session ends as infra_error: %s", outcome.error.told)
        moment, ended_ms = self._clock.now(), self._clock.monotonic_ms()
        row = final_row(task, outcome, daemon=self._daemon, moment=moment)
        logged = True
        self.rows_waiting += 1
        try:
            log_ms = max(budget.left_ms() + LOG_GRACE_MS, LOG_MS_MIN)
            async with budget.bound(_log_too_late, grace_ms=log_ms):
                await self._sink.append(row)
        except InfraError as error:
            outcome, logged = _unlogged(outcome, error), False
            _LOG.error("the session leaves no row: %s", error.told)
            row = final_row(task, outcome, daemon=self._daemon, moment=moment)
        else:
            self.rows_written += 1
        finally:
            self.rows_waiting -= 1
        self._tell(task, row, outcome, (budget.started_ms, ended_ms), logged=logged)
        return session_reply(task, outcome)

    def _tell(
        self,
        task: SessionTask,
        row: Row,
        outcome: Outcome,
        ran_ms: tuple[float, float],
        *,
        logged: bool,
    ) -> None:
        if self._observer is not None:
            times = SessionTimes(*ran_ms, self._clock.monotonic_ms(), outcome.times)
            self._observer.session(SessionEnded(row, task.context, times, logged))

    async def _outcome(self, task: SessionTask, budget: Budget) -> Outcome:
        """Run the loop to an outcome, whatever happens; only here may a session be cancelled."""
        progress = Progress()
        digests: Mapping[str, str] = {}
        session = asyncio.current_task()
        assert session is not None
        self._in_loop.add(session)
        try:
            if self._draining:
                raise _shutdown()
            async with budget.bound(partial(_tables_too_late, task)):
                tables = await self._tables.snapshot(task.kind)
            digests = tables.digests
            verdict = await iterate(
                task,
                chat=self._chat,
                tables=tables,
                clock=self._clock,
                budget=budget,
                progress=progress,
            )
        except InfraError as error:
            return _infra(error, progress, digests, budget)
        except asyncio.CancelledError:
            session.uncancel()
            return _infra(_shutdown(), progress, digests, budget)
        except Exception as error:  # noqa: BLE001  the boundary: the caller gets an answer
            # A bug of ours must not lose the row: it is written as what it is, and told in full
            # to our own log only.
            _LOG.exception("the session failed")
            crash = InfraError(
                "crashed",
                "The session failed inside Lakehouse.",
                hint="A bug of ours: please report it with the traceback in the daemon's log.",
                internal=f"{type(error).__name__}: {error}",
                retryable=False,
            )
            return _infra(crash, progress, digests, budget)
        finally:
            self._in_loop.discard(session)
        return Outcome(
            verdict=verdict,
            attempts=tuple(progress.attempts),
            grounded=progress.grounded,
            error=None,
            tables=digests,
            duration_ms=budget.elapsed_ms(),
            times=tuple(progress.times),
        )


def _infra(
    error: InfraError, progress: Progress, digests: Mapping[str, str], budget: Budget
) -> Outcome:
    return Outcome(
        verdict="infra_error",
        attempts=tuple(progress.attempts),
        grounded=progress.grounded,
        error=error,
        tables=digests,
        duration_ms=budget.elapsed_ms(),
        times=tuple(progress.times),
    )


def _unlogged(outcome: Outcome, error: InfraError) -> Outcome:
    """Turn a finished session into one that leaves no row: the caller may not act on it."""
    return msgspec.structs.replace(outcome, verdict="infra_error", error=error)


def _shutdown() -> InfraError:
    return InfraError("shutdown", "The daemon stopped before the session ended.")


def _tables_too_late(task: SessionTask) -> InfraError:
    return InfraError(
        "timeout",
        f"The deadline of {task.settings.deadline_ms} ms passed while the tables of the kind "
        "were loaded.",
        hint="Their load goes on: ask again shortly, or raise deadline_ms.",
    )


def _validate_too_long() -> InfraError:
    return InfraError(
        "timeout",
        f"The answer was not judged within {VALIDATE_MS_MAX} ms.",
        hint="A table may still be loading: ask again shortly; else make the kind's rules cheaper.",
    )


def _log_too_late() -> InfraError:
    return InfraError(
        "log_unavailable",
        "The session log cannot be written.",
        hint="The disk behind the session log is too slow or hangs: `lakehouse doctor`.",
        internal="session log: no sync in time, counted from the session's deadline",
    )


def _tighter(own_ms: int, outer_ms: int | None) -> int:
    return own_ms if outer_ms is None else min(own_ms, outer_ms)


def kind_info(name: str, kind: Kind) -> KindInfo:
    """Show a kind as `GET /v1/kinds` does."""
    return KindInfo(
        name,
        kind.model,
        kind.max_iterations,
        kind.system,
        kind.schema,
        kind.grounding,
        kind.rules,
        kind.digest,
        dict(kind.grown),
    )
