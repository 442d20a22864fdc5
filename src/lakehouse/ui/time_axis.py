"""The axis of time below a chart: where a part of time ends, and labels at round times."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from lakehouse.sessionlog.index.questions import Bucket

_TICKS_MAX: Final = 6
_EDGE: Final = 0.08  # of the width: labels so near to an end begin or end there
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MONDAY: Final = datetime(1969, 12, 29, tzinfo=UTC)
_STEPS: Final[tuple[tuple[Bucket, tuple[int, ...]], ...]] = (
    ("minute", (1, 2, 5, 10, 15, 30)),
    ("hour", (1, 2, 3, 6, 12)),
    ("day", (1, 2, 3)),
    ("week", (1, 2)),
    ("month", (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1_200, 2_400, 6_000, 12_000, 24_000)),
)
_LENGTHS: Final = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}


class Tick(msgspec.Struct, frozen=True):
    """A label below a chart. `at` is 0 at the left end and 1 at the right end.

    `above` is the time, or the day; `below` is the day or the year, where it has changed.
    """

    at: float
    above: str
    below: str

    @property
    def anchor(self) -> str:
        """Say which part of the label is at its place, so that none leaves the drawing."""
        return "start" if self.at < _EDGE else "end" if self.at > 1 - _EDGE else "middle"


def moment_of(text: str) -> datetime:
    """Read a time, which is UTC if it does not say otherwise."""
    read = datetime.fromisoformat(text)
    return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)


def after(moment: datetime, bucket: Bucket, parts: int = 1) -> datetime:
    """Return when a part of time begins that is so many parts later, or earlier.

    Raises:
        OverflowError: Before year 1, or after year 9999.
    """
    if bucket != "month":
        return moment + parts * _LENGTHS[bucket]
    years, month = divmod(moment.month - 1 + parts, 12)
    if not 1 <= moment.year + years <= 9_999:
        raise OverflowError("there is no such year")
    return moment.replace(year=moment.year + years, month=month + 1)


def ticks(first: datetime, last: datetime, finest: Bucket) -> tuple[Tick, ...]:
    """Label the time from `first` to `last` at round times, none finer than `finest`."""
    if first == last:
        return tuple(_labelled([(0.5, first)], finest))
    for unit, steps in _steps_from(finest):
        for step in steps:
            found = _round_times(first, last, unit, step)
            if len(found) <= _TICKS_MAX:
                span = last - first
                return tuple(_labelled([((one - first) / span, one) for one in found], unit))
    raise AssertionError("the coarsest step has few ticks in all years that there are")


def _steps_from(finest: Bucket) -> Iterator[tuple[Bucket, tuple[int, ...]]]:
    units = [unit for unit, _ in _STEPS]
    return iter(_STEPS[units.index(finest) :])


def _round_times(first: datetime, last: datetime, unit: Bucket, step: int) -> list[datetime]:
    """Return the round times of a step, at most one more than there may be."""
    found: list[datetime] = []
    moment = _round_down(first, unit, step)
    while moment <= last and len(found) <= _TICKS_MAX:
        if moment >= first:
            found.append(moment)
        try:
            moment = after(moment, unit, step)
        except OverflowError:
            break
    return found


def _round_down(moment: datetime, unit: Bucket, step: int) -> datetime:
    if unit == "month":
        months = 12 * moment.year + moment.month - 1
        year, month = divmod(max(12, months - months % step), 12)
        return datetime(year, month + 1, 1, tzinfo=UTC)
    length = step * _LENGTHS[unit]
    begin = _MONDAY if unit == "week" else _EPOCH
    try:
        return moment - (moment - begin) % length
    except OverflowError:
        return moment


def _labelled(places: list[tuple[float, datetime]], unit: Bucket) -> Iterator[Tick]:
    above, below = _FORMS[unit]
    known = ""
    for at, moment in places:
        told = below(moment)
        yield Tick(at, above(moment), "" if told == known else told)
        known = told


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%b}"


_Words = Callable[[datetime], str]
_CLOCK: Final[tuple[_Words, _Words]] = (
    lambda moment: f"{moment:%H:%M}",
    lambda moment: f"{_day(moment)} {moment.year}",
)
_CALENDAR: Final[tuple[_Words, _Words]] = (_day, lambda moment: str(moment.year))
_FORMS: Final[dict[Bucket, tuple[_Words, _Words]]] = {
    "minute": _CLOCK,
    "hour": _CLOCK,
    "day": _CALENDAR,
    "week": _CALENDAR,
    "month": (lambda moment: f"{moment:%b}", lambda moment: str(moment.year)),
}
