"""Every failure as OpenAI's clients must see it: the status, the body, and whether to repeat.

The statuses are chosen by what clients do. They repeat a 408, a 409, a 429 and every 5xx, and
LangChain.js repeats a 422 too: so a final outcome is a 400 wherever it can be one.
"""

import re
from typing import Final, Literal, get_args

import msgspec

from lakehouse.core.errors import (
    InfraCode,
    InfraError,
    ProblemCode,
    Refusal,
    infra_status,
)
from lakehouse.core.finding import Finding
from lakehouse.core.session import SessionReply, Verdict
from lakehouse.openai_api.fault import FaultCode, RequestFault
from lakehouse.openai_api.reply_headers import ReplyHeaders
from lakehouse.providers.status_hint import QUOTA_HINT
from lakehouse.transport.error_shape import ErrorShape, FailedCall
from lakehouse.transport.response import Response

FailureType = Literal[
    "invalid_request_error", "authentication_error", "rate_limit_error", "server_error"
]


class DoorOutcome(msgspec.Struct, frozen=True):
    """What an error becomes; `repeat`: whether the same request may succeed later."""

    status: int
    code: str
    type: FailureType = "invalid_request_error"
    repeat: bool = False
    param: str | None = None


_NO_MODEL: Final = DoorOutcome(404, "model_not_found", param="model")
REFUSALS: Final[dict[ProblemCode, DoorOutcome]] = {
    "invalid_request": DoorOutcome(400, "invalid_request"),
    "unknown_kind": _NO_MODEL,
    "unknown_model": _NO_MODEL,
    "invalid_schema": DoorOutcome(400, "invalid_schema"),
    "invalid_config": DoorOutcome(400, "invalid_config"),
    "unauthorized": DoorOutcome(401, "invalid_api_key", "authentication_error"),
    "not_found": DoorOutcome(404, "not_found"),
    "method_not_allowed": DoorOutcome(405, "method_not_allowed"),
    "idempotency_key_reuse": DoorOutcome(400, "idempotency_key_reuse"),
    "ambiguous_session": DoorOutcome(400, "ambiguous_session"),
    "too_large": DoorOutcome(413, "too_large"),
    "unsupported_media_type": DoorOutcome(400, "unsupported_media_type"),
    "rate_limited": DoorOutcome(429, "rate_limited", "rate_limit_error", repeat=True),
    "log_unavailable": DoorOutcome(503, "log_unavailable", "server_error", repeat=True),
}
REPEATED: Final[dict[InfraCode, bool]] = {
    "connect": True,
    "upstream_malformed": False,
    "upstream_status": False,
    "model_missing": False,
    "overloaded": True,
    "timeout": False,  # the budget is spent: a repetition would spend it again
    "model_loading": True,
    "table_unavailable": True,
    "rule_broken": False,
    "log_unavailable": True,
    "shutdown": True,
    "crashed": True,
}
"""Whether a repetition may help; an error that says that it does not is never repeated."""
EXHAUSTED: Final = DoorOutcome(400, "max_iter_exhausted")
REFUSED: Final = DoorOutcome(400, "content_filter")
TOO_LONG: Final = DoorOutcome(400, "context_length_exceeded")
QUOTA_SPENT: Final = DoorOutcome(502, "insufficient_quota", "server_error")

_WAIT_S: Final = 1  # where a 429 does not say how long
_TOO_LONG_WORDS: Final = re.compile(
    r"context.?(length|window|size)|(prompt|input|request) is too long"
    r"|input token.{0,40}exceed|maximum.{0,20}(input|context) tokens",
    re.IGNORECASE,
)
# Clients give an error another meaning if its message has one of these.
_READ_BY_CLIENTS: Final = re.compile("tool_calls|response_format|context.?length|maximum context")
_FINAL_IN_STREAM: Final = {"insufficient_quota": "quota_exceeded"}


class ErrorMember(msgspec.Struct, frozen=True, kw_only=True):
    """The member `error` of a failed reply.

    `findings` are those of the last answer, `failed_generation` is its text. `row_id` is null if
    the request was refused before it became a session.
    """

    message: str
    type: FailureType
    param: str | None
    code: str
    session_id: str
    row_id: str | None
    retryable: bool
    hint: str
    findings: tuple[Finding, ...]
    failed_generation: str | None


class ErrorReply(msgspec.Struct, frozen=True):
    """The body of every failed reply."""

    error: ErrorMember


