"""Ended sessions and requests, made without any daemon."""

import msgspec

from lakehouse.core.chat import ChatReply, ChatRequest, Message, Usage
from lakehouse.core.context import CallContext, call_context
from lakehouse.core.errors import InfraError
from lakehouse.core.finding import Finding
from lakehouse.core.ids import new_span_id
from lakehouse.core.observation import (
    AttemptTimes,
    ModelCallEnded,
    RequestEnded,
    SessionEnded,
    SessionTimes,
)
from lakehouse.core.row import LoggedError, Row, Settings
from lakehouse.core.session import Attempt

ENDED = "2026-11-25T12:00:00.500000Z"
UNGROUNDED = Finding(
    code="ungrounded",
    path="/code",
    message='"XXX" is not in airports.iata',
    got=msgspec.Raw(b'"XXX"'),
    nearest=msgspec.Raw(b'["LHR"]'),
)
NULL = msgspec.Raw(b"null")


def attempt(iteration: int, *findings: Finding, **changes: object) -> Attempt:
    members: dict[str, object] = {
        "iteration": iteration,
        "outcome": "rejected" if findings else "accepted",
        "findings": findings,
        "told": None if iteration == 0 else "Findings: [secret-told]",
        "output": "secret-output",
        "thinking": None,
        "artifact": msgspec.Raw(b'{"code":"secret-artifact"}'),
        "repairs": (),
        "finish_reason": "stop",
        "usage": Usage(7, 5),
        "duration_ms": 100,
        "span_id": new_span_id(),
    }
    return Attempt(**(members | changes))  # type: ignore[arg-type]  # test data


def row_of(context: CallContext, *attempts: Attempt, **changes: object) -> Row:
    accepted = bool(attempts) and attempts[-1].outcome == "accepted"
    members: dict[str, object] = {
        "session_id": context.session_id,
        "trace_id": context.trace_id,
        "row_id": context.row_id,
        "timestamp": ENDED,
        "daemon": "validatord",
        "kind": "event",
        "model": "tiny",
        "model_alias": "small",
        "provider": "scripted",
        "prompt": "secret-prompt",
        "messages": None,
        "system": "secret-system",
        "max_iterations": 3,
        "settings": Settings(
            constrain="auto",
            temperature=msgspec.Raw(b"0.5"),
            max_tokens=64,
            seed=None,
            deadline_ms=120_000,
        ),
        "inline_schema": NULL,
        "verdict": "accepted" if accepted else "max_iter_exhausted",
        "iterations": len(attempts),
        "accepted_iteration": attempts[-1].iteration if accepted else None,
        "grounded": True if accepted else False if attempts else None,
        "artifact": attempts[-1].artifact if attempts else NULL,
        "attempts": attempts,
        "error": None,
        "usage": Usage(7 * len(attempts), 5 * len(attempts)),
        "duration_ms": 300,
        "conversation_id": "conversation-1",
        "metadata": {"team": "ops"},
        "trace_id_replaced": False,
        "config_digest": "sha256:" + "1" * 64,
        "kind_digest": "sha256:" + "2" * 64,
        "tables": {"airports": "sha256:" + "3" * 64},
    }
    return Row(**(members | changes))  # type: ignore[arg-type]  # test data


def failed_row(context: CallContext, *attempts: Attempt, code: str = "timeout") -> Row:
    error = LoggedError(code, "The model did not answer.")
    return row_of(context, *attempts, verdict="infra_error", accepted_iteration=None, error=error)


def session_ended(
    *attempts: Attempt,
    context: CallContext | None = None,
    row: Row | None = None,
    logged: bool = True,
    unfinished: AttemptTimes | None = None,
) -> SessionEnded:
    """An ended session whose attempts took 100 ms each: 80 the model, 5 each of two checks, 10."""
    context = context or call_context((), ())
    row = row or row_of(context, *attempts)
    times = [
        AttemptTimes(each.span_id, at, at + 80, at + 85, at + 90, at + 100)
        for at, each in zip(range(1_100, 9_000, 100), row.attempts, strict=False)
    ]
    if unfinished is not None:
        times.append(unfinished)
    ended_ms = 1_300.0
    return SessionEnded(
        row, context, SessionTimes(1_000.0, ended_ms, ended_ms + 2, tuple(times)), logged
    )


def request_ended(context: CallContext, status: int = 200) -> RequestEnded:
    return RequestEnded(context, "POST", "/v1/iterate", status, 1_000_000_000, 12.5)


def model_call_ended(
    duration_ms: float, error: InfraError | None = None, context: CallContext | None = None
) -> ModelCallEnded:
    request = ChatRequest("small", (Message("user", "secret-prompt"),), max_tokens=64)
    reply = ChatReply("secret-output", None, "stop", Usage(7, 5), "tiny", "scripted")
    return ModelCallEnded(
        context or call_context((), ()),
        request,
        reply if error is None else None,
        error,
        1_000_000_000,
        duration_ms,
    )
