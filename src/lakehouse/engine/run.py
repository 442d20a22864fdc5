"""One running session: its facts and its time, and the records it produces.

The started line, the row and the reply are built here from the same facts.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import reduce
from operator import add
from typing import cast

import msgspec

from lakehouse.core.chat import CallLimits, Usage
from lakehouse.core.clock import Clock, timestamp
from lakehouse.core.errors import InfraCode, InfraError
from lakehouse.core.json_text import NULL
from lakehouse.core.observation import AttemptTimes
from lakehouse.core.row import LoggedError, Row, Started
from lakehouse.core.session import Attempt, Judged, ReplyError, SessionReply, Verdict
from lakehouse.engine.task import SessionTask


class Run:
    """The state of one session, passed through all of its stages.

    The loop adds to `attempts` and `times`, so that they survive an early end: `times` has one
    entry for each started attempt, judged or not. `grounded` is that of the last attempt. `tables`
    maps the tables used to their digests, sorted by the bytes of the name. `verdict`, `error` and
    `ended_ms` are set when the session ends.
    """

    __slots__ = (
        "_judged",
        "attempts",
        "budget",
        "clock",
        "ended_ms",
        "error",
        "grounded",
        "tables",
        "task",
        "times",
        "verdict",
    )

    def __init__(self, task: SessionTask, clock: Clock, judged: Judged | None = None) -> None:
        outer = task.context  # a calling daemon's remaining time is a limit too
        self.task = task
        self.clock = clock
        self._judged = judged
        own, given = task.settings.deadline_ms, outer.deadline_ms
        own_load, given_load = task.load_budget_ms, outer.load_budget_ms
        self.budget = Budget(
            clock.monotonic_ms(),
            deadline_ms=own if given is None else min(own, given),
            load_budget_ms=own_load if given_load is None else min(own_load, given_load),
        )
        self.attempts: list[Attempt] = []
        self.times: list[AttemptTimes] = []
        self.grounded: bool | None = None
        self.tables: Mapping[str, str] = {}
        self.verdict: Verdict = "infra_error"
        self.error: InfraError | None = None
        self.ended_ms = 0.0

    def add(self, attempt: Attempt, *, grounded: bool | None) -> None:
        """Add a judged attempt, and tell it to the one who waits for it."""
        self.attempts.append(attempt)
        self.grounded = grounded
        if self._judged is not None:
            self._judged(attempt)

    def end(self, verdict: Verdict, error: InfraError | None = None) -> None:
        """Record how the session ended, and that it ends now."""
        self.verdict, self.error = verdict, error
        self.ended_ms = self.clock.monotonic_ms()

    def started(self, *, daemon: str, moment: datetime) -> Started:
        """Build the started line from what is known before the first call; `moment`: its start."""
        task = self.task
        context = task.context
        return Started(
            session_id=context.session_id,
            trace_id=context.trace_id,
            row_id=context.row_id,
            timestamp=timestamp(moment),
            daemon=daemon,
            kind=task.kind.name,
            model=task.model.model,
            model_alias=task.model.name,
            provider=task.model.provider,
            prompt=task.prompt,
            messages=task.row_messages,
            system=task.system,
            max_iterations=task.max_iterations,
            settings=task.settings,
            inline_schema=task.inline_schema,
            conversation_id=task.conversation_id,
            metadata=task.metadata,
            trace_id_replaced=context.trace_id_replaced,
            config_digest=task.config_digest,
            kind_digest=task.kind.digest,
        )

    def row(self, *, daemon: str, moment: datetime) -> Row:
        """Build the row of a session that has ended; `moment` is its end.

        `accepted_iteration` 0 means a first shot. `usage` is the sum of all attempts; null if any
        of them is unknown or there are no attempts.
        """
        task, error, attempts = self.task, self.error, tuple(self.attempts)
        context = task.context
        last = attempts[-1] if attempts else None
        return Row(
            session_id=context.session_id,
            trace_id=context.trace_id,
            row_id=context.row_id,
            timestamp=timestamp(moment),
            daemon=daemon,
            kind=task.kind.name,
            model=task.model.model,
            model_alias=task.model.name,
            provider=task.model.provider,
            prompt=task.prompt,
            messages=task.row_messages,
            system=task.system,
            max_iterations=task.max_iterations,
            settings=task.settings,
            inline_schema=task.inline_schema,
            verdict=self.verdict,
            iterations=len(attempts),
            accepted_iteration=last.iteration if last and self.verdict == "accepted" else None,
            grounded=self.grounded,
            artifact=NULL if last is None else last.artifact,
            attempts=attempts,
            error=None if error is None else LoggedError(error.code, error.public, error.detail),
            usage=_usage(attempts) if len(attempts) > 1 or last is None else last.usage,
            duration_ms=int(self.ended_ms - self.budget.started_ms),
            conversation_id=task.conversation_id,
            metadata=task.metadata,
            trace_id_replaced=context.trace_id_replaced,
            config_digest=task.config_digest,
            kind_digest=task.kind.digest,
            tables=dict(self.tables),
        )


class Budget:
    """Counts one session's time. `deadline_ms` excludes loading, which has its own budget.

    `started_ms` is the start of the session in the clock's monotonic time.
    """

    __slots__ = ("_deadline_ms", "_load_budget_ms", "_loaded_ms", "started_ms")

    def __init__(self, started_ms: float, *, deadline_ms: int, load_budget_ms: int) -> None:
        self.started_ms = started_ms
        self._deadline_ms = deadline_ms
        self._load_budget_ms = load_budget_ms
        self._loaded_ms = 0

    def left_s(self, now_ms: float, *, grace_ms: int = 0) -> float:
        """Return the seconds left before the deadline, at least `grace_ms` even after it."""
        left_ms = self._deadline_ms + self.started_ms + self._loaded_ms - now_ms
        return max(left_ms, grace_ms) / 1000

    def limits(self, now_ms: float) -> CallLimits:
        """Return the next call's share of both budgets; the deadline may have passed."""
        left_ms = int(self._deadline_ms + self.started_ms + self._loaded_ms - now_ms)
        return CallLimits(left_ms, max(self._load_budget_ms - self._loaded_ms, 0))

    def exclude_load(self, load_ms: int) -> None:
        """Exclude from the deadline the time that a call waited for a model to load."""
        self._loaded_ms += load_ms


