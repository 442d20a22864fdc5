"""A session as Python sees it: the reply of `POST /v1/iterate`, with plain values."""

from decimal import Decimal
from functools import cached_property
from math import isfinite
from typing import Any, Final

import msgspec

from lakehouse.core.chat import Usage
from lakehouse.core.session import Attempt, ReplyError, SessionReply, Verdict


class SessionFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One reason to reject an answer.

    `path` is a JSON Pointer into the artifact, `""` for the whole. `got`, `expected` and `nearest`
    are None or empty where there are none.
    """

    code: str
    path: str
    message: str
    got: Any = None
    expected: Any = None
    nearest: tuple[Any, ...] = ()

    def __str__(self) -> str:
        told = not self.nearest or "nearest" in self.message
        near = "" if told else f"; nearest: {', '.join(map(repr, self.nearest))}"
        return f"{self.path or 'the answer'}: {self.message}{near}"


class SessionAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of the model, judged.

    `told` is what the model was told before it, None at iteration 0. `output` is its text,
    `artifact` the JSON value found in it, None if there was none.
    """

    iteration: int
    outcome: str
    findings: tuple[SessionFinding, ...]
    told: str | None
    output: str
    thinking: str | None
    artifact: Any
    finish_reason: str
    usage: Usage
    duration_ms: int
    span_id: str


class Session:
    """How a session ended. Its members have the names and meanings of the reply over HTTP.

    `reply` is that reply itself, with raw JSON where here are values.
    """

    def __init__(self, reply: SessionReply) -> None:
        self.reply = reply
        self.session_id: str = reply.session_id
        self.trace_id: str = reply.trace_id
        self.row_id: str = reply.row_id
        self.verdict: Verdict = reply.verdict
        self.iterations: int = reply.iterations
        self.accepted_iteration: int | None = reply.accepted_iteration
        self.grounded: bool | None = reply.grounded
        self.usage: Usage = reply.usage
        self.model: str = reply.model
        self.error: ReplyError | None = reply.error
        self.duration_ms: int = reply.duration_ms
        self.kind_digest: str = reply.kind_digest

    def __repr__(self) -> str:
        return (
            f"Session(session_id={self.session_id!r}, verdict={self.verdict!r}, "
            f"iterations={self.iterations}, model={self.model!r})"
        )

    @cached_property
    def artifact(self) -> Any:
        """The JSON value of the last attempt, None if there is none; see also `artifact_json`."""
        return _ANY.decode(self.reply.artifact)

    @property
    def artifact_json(self) -> bytes:
        """The artifact's own bytes, as the model wrote them."""
        return bytes(self.reply.artifact)

    @cached_property
    def findings(self) -> tuple[SessionFinding, ...]:
        """Why the last attempt was rejected; empty when accepted."""
        return _FINDINGS.decode(msgspec.json.encode(self.reply.findings))

    @cached_property
    def attempts(self) -> tuple[SessionAttempt, ...]:
        """Every answer of the model, in order."""
        return tuple(map(plain_attempt, self.reply.attempts))


def plain_attempt(attempt: Attempt) -> SessionAttempt:
    """Return an attempt with plain values."""
    return _ATTEMPT.decode(msgspec.json.encode(attempt))


def _number(text: str) -> float | Decimal:
    """Read what a model may write: 1e400 is no double, and no reason to fail."""
    number = float(text)
    return number if isfinite(number) else Decimal(text)


_ANY: Final = msgspec.json.Decoder(float_hook=_number)
_FINDINGS: Final = msgspec.json.Decoder(tuple[SessionFinding, ...], float_hook=_number)
_ATTEMPT: Final = msgspec.json.Decoder(SessionAttempt, float_hook=_number)
