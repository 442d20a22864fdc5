"""What a session leaves: the started line, the row and the reply, made from the same facts."""

import math
from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from operator import add

import msgspec

from lakehouse.core.chat import Usage
from lakehouse.core.clock import timestamp
from lakehouse.core.errors import InfraError
from lakehouse.core.json_text import NULL
from lakehouse.core.row import Row, RowError, Started
from lakehouse.core.session import Attempt, ReplyError, SessionReply
from lakehouse.engine.run import Run
from lakehouse.engine.task import SessionTask


def started_record(task: SessionTask, *, daemon: str, moment: datetime) -> Started:
    """Write down what is known before the first model call; `moment` is the start."""
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


def final_row(run: Run, *, daemon: str, moment: datetime) -> Row:
    """Write down a session that has ended; `moment` is its end.

    `accepted_iteration` 0 is a first shot. `usage` sums all attempts, and is null where any of
    them is unknown, or there is none.
    """
    task, error, attempts = run.task, run.error, tuple(run.attempts)
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
        verdict=run.verdict,
        iterations=len(attempts),
        accepted_iteration=last.iteration if last and run.verdict == "accepted" else None,
        grounded=run.grounded,
        artifact=NULL if last is None else last.artifact,
        attempts=attempts,
        error=None if error is None else RowError(error.code, error.public, error.detail),
        usage=_usage(attempts) if len(attempts) > 1 or last is None else last.usage,
        duration_ms=int(run.ended_ms - run.budget.started_ms),
        conversation_id=task.conversation_id,
        metadata=task.metadata,
        trace_id_replaced=context.trace_id_replaced,
        config_digest=task.config_digest,
        kind_digest=task.kind.digest,
        tables=dict(run.tables),
    )


def _usage(attempts: Sequence[Attempt]) -> Usage:
    return reduce(add, (each.usage for each in attempts)) if attempts else Usage()


def session_reply(row: Row, error: InfraError | None) -> SessionReply:
    """Answer the caller with what the row says, in one shape for all verdicts."""
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
        error=None if error is None else _reply_error(error),
        duration_ms=row.duration_ms,
    )


def _reply_error(error: InfraError) -> ReplyError:
    wait_s = error.retry_after_s
    return ReplyError(
        code=error.code,
        message=error.public,
        retryable=error.retryable,
        hint=error.hint,
        retry_after_s=msgspec.UNSET if wait_s is None else math.ceil(wait_s),
    )
