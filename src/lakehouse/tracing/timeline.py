"""When the spans of a session began and ended: as measured, or estimated from its row."""

import msgspec

from lakehouse.core.clock import moment_of
from lakehouse.core.observation import SessionTimes
from lakehouse.core.row import Row
from lakehouse.core.session import Attempt
from lakehouse.tracing.span import raw_id


class AttemptLine(msgspec.Struct, frozen=True):
    """One attempt. Nanoseconds since 1970; null where the step was not reached.

    `attempt` is null if it failed before it was judged.
    """

    iteration: int
    attempt: Attempt | None
    span_id: bytes
    started_ns: int
    answered_ns: int | None
    extracted_ns: int | None
    checked_ns: int | None
    ended_ns: int


class Timeline(msgspec.Struct, frozen=True):
    """One session. `ended_ns` is the row's `timestamp`; `logged_ns` when it was durable.

    No part of it ends before it starts.
    """

    started_ns: int
    ended_ns: int
    logged_ns: int
    attempts: tuple[AttemptLine, ...]


def measured(row: Row, times: SessionTimes) -> Timeline:
    """Convert measured monotonic times to wall time, based on the row's."""
    ended_ns = _nanoseconds(row.timestamp)
    offset_ns = ended_ns - int(times.ended_ms * 1e6)  # from the monotonic clock to the wall's
    judged = {attempt.span_id: attempt for attempt in row.attempts}
    attempts = []
    for iteration, each in enumerate(times.attempts):
        answered, extracted, checked = each.answered_ms, each.extracted_ms, each.checked_ms
        attempts.append(
            AttemptLine(
                iteration,
                judged.get(each.span_id),
                raw_id(each.span_id),
                offset_ns + int(each.started_ms * 1e6),
                None if answered is None else offset_ns + int(answered * 1e6),
                None if extracted is None else offset_ns + int(extracted * 1e6),
                None if checked is None else offset_ns + int(checked * 1e6),
                ended_ns if each.ended_ms is None else offset_ns + int(each.ended_ms * 1e6),
            )
        )
    started_ns = offset_ns + int(times.started_ms * 1e6)
    return Timeline(started_ns, ended_ns, offset_ns + int(times.logged_ms * 1e6), tuple(attempts))


def estimated(row: Row) -> Timeline:
    """Estimate times from the row: whole milliseconds, attempts back to back, the last at the end.

    The row does not say how an attempt's time was divided: the model gets all of it, and the checks
    none. The row has nothing about an attempt that failed before it was judged.
    """
    ended_ns = _nanoseconds(row.timestamp)
    # Another program's row may have negative durations.
    taken_ns = [max(0, attempt.duration_ms) * 1_000_000 for attempt in row.attempts]
    at_ns = ended_ns - sum(taken_ns)
    # No span starts before 1970, whatever duration a row has.
    started_ns = max(0, min(ended_ns - row.duration_ms * 1_000_000, at_ns))
    attempts = []
    for iteration, attempt in enumerate(row.attempts):
        end_ns = at_ns + taken_ns[iteration]
        span_id = raw_id(attempt.span_id)
        attempts.append(
            AttemptLine(iteration, attempt, span_id, at_ns, end_ns, end_ns, end_ns, end_ns)
        )
        at_ns = end_ns
    return Timeline(started_ns, ended_ns, ended_ns, tuple(attempts))


def _nanoseconds(timestamp: str) -> int:
    moment = moment_of(timestamp)
    if moment is None:
        raise ValueError(f"its timestamp {timestamp!r} is invalid")
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
