"""Writes one row for each session whose validator is unreachable, so that the log has outages.

The gateway writes the row only if the session certainly never reached a validator. If it cannot
know, its error has the row id, and the validator or the reaper writes the row.
"""

import asyncio
import logging

import msgspec

from lakehouse.core.chat import ModelName
from lakehouse.core.clock import Clock, SystemClock
from lakehouse.core.context import CallContext
from lakehouse.core.errors import InfraError
from lakehouse.core.kind import Kind, kind_digest
from lakehouse.core.limits import ITERATIONS_DEFAULT
from lakehouse.core.observation import Observer, SessionEnded, SessionTimes
from lakehouse.core.ports import KindInfo, RecordSink, ValidateRequest, Validator
from lakehouse.core.row import Row
from lakehouse.core.session import IterateRequest, Judged, SessionReply, ValidateReply
from lakehouse.engine.run import Run, session_reply
from lakehouse.engine.task import Catalog, plan

_LOG = logging.getLogger(__name__)


class OutageRecorder:
    """A `Validator` around a remote one. Its rows have `infra_error/connect`, daemon `gateway`.

    If kinds and models are configured only at the validator, the row has their names and marks the
    rest as unknown.
    """

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

    async def iterate(
        self, request: IterateRequest, context: CallContext, *, judged: Judged | None = None
    ) -> SessionReply:
        """Forward the session; write its row if certainly no validator will."""
        started_ms = self._clock.monotonic_ms()
        try:
            return await self._remote.iterate(request, context, judged=judged)
        except asyncio.CancelledError:
            # This daemon stops; the session goes on at the validator, which writes its row.
            current = asyncio.current_task()
            assert current is not None
            current.uncancel()
            error = InfraError(
                "crashed",
                "The gateway stopped before the session ended.",
                hint="The session continues at its validator; the row_id finds its row.",
            )
        except InfraError as infra_error:
            error = infra_error
        _LOG.warning("the session ends as infra_error: %s", error.told)
        run = Run(plan(request, context, _with_names(self._catalog, request)), self._clock)
        run.budget.started_ms = started_ms
        run.end("infra_error", error)
        row = run.row(daemon=self._daemon)
        if error.code == "connect":
            error = await asyncio.shield(asyncio.create_task(self._recorded(run, row, error)))
        return session_reply(row, error)

    async def validate(self, request: ValidateRequest) -> ValidateReply:
        """Forward the check; checks have no rows."""
        return await self._remote.validate(request)

    async def kinds(self) -> tuple[KindInfo, ...]:
        return await self._remote.kinds()

    async def _recorded(self, run: Run, row: Row, error: InfraError) -> InfraError:
        logged = True
        try:
            await self._sink.append(row)
        except InfraError as log_error:
            _LOG.error("the session leaves no row: %s", log_error.told)
            error = run.error = log_error
            logged = False
            row = run.row(daemon=self._daemon)
        if self._observer is not None:
            times = SessionTimes(run.budget.started_ms, run.ended_ms, self._clock.monotonic_ms())
            self._observer.session(SessionEnded(row, run.task.context, times, logged))
        return error


def _with_names(catalog: Catalog, request: IterateRequest) -> Catalog:
    """Return a catalog that accepts all of the request's names: only the validator rejects them."""
    kinds, models = dict(catalog.kinds), dict(catalog.models)
    name = request.kind
    if name is not None and name not in kinds:
        kinds[name] = _unknown_kind(name, request.model or next(iter(models), ""))
    for alias in (request.model, kinds[name].model if name is not None else None):
        if alias is not None and alias not in models:
            models[alias] = ModelName(alias, "", "")
    return msgspec.structs.replace(catalog, kinds=kinds, models=models, tables=None, kept_tasks={})


def _unknown_kind(name: str, model: str) -> Kind:
    digest = kind_digest(
        True, system=None, grounding=(), rules=(), max_iterations=ITERATIONS_DEFAULT, model=model
    )
    return Kind(
        name=name,
        schema=msgspec.Raw(b"true"),
        system=None,
        grounding=(),
        rules=(),
        max_iterations=ITERATIONS_DEFAULT,
        model=model,
        digest=digest,
    )