class Bound:
    """A timeout around an `async with` that raises the caller's own error."""

    __slots__ = ("_error", "_timeout")

    def __init__(self, limit_s: float, error: Callable[[], InfraError]) -> None:
        self._timeout = asyncio.timeout(limit_s)
        self._error = error

    def __aenter__(self) -> Awaitable[object]:
        """Start the timeout."""
        return self._timeout.__aenter__()

    async def __aexit__(self, *raised: object) -> None:
        """Raise the error if the timeout has passed; else let an inner exception propagate."""
        try:
            await self._timeout.__aexit__(*raised)  # type: ignore[arg-type]  # as they came
        except TimeoutError:
            raise self._error() from None


def _usage(attempts: Sequence[Attempt]) -> Usage:
    return reduce(add, (each.usage for each in attempts)) if attempts else Usage()


def session_reply(row: Row, error: InfraError | None) -> SessionReply:
    """Build the reply from the row, in one shape for all verdicts."""
    return SessionReply(
        session_id=row.session_id,
        trace_id=row.trace_id,
        row_id=row.row_id,
        verdict=row.verdict,
        iterations=row.iterations,
        accepted_iteration=row.accepted_iteration,
        artifact=row.artifact,
        grounded=row.grounded,
        findings=row.attempts[-1].findings if row.attempts else (),
        attempts=row.attempts,
        usage=row.usage,
        model=row.model,
        error=None if error is None else reply_error(error),
        duration_ms=row.duration_ms,
        kind_digest=row.kind_digest,
    )


def logged_reply(row: Row, *, hint: str | None = None) -> SessionReply:
    """Build the reply of a logged session; a failure with a `hint` is final."""
    logged = row.error
    if logged is None:
        return session_reply(row, None)
    error = InfraError(
        cast("InfraCode", logged.code),
        logged.message,
        hint=hint or "",
        internal=logged.detail or "",
        retryable=None if hint is None else False,
    )
    return session_reply(row, error)


def reply_error(error: InfraError) -> ReplyError:
    """Return an error as replies have it."""
    wait_s = error.retry_after_s
    return ReplyError(
        code=error.code,
        message=error.public,
        retryable=error.retryable,
        hint=error.hint,
        retry_after_s=msgspec.UNSET if wait_s is None else math.ceil(wait_s),
    )
