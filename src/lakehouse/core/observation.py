"""Facts about finished work, for traces and metrics. Never live objects.

The loop only records when its steps ended. Spans and metrics are built from that afterwards, so
that observing can neither slow a session down nor fail it.
"""

from typing import Protocol

import msgspec

from lakehouse.core.chat import ChatReply, ChatRequest
from lakehouse.core.context import CallContext
from lakehouse.core.errors import InfraError
from lakehouse.core.row import Row


class AttemptTimes(msgspec.Struct):
    """When the steps of one attempt ended, in monotonic milliseconds; set as each step ends.

    `checked_ms` ends the schema check, `ended_ms` grounding and rules. A step that was not
    reached is null: the attempt failed before it. `span_id` is the attempt's.
    """

    span_id: str
    started_ms: float
    answered_ms: float | None = None
    extracted_ms: float | None = None
    checked_ms: float | None = None
    ended_ms: float | None = None


class SessionTimes(msgspec.Struct, frozen=True):
    """When the parts of a session started and ended, in monotonic milliseconds.

    `ended_ms` is the moment that the row calls `timestamp`; `logged_ms` is when the row was
    durable, or was given up. The last of `attempts` may be one that failed and is not in the row.
    """

    started_ms: float
    ended_ms: float
    logged_ms: float
    attempts: tuple[AttemptTimes, ...] = ()


class SessionEnded(msgspec.Struct, frozen=True):
    """One session. `row` matches its reply, even if it could not be logged."""

    row: Row
    context: CallContext
    times: SessionTimes
    logged: bool


class RequestEnded(msgspec.Struct, frozen=True):
    """One answered request. `route` is the path's pattern, empty if there is none."""

    context: CallContext
    method: str
    route: str
    status: int
    started_at_ns: int
    duration_ms: float


class ModelCallEnded(msgspec.Struct, frozen=True):
    """One call of a `ChatModel`, its retries and waits included: it has a reply or an error."""

    context: CallContext
    request: ChatRequest
    reply: ChatReply | None
    error: InfraError | None
    started_at_ns: int
    duration_ms: float


class Observer(Protocol):
    """Receives facts about finished work. Never raises or waits; returns within microseconds."""

    def request(self, ended: RequestEnded) -> None:
        """Called when a request's answer has been sent."""
        ...

    def session(self, ended: SessionEnded) -> None:
        """Called when a session's row is durable, or could not be written."""
        ...

    def model_call(self, ended: ModelCallEnded) -> None: ...
