"""What a session leaves: the started line, the row and the reply, made from the same facts."""

import math
from collections.abc import Mapping
from datetime import datetime
from functools import reduce
from operator import add

import msgspec

from lakehouse.core.chat import Usage
from lakehouse.core.clock import timestamp
from lakehouse.core.errors import InfraError
from lakehouse.core.json_text import NULL
from lakehouse.core.observation import AttemptTimes
from lakehouse.core.row import Row, RowError, RowMessage, Started
from lakehouse.core.session import Attempt, ReplyError, SessionReply, Verdict
from lakehouse.engine.task import SessionTask


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a session ended. `attempts` are those judged; `grounded` is the last one's.

    `tables` maps the tables used to their digests, sorted by name in bytes. `times` are those of
    every attempt that was begun.
    """

    verdict: Verdict
    attempts: tuple[Attempt, ...]
    grounded: bool | None
    error: InfraError | None
    tables: Mapping[str, str]
    duration_ms: int
    times: tuple[AttemptTimes, ...] = ()

    @property
    def accepted_iteration(self) -> int | None:
        """The iteration that was accepted; 0 is a first shot."""
        return self.attempts[-1].iteration if self.verdict == "accepted" else None

    @property
    def artifact(self) -> msgspec.Raw:
        """The last attempt's artifact, raw JSON, `null` if there is none."""
        return self.attempts[-1].artifact if self.attempts else NULL

    @property
    def usage(self) -> Usage:
        """Tokens of all attempts; null where any of them is unknown, or there is none."""
        if not self.attempts:
            return Usage()
        return reduce(add, (attempt.usage for attempt in self.attempts))


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
        messages=_row_messages(task),
        system=task.system,
        max_iterations=task.max_iterations,
        settings=task.settings,
        inline_schema=task.inline_schema(),
        conversation_id=task.conversation_id,
        metadata=task.metadata,
        trace_id_replaced=context.trace_id_replaced,
        config_digest=task.config_digest,
        kind_digest=task.kind.digest,
    )


def final_row(task: SessionTask, outcome: Outcome, *, daemon: str, moment: datetime) -> Row:
    """Write down the whole session; `moment` is its end."""
    context = task.context
    error = outcome.error
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
        messages=_row_messages(task),
        system=task.system,
        max_iterations=task.max_iterations,
        settings=task.settings,
        inline_schema=task.inline_schema(),
        verdict=outcome.verdict,
        iterations=len(outcome.attempts),
        accepted_iteration=outcome.accepted_iteration,
        grounded=outcome.grounded,
        artifact=outcome.artifact,
        attempts=outcome.attempts,
        error=None if error is None else RowError(error.code, error.public, error.detail),
        usage=outcome.usage,
        duration_ms=outcome.duration_ms,
        conversation_id=task.conversation_id,
        metadata=task.metadata,
        trace_id_replaced=context.trace_id_replaced,
        config_digest=task.config_digest,
        kind_digest=task.kind.digest,
        tables=dict(outcome.tables),
    )


def session_reply(task: SessionTask, outcome: Outcome) -> SessionReply:
    """Answer the caller, in one shape for all verdicts."""
    error = outcome.error
    last = outcome.attempts[-1] if outcome.attempts else None
    return SessionReply(
        session_id=task.context.session_id,
        trace_id=task.context.trace_id,
        row_id=task.context.row_id,
        verdict=outcome.verdict,
        iterations=len(outcome.attempts),
        accepted_iteration=outcome.accepted_iteration,
        artifact=outcome.artifact,
        grounded=outcome.grounded,
        findings=() if last is None else last.findings,
        attempts=outcome.attempts,
        usage=outcome.usage,
        model=task.model.model,
        error=None if error is None else _reply_error(error),
        duration_ms=outcome.duration_ms,
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


def _row_messages(task: SessionTask) -> tuple[RowMessage, ...] | None:
    if not task.messages_given:
        return None
    return tuple(RowMessage(message.role, message.content) for message in task.messages)
