"""Time as a value that tests can hold still: wall time for records, monotonic for deadlines."""

import re
import time
from datetime import UTC, datetime
from typing import Final, Protocol

TIME_PATTERN: Final = (
    r"[0-9]{4}-([0-9]{2}-[0-9]{2}|W[0-9]{2}-[1-7])"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
    r"(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?"
)
"""What a text must look like to be a time; the same to Python and to DuckDB."""

UNDATED: Final = "0001-01-01T00:00:00.000000Z"
"""Stands for the moment of a text that is no time: it is older than every other."""

_TIME: Final = re.compile(TIME_PATTERN)
_OUR_FORM: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}(:[0-9]{2}){2}\.[0-9]{6}Z")


class Clock(Protocol):
    """Source of the two kinds of time; they are never mixed."""

    def now(self) -> datetime:
        """Wall time in UTC, for records. May jump."""
        ...

    def monotonic_ms(self) -> float:
        """Milliseconds since an arbitrary start, for durations and deadlines. Never goes back."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Wall time in UTC."""
        return datetime.now(UTC)

    def monotonic_ms(self) -> float:
        """Milliseconds of `time.monotonic`."""
        return time.monotonic() * 1000


class FixedClock:
    """Shipped test double: stands still until `advance_ms` is called."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
        self._monotonic_ms = 0.0

    def now(self) -> datetime:
        """Give the time it was set to."""
        return self._now

    def monotonic_ms(self) -> float:
        """Milliseconds advanced so far."""
        return self._monotonic_ms

    def advance_ms(self, milliseconds: float) -> None:
        """Move the monotonic time on; wall time stays."""
        self._monotonic_ms += milliseconds


def timestamp(moment: datetime) -> str:
    """Format a UTC moment as RFC 3339 with six fraction digits and `Z`. Cost: about 0.5 µs."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def moment_of(text: str) -> datetime | None:
    """Read a row's timestamp in UTC, as no zone means; None for a text that is no time.

    A row may hold any text there. Cost: 1 µs.
    """
    if _TIME.fullmatch(text) is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def ordering_moment(text: str) -> str:
    """Write a row's timestamp in the form that orders the rows of every writer; see `UNDATED`."""
    moment = moment_of(text)
    if moment is None:
        return UNDATED
    return text if _OUR_FORM.fullmatch(text) else timestamp(moment)


def within(moment: str, since: str | None, until: str | None) -> bool:
    """Say whether `since` <= a row's ordering moment < `until`, in our form; None has no bound.

    A row without a time is older than every other: no `since` lets it through, any `until` does.
    """
    return (since is None or (moment >= since and moment != UNDATED)) and (
        until is None or moment < until
    )