class DoorFailure(msgspec.Struct, frozen=True, kw_only=True):
    """One failure. `reply` is the session's, None if the request was refused before it began."""

    outcome: DoorOutcome
    message: str
    hint: str
    session_id: str
    retry_after_s: float | None = None
    reply: SessionReply | None = None

    @property
    def status(self) -> int:
        return self.outcome.status

    @property
    def repeat(self) -> bool:
        """Whether the client should send the request again."""
        return self.outcome.repeat

    def member(self, *, streamed: bool = False) -> ErrorMember:
        """Return the body's member.

        `streamed`: a reply with status 200 has begun. Clients then guess the status from type and
        code, and repeat a failure unless it looks like a 400.
        """
        outcome, reply = self.outcome, self.reply
        final = streamed and not outcome.repeat
        last = reply.attempts[-1] if reply is not None and reply.attempts else None
        return ErrorMember(
            message=self.message,
            type="invalid_request_error" if final else outcome.type,
            param=outcome.param,
            code=_FINAL_IN_STREAM.get(outcome.code, outcome.code) if final else outcome.code,
            session_id=self.session_id,
            row_id=None if reply is None else reply.row_id,
            retryable=outcome.repeat,
            hint=self.hint,
            findings=() if reply is None else reply.findings,
            failed_generation=None if last is None else last.output,
        )

    def response(self, processing_ms: float | None = None) -> Response:
        """Encode the whole reply."""
        verdict: Verdict | None = None if self.reply is None else self.reply.verdict
        headers = ReplyHeaders(
            session_id=self.session_id,
            repeat=self.repeat,
            processing_ms=processing_ms,
            verdict=verdict,
            iterations=None if self.reply is None else self.reply.iterations,
            retry_after_s=self.retry_after_s,
        )
        body = msgspec.json.encode(ErrorReply(self.member()))
        return Response(self.status, body, headers=headers.fields())


def failure_of(error: Refusal | InfraError, session_id: str) -> DoorFailure:
    """Describe an error that ended a request without a session's reply."""
    if isinstance(error, RequestFault):
        outcome = DoorOutcome(400, error.api_code, param=error.param)
    elif isinstance(error, Refusal):
        outcome = REFUSALS[error.code]
    else:
        outcome = _infra_outcome(error.code, error.public, error.hint, retryable=error.retryable)
    return DoorFailure(
        outcome=outcome,
        message=error.public,
        hint=error.hint,
        session_id=session_id,
        retry_after_s=_wait_s(outcome, error.retry_after_s),
    )


def failure_of_reply(reply: SessionReply) -> DoorFailure:
    """Describe a session that was not accepted.

    Raises:
        ValueError: It was accepted.
    """
    if reply.verdict == "accepted":
        raise ValueError("an accepted session is no failure")
    error = reply.error
    if error is None:
        outcome, message, hint = _rejection(reply)
        return DoorFailure(
            outcome=outcome, message=message, hint=hint, session_id=reply.session_id, reply=reply
        )
    outcome = _infra_outcome(error.code, error.message, error.hint, retryable=error.retryable)
    told_s = None if error.retry_after_s is msgspec.UNSET else error.retry_after_s
    return DoorFailure(
        outcome=outcome,
        message=error.message,
        hint=error.hint,
        session_id=reply.session_id,
        retry_after_s=_wait_s(outcome, told_s),
        reply=reply,
    )


def error_response(error: Refusal | InfraError, call: FailedCall) -> Response:
    """Encode an error that the server met; it adds `retry-after` itself where the error has one."""
    response = failure_of(error, call.session_id).response(call.elapsed_ms)
    if error.retry_after_s is None:
        return response
    headers = tuple(field for field in response.headers if field[0] != b"retry-after")
    return msgspec.structs.replace(response, headers=headers)


def _infra_outcome(code: str, message: str, hint: str, *, retryable: bool) -> DoorOutcome:
    if hint == QUOTA_HINT:
        return QUOTA_SPENT
    if code == "upstream_status" and _TOO_LONG_WORDS.search(message):
        return TOO_LONG
    repeat = retryable and next((told for known, told in REPEATED.items() if known == code), True)
    return DoorOutcome(infra_status(code), code, "server_error", repeat=repeat)


_EVERY: Final = (
    *(DoorOutcome(400, code) for code in get_args(FaultCode)),
    *REFUSALS.values(),
    *(EXHAUSTED, REFUSED, TOO_LONG, QUOTA_SPENT),
    *(_infra_outcome(code, "", "", retryable=True) for code in REPEATED),
)
OUTCOMES: Final = {one.code: one for one in _EVERY}
"""Every error by its code, in the order of a request's way."""
OPENAI_ERRORS: Final = ErrorShape(
    error_response,
    ErrorReply,
    "application/json",
    {code: one.status for code, one in OUTCOMES.items()},
)


def _rejection(reply: SessionReply) -> tuple[DoorOutcome, str, str]:
    codes = {finding.code for finding in reply.findings}
    if "refused" in codes:
        message = "The provider refused to answer this prompt."
        return REFUSED, message, "Change the prompt, or use another model."
    count = f"{reply.iterations} attempts" if reply.iterations != 1 else "1 attempt"
    message = f"No answer passed all checks in {count}{_first(reply.findings)}."
    hint = "`findings` has what was wrong with the last answer: change the prompt, or allow more "
    hint += "attempts with lakehouse.max_iterations."
    if "truncated" in codes:
        hint = "The last answer was cut off: raise the limit of its tokens."
    return EXHAUSTED, message, hint


def _first(findings: tuple[Finding, ...]) -> str:
    if not findings:
        return ""
    first = findings[0]
    where = f" at {first.path}" if first.path else ""
    told = f"; the last one failed{where}: {first.message.rstrip('.')}"
    return "" if _READ_BY_CLIENTS.search(told) else told


def _wait_s(outcome: DoorOutcome, told_s: float | None) -> float | None:
    return _WAIT_S if told_s is None and outcome.status == 429 else told_s
