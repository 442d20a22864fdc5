"""Draws the result of a query, where its first column is a time or a text and the rest numbers."""

import math
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from lakehouse.core.json_text import cell_text
from lakehouse.sessionlog.index.questions import Bucket
from lakehouse.sessionlog.reading.query import QueryColumn, QueryResult
from lakehouse.ui import texts
from lakehouse.ui.charts import WIDTH, Chart, Point, chart
from lakehouse.ui.time_axis import moment_of

_SERIES_MAX: Final = 3
_POINTS_MAX: Final = 500
_BARS_MAX: Final = 40
_NUMBER: Final = re.compile(
    r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|UHUGEINT|DOUBLE|FLOAT|DECIMAL\(.*\)"
)
_DAY_CHARS: Final = 10


class Bar(msgspec.Struct, frozen=True):
    """One value; `width` is of `charts.WIDTH`."""

    series: int
    width: float
    shown: str


class BarGroup(msgspec.Struct, frozen=True):
    """The values of one row."""

    label: str
    bars: tuple[Bar, ...]


class Bars(msgspec.Struct, frozen=True):
    """A list of bars, from 0. `left_out` rows have none: they are too many."""

    title: str
    series: tuple[str, ...]
    groups: tuple[BarGroup, ...]
    left_out: int


def time_chart(result: QueryResult) -> Chart | None:
    """Draw a result over the times of its first column; None if it is not of that form."""
    numbers = _numbers(result)
    moments = [cell_text(row[0]) for row in result.rows]
    known = [text for text in moments if text is not None]
    if numbers is None or not known or len(known) > _POINTS_MAX or len(set(known)) != len(known):
        return None
    if not all(map(_is_moment, known)):
        return None
    names = [column.name for column in result.columns[1 : 1 + _SERIES_MAX]]
    series = {
        name: sorted(
            (
                Point(moment, value)
                for moment, row in zip(moments, numbers, strict=True)
                if moment is not None and (value := row[place]) is not None
            ),
            key=lambda point: point.at,
        )
        for place, name in enumerate(names)
    }
    title = f"{', '.join(names)} by {result.columns[0].name}"
    return chart(title, series, _bucket_of(known), texts.amount, gaps="break")


def bars(result: QueryResult) -> Bars | None:
    """Draw a result as bars, one group for each text of its first column; None if it is none."""
    numbers = _numbers(result)
    if numbers is None or not result.rows:
        return None
    top = max((value for row in numbers for value in row if value is not None), default=0.0) or 1.0
    names = tuple(column.name for column in result.columns[1 : 1 + _SERIES_MAX])
    groups = tuple(
        BarGroup(
            cell_text(row[0]) or "–",
            tuple(
                Bar(place, WIDTH * value / top, texts.amount(value))
                for place, value in enumerate(values, start=1)
                if value is not None
            ),
        )
        for row, values in zip(result.rows[:_BARS_MAX], numbers, strict=False)
    )
    title = f"{', '.join(names)} by {result.columns[0].name}"
    return Bars(title, names, groups, max(0, len(result.rows) - _BARS_MAX))


def _bucket_of(moments: Sequence[str]) -> Bucket | None:
    """Return the longest part of time that all of these begin; None if they begin none."""
    times = [moment_of(text) for text in moments]
    if any(time.second or time.microsecond for time in times):
        return None
    if any(time.minute for time in times):
        return "minute"
    if any(time.hour for time in times):
        return "hour"
    if all(time.day == 1 for time in times):
        return "month"
    return "day" if any(time.weekday() for time in times) else "week"


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return len(text) >= _DAY_CHARS and text[4] == text[7] == "-"


def _numbers(result: QueryResult) -> list[list[float | None]] | None:
    """Return the numbers behind the first column, at most three of a row; None if they are none.

    A chart begins at 0: there is none of negative numbers.
    """
    first, *rest = result.columns or (QueryColumn("", ""),)
    named = first.type in ("VARCHAR", "BOOLEAN", "DATE") or first.type.startswith("TIMESTAMP")
    if not named or not rest or not all(_NUMBER.fullmatch(column.type) for column in rest):
        return None
    rows = [[_number(cell) for cell in row[1 : 1 + _SERIES_MAX]] for row in result.rows]
    fair = all(value is None or 0 <= value < math.inf for row in rows for value in row)
    return rows if fair else None


def _number(cell: msgspec.Raw) -> float | None:
    text = cell_text(cell)
    return None if text is None else float(text)


def shown_columns(columns: Sequence[QueryColumn]) -> list[bool]:
    """Return for each column whether its cells are numbers."""
    return [_NUMBER.fullmatch(column.type) is not None for column in columns]
