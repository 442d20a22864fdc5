"""`Validator` in this process: one durable row and one reply for each session.

A session runs in a task of its own, so that a caller that disconnects ends neither the session nor
its row. Every session ends in this module, with one row, whatever ended it.
"""

import asyncio
import contextlib
import logging
from functools import partial

import msgspec

from lakehouse.core.clock import Clock, SystemClock
from lakehouse.core.context import CallContext, current_session
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.json_text import NULL
from lakehouse.core.kind import Kind, OwnChecks
from lakehouse.core.limits import LOG_GRACE_MS, LOG_MS_MIN, VALIDATE_MS_MAX
from lakehouse.core.observation import AttemptTimes, Observer, SessionEnded, SessionTimes
from lakehouse.core.ports import (
    ChatModel,
    KindInfo,
    RecordSink,
    TableSnapshot,
    TableSource,
    ValidateRequest,
)
from lakehouse.core.row import Row
from lakehouse.core.session import IterateRequest, Judged, SessionReply, ValidateReply
from lakehouse.engine.carried import check_columns, with_carried
from lakehouse.engine.inline_kind import inline_kind
from lakehouse.engine.iterate import iterate
from lakehouse.engine.judge import judge
from lakehouse.engine.own_checks import with_own
from lakehouse.engine.run import Bound, Run, session_reply
from lakehouse.engine.task import Catalog, SessionTask, find_kind, plan
from lakehouse.grounding.no_tables import NoTables
from lakehouse.grounding.rules import fault_of
from lakehouse.validation.pointers import doubts_of

_LOG = logging.getLogger(__name__)


