"""One running session: its facts and its time, and the records it produces.

The started line, the row and the reply are built here from the same facts.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any, Final, Self, TypeVar, cast

import msgspec
from msgspec.structs import fields, replace

from lakehouse.core.chat import CallLimits, Usage
from lakehouse.core.clock import Clock
from lakehouse.core.deadlines import Deadlines
from lakehouse.core.errors import InfraCode, InfraError
from lakehouse.core.json_text import NULL
from lakehouse.core.observation import AttemptTimes
from lakehouse.core.row import LoggedError, Row, Started
from lakehouse.core.session import Attempt, Judged, ReplyError, SessionReply, Verdict
from lakehouse.engine.task import SessionTask

_Record = TypeVar("_Record", bound=Row | Started)


def _empty(kind: type[_Record]) -> _Record:
    """Return a record whose members are all still to be set."""
    members: dict[str, Any] = {each.name: None for each in fields(kind) if each.required}
    return kind(**members)


_ROW: Final = _empty(Row)
_STARTED: Final = _empty(Started)


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

    def started(self, *, daemon: str) -> Started:
        """Build the started line from what is known before the first call, which is made next."""
        return self._filled(_STARTED, daemon)

    def row(self, *, daemon: str) -> Row:
        """Build the row of a session that ends now.

        `accepted_iteration` 0 means a first shot. `usage` is the sum of all attempts; null if any
        of them is unknown or there are no attempts.
        """
        error, attempts = self.error, tuple(self.attempts)
        last = attempts[-1] if attempts else None
        return replace(
            self._filled(_ROW, daemon),
            verdict=self.verdict,
            iterations=len(attempts),
            accepted_iteration=last.iteration if last and self.verdict == "accepted" else None,
            grounded=self.grounded,
            artifact=NULL if last is None else last.artifact,
            attempts=attempts,
            error=None if error is None else LoggedError(error.code, error.public, error.detail),
            usage=_usage(attempts) if len(attempts) > 1 or last is None else last.usage,
            duration_ms=int(self.ended_ms - self.budget.started_ms),
            tables=dict(self.tables),
        )

    def _filled(self, record: _Record, daemon: str) -> _Record:
        """Set what both records of a session have.

        In two steps: Python makes a dictionary of the arguments of a call with over 15 keywords,
        which takes twice as long as the rest of the call.
        """
        task = self.task
        context, model = task.context, task.model
        record = replace(
            record,
            session_id=context.session_id,
            trace_id=context.trace_id,
            row_id=context.row_id,
            timestamp=self.clock.timestamp(),
            daemon=daemon,
            kind=task.kind.name,
            model=model.model,
            model_alias=model.name,
            provider=model.provider,
            prompt=task.prompt,
        )
        return replace(
            record,
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
    """A time limit around a `with` block that waits; past it, the block raises `error()`.

    Like `asyncio.timeout`, at a third of its cost: no coroutines and no timer of its own.
    """

    __slots__ = ("_cancelling", "_deadlines", "_error", "_limit_s", "_passed", "_task")

    def __init__(self, limit_s: float, error: Callable[[], InfraError]) -> None:
        self._limit_s = limit_s
        self._error = error
        self._passed = False

    def __enter__(self) -> Self:
        """Start the limit, for the task that runs now."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._deadlines = Deadlines.of(loop)
        self._deadlines.set(self, loop.time() + self._limit_s)
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        """Raise the error if the limit has passed; else let an inner exception propagate."""
        self._deadlines.waits.pop(self, None)
        if not self._passed:
            return
        # Cancelled by somebody else, too: that is what it ends with then.
        others = self._task.uncancel() > self._cancelling
        if not others and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise self._error() from None

    def overdue(self) -> None:
        """Interrupt the block."""
        self._passed = True
        self._task.cancel()


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
