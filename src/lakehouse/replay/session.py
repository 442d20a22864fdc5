"""Replays one session: takes a logged row, writes the replay's row, returns how it ended.

`ModelReplay` asks a model, with the engine and checks of any session. `Rejudge` asks no model and
judges the logged answers again.
"""

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Protocol

import msgspec

from lakehouse.comparison.agreement import equal_artifacts
from lakehouse.core.chat import Usage
from lakehouse.core.clock import Clock
from lakehouse.core.conversation import user_texts
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.json_text import NULL
from lakehouse.core.kind import Kind
from lakehouse.core.observation import AttemptTimes
from lakehouse.core.ports import RecordSink, TableSource, Validator
from lakehouse.core.replay_row import ReplayRun, ReplaySide
from lakehouse.core.row import Row
from lakehouse.core.session import Attempt, ReplyError, Verdict
from lakehouse.engine.carried import with_carried
from lakehouse.engine.inline_kind import inline_kind, judging_schema
from lakehouse.engine.judge import judge
from lakehouse.engine.task import Catalog, find_kind
from lakehouse.replay.candidate import Candidate, judged_by, replay_context, replay_request
from lakehouse.replay.selection import KindInForce
from lakehouse.sessionlog.reading.filters import REPLAY_DAEMON


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """How one replay ended. `error` is set only with the verdict `infra_error`."""

    side: ReplaySide
    artifact: msgspec.Raw
    error: ReplyError | None


