"""When the spans of a session began and ended: as measured, or as far as its row can tell."""

from datetime import datetime

import msgspec

from lakehouse.core.observation import SessionTimes
from lakehouse.core.row import Row


class AttemptLine(msgspec.Struct, frozen=True):
    """One attempt. Nanoseconds since 1970; null where the step was not reached."""

    span_id: str
    started_ns: int
    answered_ns: int | None
    extracted_ns: int | None
    checked_ns: int | None
    ended_ns: int


class Timeline(msgspec.Struct, frozen=True):
    """One session. `ended_ns` is the row's `timestamp`; `logged_ns` when it was durable."""

    started_ns: int
    ended_ns: int
    logged_ns: int
    attempts: tuple[AttemptLine, ...]


def measured(row: Row, times: SessionTimes) -> Timeline:
    """Place measured monotonic times around the row's wall time."""
    ended_ns = _nanoseconds(row.timestamp)

    def at(moment_ms: float) -> int:
        return ended_ns - int((times.ended_ms - moment_ms) * 1e6)

    def reached(moment_ms: float | None) -> int | None:
        return None if moment_ms is None else at(moment_ms)

    return Timeline(
        at(times.started_ms),
        ended_ns,
        at(times.logged_ms),
        tuple(
            AttemptLine(
                each.span_id,
                at(each.started_ms),
                reached(each.answered_ms),
                reached(each.extracted_ms),
                reached(each.checked_ms),
                ended_ns if each.ended_ms is None else at(each.ended_ms),
            )
            for each in times.attempts
        ),
    )


def estimated(row: Row) -> Timeline:
    """Place what the row says: whole milliseconds, attempts end to end, the last at the end.

    The row does not tell how an attempt's time was divided: the model gets all of it, and the
    checks none. Of an attempt that failed before it was judged, the row tells nothing.
    """
    ended_ns = _nanoseconds(row.timestamp)
    started_ns = ended_ns - row.duration_ms * 1_000_000
    at_ns = ended_ns - sum(attempt.duration_ms for attempt in row.attempts) * 1_000_000
    started_ns = min(started_ns, at_ns)
    attempts = []
    for attempt in row.attempts:
        end_ns = at_ns + attempt.duration_ms * 1_000_000
        attempts.append(AttemptLine(attempt.span_id, at_ns, end_ns, end_ns, end_ns, end_ns))
        at_ns = end_ns
    return Timeline(started_ns, ended_ns, ended_ns, tuple(attempts))


def _nanoseconds(timestamp: str) -> int:
    moment = datetime.fromisoformat(timestamp)
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