class ValidatorService:
    """Runs and counts sessions: the rows written must equal the sessions accepted."""

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
        self.rows_waiting = 0  # given to the log, but not durable yet
        self._chat = chat
        self.tables = tables
        self._sink = sink
        self._observer = observer
        self._clock = clock or SystemClock()
        self._daemon = daemon
        self._running: set[asyncio.Task[SessionReply]] = set()
        self._in_loop: set[asyncio.Task[SessionReply]] = set()
        self._left: set[asyncio.Task[SessionReply]] = set()  # by callers that end their sessions
        self._draining = False

    async def iterate(
        self,
        request: IterateRequest,
        context: CallContext,
        *,
        judged: Judged | None = None,
        own: OwnChecks | None = None,
        ends_with_caller: bool = False,
    ) -> SessionReply:
        """Run one session; the port documents the guarantees.

        `own` is checked beside the kind. With `ends_with_caller`, a caller that is cancelled ends
        the session, as `shutdown`; it goes on when the row is durable.
        """
        task = plan(request, context, self.catalog)
        if own is not None:
            task = msgspec.structs.replace(task, kind=with_own(task.kind, own))
        started_ms = None
        if task.kind.carried:
            started_ms = self._clock.monotonic_ms()
            with contextlib.suppress(TimeoutError):  # the session, out of time, says so in its row
                async with asyncio.timeout(task.settings.deadline_ms / 1000):
                    await check_columns(task.kind, task.schema, self.tables)
        self._sink.check_writable()
        self.sessions_taken += 1
        loop = asyncio.get_running_loop()
        session = loop.create_task(self._session(task, judged, started_ms))
        self._running.add(session)
        while True:
            try:
                return await self._reply_of(session, loop)
            except asyncio.CancelledError:
                if ends_with_caller:
                    await self._leave(session)
                if ends_with_caller or not self._draining or session.cancelled():
                    raise
                # The session is about to end by itself; its reply is better than a refusal.
                caller = asyncio.current_task()
                assert caller is not None
                caller.uncancel()

    async def validate(self, request: ValidateRequest) -> ValidateReply:
        """Judge a given answer; the port documents the guarantees."""
        kind = self._kind_to_judge_by(request)
        with Bound(VALIDATE_MS_MAX / 1000, _validate_too_long):
            tables = await self._tables_of(request, kind).snapshot(kind)
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
            "rejected" if judgement.findings else "accepted",
            judgement.artifact,
            judgement.grounded,
            judgement.findings,
        )

    async def kinds(self) -> tuple[KindInfo, ...]:
        return tuple(kind_info(name, kind) for name, kind in sorted(self.catalog.kinds.items()))

    async def idle(self) -> None:
        """Wait until no session runs."""
        while self._running:
            await asyncio.wait(self._running)

    async def drain(self, *, patience_ms: int) -> None:
        """Let running sessions finish within the limit, then end the rest as `shutdown`.

        Returns when every session has its row, or its row could not be written. New sessions that
        arrive on open connections end as `shutdown` at once.
        """
        if self._running:
            await asyncio.wait(self._running, timeout=patience_ms / 1000)
        self._draining = True
        for session in tuple(self._in_loop):
            session.cancel()
        if self._running:
            await asyncio.wait(self._running)

    def _reply_of(
        self, session: asyncio.Task[SessionReply], loop: asyncio.AbstractEventLoop
    ) -> asyncio.Future[SessionReply]:
        """Return what the session will come to; cancelling that does not cancel the session.

        It is `asyncio.shield` at two thirds of its cost, as one callback does all that is to do.
        """
        reply: asyncio.Future[SessionReply] = loop.create_future()
        session.add_done_callback(partial(self._ended, reply))
        return reply

    def _ended(
        self, reply: asyncio.Future[SessionReply], session: asyncio.Task[SessionReply]
    ) -> None:
        self._running.discard(session)
        error = None if session.cancelled() else session.exception()
        if reply.done():  # its caller has left
            return
        if session.cancelled():
            reply.cancel()
        elif error is not None:
            reply.set_exception(error)
        else:
            reply.set_result(session.result())

    async def _leave(self, session: asyncio.Task[SessionReply]) -> None:
        """End a session without its caller; returns when its row is durable, or lost."""
        self._left.add(session)
        session.add_done_callback(self._left.discard)
        if session in self._in_loop:
            session.cancel()
        while not session.done():
            with contextlib.suppress(asyncio.CancelledError):  # it is ending already
                await asyncio.wait({session})

    def _tables_of(self, request: ValidateRequest, kind: Kind) -> TableSource:
        if request.kind is not None:
            return self.tables
        if not request.tables and not kind.grounding:
            return NoTables()
        from lakehouse.grounding.inline import InlineTables  # noqa: PLC0415  the import takes 0.5 s

        return InlineTables(request.tables or {})

    def _kind_to_judge_by(self, request: ValidateRequest) -> Kind:
        inline = request.schema != NULL
        if inline == (request.kind is not None):
            raise Refusal("invalid_request", "Send exactly one of `kind` and `schema`.")
        if request.kind is not None:
            if request.grounding is not None or request.tables is not None:
                raise Refusal(
                    "invalid_request",
                    "`grounding` and `tables` need `schema`; a kind has its own.",
                )
            return find_kind(request.kind, self.catalog.kinds)
        rules = tuple(rule.rule() for rule in request.grounding or ())
        kind = inline_kind(request.schema, system=None, max_iterations=1, model="")
        kind = with_carried(kind, self.catalog.schemas.of(kind), None)
        for index, rule in enumerate(rules):
            fault = fault_of(rule)
            if fault is not None:
                raise Refusal("invalid_request", f"`grounding[{index}]`: {fault}.")
            for doubt in doubts_of(self.catalog.schemas.of(kind), rule):
                if doubt.fatal:
                    raise Refusal(
                        "invalid_request", f"`grounding[{index}].{doubt.member}`: {doubt.message}."
                    )
        return msgspec.structs.replace(kind, grounding=(*rules, *kind.grounding))

    async def _session(
        self, task: SessionTask, judged: Judged | None, started_ms: float | None
    ) -> SessionReply:
        current_session.set(task.context.session_id)
        run = Run(task, self._clock, judged)
        if started_ms is not None:
            run.budget.started_ms = started_ms
        try:
            self._sink.started(run.started(daemon=self._daemon))
        except InfraError as error:
            run.end("infra_error", error)
            return self._unlogged(run)
        await self._run_to_its_end(run)
        if run.error is not None:
            _LOG.warning("the session ends as infra_error: %s", run.error.told)
        row = run.row(daemon=self._daemon)
        self.rows_waiting += 1
        try:
            # What is left of the deadline, and at least a grace period after it.
            left_s = run.budget.left_s(run.ended_ms - LOG_GRACE_MS, grace_ms=LOG_MS_MIN)
            with Bound(left_s, _log_too_late):
                await self._sink.append(row)
        except InfraError as error:
            run.verdict, run.error = "infra_error", error  # the caller must not act on the answer
            return self._unlogged(run)
        finally:
            self.rows_waiting -= 1
        self.rows_written += 1
        self._tell(run, row, logged=True)
        return session_reply(row, run.error)

    def _unlogged(self, run: Run) -> SessionReply:
        """Build the reply of a session without a row."""
        assert run.error is not None
        _LOG.error("the session leaves no row: %s", run.error.told)
        row = run.row(daemon=self._daemon)
        self._tell(run, row, logged=False)
        return session_reply(row, run.error)

    def _tell(self, run: Run, row: Row, *, logged: bool) -> None:
        if self._observer is not None:
            times = SessionTimes(
                run.budget.started_ms, run.ended_ms, self._clock.monotonic_ms(), tuple(run.times)
            )
            self._observer.session(SessionEnded(row, run.task.context, times, logged))

    async def _run_to_its_end(self, run: Run) -> None:
        """Run the loop and record its end in every case; a session may be cancelled only here."""
        session = asyncio.current_task()
        assert session is not None
        self._in_loop.add(session)
        try:
            if self._draining or session in self._left:
                raise self._shutdown(session)
            tables = await self._snapshot(run)
            run.tables = tables.digests
            verdict = await iterate(run, chat=self._chat, tables=tables)
            run.end(verdict)
        except InfraError as error:
            run.end("infra_error", error)
        except asyncio.CancelledError:
            session.uncancel()
            run.end("infra_error", self._shutdown(session))
        except Exception as error:  # noqa: BLE001  the boundary: the caller gets a reply
            # A bug in our code must not lose the row: the row says that it was one, and only the
            # daemon's own log has the details.
            _LOG.exception("the session failed")
            crash = InfraError(
                "crashed",
                "The session failed inside Lakehouse.",
                hint="This is a bug in Lakehouse: please report it with the traceback in the "
                "daemon's log.",
                internal=f"{type(error).__name__}: {error}",
                retryable=False,
            )
            run.end("infra_error", crash)
        finally:
            self._in_loop.discard(session)

    async def _snapshot(self, run: Run) -> TableSnapshot:
        kind = run.task.kind
        if not kind.grounding and not kind.rules:
            return await self.tables.snapshot(kind)  # it has nothing to wait for
        left_s = run.budget.left_s(run.budget.started_ms)
        with Bound(left_s, partial(_tables_too_late, run.task)):
            return await self.tables.snapshot(kind)

    def _shutdown(self, session: asyncio.Task[SessionReply]) -> InfraError:
        if session in self._left:
            return InfraError("shutdown", "The caller cancelled the session.")
        return InfraError("shutdown", "The daemon stopped before the session ended.")


def _tables_too_late(task: SessionTask) -> InfraError:
    return InfraError(
        "timeout",
        f"The deadline of {task.settings.deadline_ms} ms passed while the tables of the kind "
        "were loaded.",
        hint="The tables keep loading: try again shortly, or raise deadline_ms.",
    )


def _validate_too_long() -> InfraError:
    return InfraError(
        "timeout",
        f"The answer was not judged within {VALIDATE_MS_MAX} ms.",
        hint="A table may still be loading: try again shortly. Otherwise make the kind's rules "
        "cheaper.",
    )


def _log_too_late() -> InfraError:
    return InfraError(
        "log_unavailable",
        "The session log cannot be written.",
        hint="The disk behind the session log is too slow or hangs: `lakehouse doctor`.",
        internal="session log: no sync within the session's deadline and its grace",
    )


def kind_info(name: str, kind: Kind) -> KindInfo:
    """Describe a kind for `GET /v1/kinds`."""
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