class Ended(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The end of one replay: its line, or why there is none.

    `outage` says what prevented an answer. With `used`, a row with that outage has the row id.
    `refusal` says why the session cannot be repeated at all.
    """

    line: ReplayRun | None = None
    outage: str = ""
    used: bool = False
    refusal: str = ""


class Replay(Protocol):
    """Repeats sessions."""

    async def __call__(self, row: Row, replay_row_id: str) -> Replayed:
        """Repeat one session under a new row id; the row is durable when this returns.

        Raises:
            Refusal: The session cannot be repeated as configured: its kind is gone, for example.
            InfraError: A table is unavailable, or the row could not be made durable.
        """
        ...


class ModelReplay:
    """Repeats sessions through a `Validator`, with the candidate's changes."""

    def __init__(
        self,
        validator: Validator,
        candidate: Candidate,
        *,
        kinds: Mapping[str, Kind],
        in_force: Mapping[str, KindInForce],
    ) -> None:
        self._validator = validator
        self._candidate = candidate
        self._kinds = kinds
        self._in_force = in_force

    async def __call__(self, row: Row, replay_row_id: str) -> Replayed:
        """Repeat one session; see `Replay`."""
        request = replay_request(row, self._candidate, kinds=self._kinds, in_force=self._in_force)
        reply = await self._validator.iterate(request, replay_context(row, replay_row_id))
        side = ReplaySide(
            model=reply.model,
            verdict=reply.verdict,
            iterations=reply.iterations,
            accepted_iteration=reply.accepted_iteration,
            grounded=reply.grounded,
            usage=reply.usage,
            duration_ms=reply.duration_ms,
        )
        return Replayed(side=side, artifact=reply.artifact, error=reply.error)


class Rejudge:
    """Judges logged answers again, by the current kind and tables, and the caller's schema."""

    def __init__(
        self,
        catalog: Catalog,
        candidate: Candidate,
        *,
        tables: TableSource,
        sink: RecordSink,
        clock: Clock,
    ) -> None:
        self._catalog = catalog
        self._candidate = candidate
        self._tables = tables
        self._sink = sink
        self._clock = clock

    async def __call__(self, row: Row, replay_row_id: str) -> Replayed:
        """Judge the answers of one session; see `Replay`.

        The first answer that passes ends the session, as in a live one. If no answer passes, the
        session counts as not accepted: what the model would have said next is unknown.
        """
        name, callers_schema = judged_by(row, self._candidate)
        kind = self._kind(row, name)
        schema = judging_schema(
            kind,
            callers_schema,
            self._catalog.schemas,
            assert_formats=row.settings.asserts_formats,
        )
        kind = with_carried(kind, schema, self._catalog.tables)
        tables = await self._tables.snapshot(kind)
        attempts: list[Attempt] = []
        grounded: bool | None = None
        for logged in row.attempts:
            judgement = await judge(
                logged.output,
                logged.finish_reason,
                kind=kind,
                schema=schema,
                sources=_sources(row),
                tables=tables,
                times=AttemptTimes("", 0.0),
                clock=self._clock,
            )
            grounded = judgement.grounded
            attempts.append(
                msgspec.structs.replace(
                    logged,
                    outcome="rejected" if judgement.findings else "accepted",
                    findings=judgement.findings,
                    findings_truncated=msgspec.UNSET,
                    artifact=judgement.artifact,
                    artifact_truncated=msgspec.UNSET,
                    repairs=judgement.repairs,
                    repairs_truncated=msgspec.UNSET,
                )
            )
            if not judgement.findings:
                break
        judged = msgspec.structs.replace(
            self._row(row, replay_row_id, kind, tuple(attempts)),
            inline_schema=callers_schema,
            grounded=grounded,
            tables=dict(tables.digests),
        )
        await self._sink.append(judged)
        return Replayed(side=side_of(judged), artifact=judged.artifact, error=None)

    def _kind(self, row: Row, name: str | None) -> Kind:
        if name is not None:
            return find_kind(name, self._catalog.kinds)
        return inline_kind(
            row.inline_schema,
            system=row.system,
            max_iterations=row.max_iterations,
            model=row.model_alias,
            assert_formats=row.settings.asserts_formats,
        )

    def _row(self, row: Row, replay_row_id: str, kind: Kind, attempts: tuple[Attempt, ...]) -> Row:
        last = attempts[-1] if attempts else None
        accepted = last is not None and last.outcome == "accepted"
        verdict: Verdict = "accepted" if accepted else "max_iter_exhausted"
        usages = [attempt.usage for attempt in attempts]
        return msgspec.structs.replace(
            row,
            row_id=replay_row_id,
            timestamp=self._clock.timestamp(),
            daemon=REPLAY_DAEMON,
            kind=kind.name,
            verdict=verdict,
            iterations=len(attempts),
            accepted_iteration=last.iteration if last is not None and accepted else None,
            artifact=NULL if last is None else last.artifact,
            attempts=attempts,
            usage=reduce(add, usages) if usages else Usage(),
            duration_ms=row.duration_ms
            if len(attempts) == len(row.attempts)
            else sum(attempt.duration_ms for attempt in attempts),
            config_digest=self._catalog.config_digest,
            kind_digest=kind.digest,
        )


def side_of(row: Row) -> ReplaySide:
    """Summarize a row as one side of a line."""
    return ReplaySide(
        model=row.model,
        verdict=row.verdict,
        iterations=row.iterations,
        accepted_iteration=row.accepted_iteration,
        grounded=row.grounded,
        usage=row.usage,
        duration_ms=row.duration_ms,
    )


async def run_session(
    replay: Replay, run_id: str, row: Row, own_id: str, *, clock: Clock, metadata: dict[str, str]
) -> Ended:
    """Repeat one session of a run; every engine runs this function.

    It does I/O only through `replay`. An outage makes no line.
    """
    try:
        replayed = await replay(row, own_id)
    except Refusal as refusal:
        if refusal.retryable:
            return Ended(outage=refusal.public)
        return Ended(refusal=refusal.public)
    except InfraError as error:
        return Ended(outage=f"{error.told} {error.hint}")
    if replayed.error is not None:
        # If the log failed, it may hold no row with this id: the next try may use the id again.
        code, message, hint = replayed.error.code, replayed.error.message, replayed.error.hint
        return Ended(outage=f"{code}: {message} {hint}", used=code != "log_unavailable")
    return Ended(
        line=ReplayRun(
            run_id=run_id,
            session_id=row.session_id,
            row_id=row.row_id,
            replay_row_id=own_id,
            timestamp=clock.timestamp(),
            daemon=REPLAY_DAEMON,
            kind=row.kind,
            baseline=side_of(row),
            candidate=replayed.side,
            artifact_equal=_equal(row.artifact, replayed.artifact),
            metadata=metadata,
        )
    )


def _equal(left: msgspec.Raw, right: msgspec.Raw) -> bool | None:
    if NULL in (left, right):
        return None
    return equal_artifacts(bytes(left), bytes(right))


def _sources(row: Row) -> tuple[str, ...]:
    if row.messages is None:
        return (row.prompt,)
    return user_texts(row.messages, row.metadata)
