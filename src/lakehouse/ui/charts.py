"""Charts over time, drawn on the server: they need no script, and can be printed and sent.

A chart is stretched to the width of its page. So the drawing has no text: labels stand beside it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from lakehouse.sessionlog.index.questions import Bucket, FindingCount, LatencyGroup
from lakehouse.sessionlog.reading.counts import Stats
from lakehouse.ui import texts
from lakehouse.ui.time_axis import Tick, after, moment_of, ticks

WIDTH: Final = 1_000.0
HEIGHT: Final = 100.0
_LABEL_CHARS: Final = {"minute": 16, "hour": 16, "day": 10, "week": 10, "month": 7, None: 16}
_NEVER: Final = datetime.min.replace(tzinfo=UTC)

Gaps = Literal["zero", "break"]
"""Where a part of time has no point: counts are zero there, and rates are not known."""


class Point(msgspec.Struct, frozen=True):
    """One value at a time, with its interval if there is chance in it; `note` says more."""

    at: str
    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""


_Line = list[tuple[datetime, Point]]
_Places = list[tuple[float, float]]


class Dot(msgspec.Struct, frozen=True):
    """A drawn value: its place in the drawing, and what it says."""

    x: float
    y: float
    label: str
    shown: str
    span: str
    note: str


class DrawnLine(msgspec.Struct, frozen=True):
    """One drawn series: `path` joins its dots; `band` is where their intervals are.

    `whiskers` are the intervals of dots that stand alone.
    """

    name: str
    path: str
    band: str
    whiskers: str
    dots: tuple[Dot, ...]


class Chart(msgspec.Struct, frozen=True):
    """A drawing with its labels from top to bottom, and those of time."""

    title: str
    lines: tuple[DrawnLine, ...]
    y_labels: tuple[str, ...]
    ticks: tuple[Tick, ...]

    @property
    def empty(self) -> bool:
        return not any(line.dots for line in self.lines)


def rate_chart(
    title: str, groups: Sequence[Stats], bucket: Bucket, rates: Sequence[tuple[str, str]]
) -> Chart:
    """Draw rates over time with their intervals; `rates` are pairs of a name and a member."""
    series = {
        name: [point for one in groups for point in _rate_point(one, member)]
        for name, member in rates
    }
    return chart(title, series, bucket, texts.percent, gaps="break", most=1.0)


def _rate_point(stats: Stats, member: str) -> list[Point]:
    """Return a group's rate as a point; none without a time or without a judged session."""
    at = stats.group.get("bucket") if stats.group is not msgspec.UNSET else None
    rate, bounds = getattr(stats, f"{member}_rate"), getattr(stats, f"{member}_interval")
    if at is None or rate is None:
        return []
    note = f"{getattr(stats, member)} of {stats.accepted + stats.max_iter_exhausted}"
    return [Point(at, rate, bounds[0], bounds[1], note)]


def count_chart(title: str, groups: Iterable[Stats], bucket: Bucket) -> Chart:
    """Draw how many sessions there were over time, and how many ended without a verdict."""
    kept = [
        (str(one.group["bucket"]), one)
        for one in groups
        if one.group is not msgspec.UNSET and one.group.get("bucket") is not None
    ]
    series = {
        "sessions": [Point(at, one.sessions) for at, one in kept],
        "infra_error": [Point(at, one.infra_error) for at, one in kept],
    }
    return chart(title, series, bucket, texts.amount, gaps="zero")


def finding_chart(title: str, times: Iterable[FindingCount], bucket: Bucket) -> Chart:
    """Draw how many findings there were over time, and in how many sessions."""
    kept = [(one.bucket, one) for one in times if one.bucket is not None]
    series = {
        "findings": [Point(at, one.findings) for at, one in kept],
        "sessions": [Point(at, one.sessions) for at, one in kept],
    }
    return chart(title, series, bucket, texts.amount, gaps="zero")


def token_chart(title: str, groups: Iterable[LatencyGroup], bucket: Bucket) -> Chart:
    """Draw how many tokens were read and written over time."""
    kept = [(one.group["bucket"], one) for one in groups]
    series = {
        "read": [Point(at, one.prompt_tokens.total) for at, one in kept if at is not None],
        "written": [Point(at, one.completion_tokens.total) for at, one in kept if at is not None],
    }
    return chart(title, series, bucket, texts.amount, gaps="zero")


def latency_chart(
    title: str, groups: Iterable[LatencyGroup], bucket: Bucket, measure: str
) -> Chart:
    """Draw the quantiles of a measure of `LatencyGroup` over time."""
    kept = [(one.group["bucket"], getattr(one, measure)) for one in groups]
    series = {
        name: [
            Point(at, getattr(quantiles, name))
            for at, quantiles in kept
            if at is not None and getattr(quantiles, name) is not None
        ]
        for name in ("p50", "p90", "p99")
    }
    shown = texts.duration if measure.endswith("_ms") else texts.amount
    return chart(title, series, bucket, shown, gaps="break")


def chart(
    title: str,
    series: dict[str, list[Point]],
    bucket: Bucket | None,
    shown: Callable[[float | None], str],
    *,
    gaps: Gaps,
    most: float | None = None,
) -> Chart:
    """Draw series of points over time, from 0 to `most`, or to a round number above all.

    Args:
        title: What is drawn.
        series: Points by the name of their series, each in the order of time.
        bucket: Which part of time each point is of; None if points are of any times.
        shown: Writes a value.
        gaps: What is drawn where parts of time have no point.
        most: The highest value there can be.
    """
    points = [point for line in series.values() for point in line]
    top = most or _round_up(max((point.high or point.value for point in points), default=1.0))
    times = {point.at: moment_of(point.at) for point in points}
    first, last = min(times.values(), default=_NEVER), max(times.values(), default=_NEVER)

    def x(moment: datetime) -> float:
        return WIDTH * ((moment - first) / (last - first)) if first != last else WIDTH / 2

    def dot(point: Point) -> Dot:
        span = ""
        if point.low is not None and point.high is not None:
            span = f"{shown(point.low)} to {shown(point.high)}"
        label = point.at[: _LABEL_CHARS[bucket]].replace("T", " ")
        at = x(times[point.at]), _y(point.value, top)
        return Dot(*at, label, shown(point.value), span, point.note)

    def drawn(name: str, line: list[Point]) -> DrawnLine:
        runs = _runs([(times[point.at], point) for point in line], bucket)
        places = [[(x(at), _y(one.value, top)) for at, one in run] for run in runs]
        if gaps == "zero":
            places = [_down_to_zero(runs, places, bucket, x)]
        bands = [
            [(x(at), _y(one.low or 0, top), _y(one.high or 0, top)) for at, one in run]
            for run in runs
            if any(one.high is not None for _, one in run)
        ]
        return DrawnLine(
            name,
            "".join(map(_path, places)),
            "".join(_band(run) for run in bands if len(run) > 1),
            "".join(_whisker(*run[0]) for run in bands if len(run) == 1),
            tuple(map(dot, line)),
        )

    return Chart(
        title,
        tuple(drawn(name, line) for name, line in series.items()),
        (shown(top), shown(top / 2), shown(0)),
        ticks(first, last, bucket or "minute") if points else (),
    )


def _runs(line: _Line, bucket: Bucket | None) -> list[_Line]:
    """Divide a series where a part of time has no point."""
    runs: list[_Line] = []
    for at, point in line:
        if runs and (bucket is None or after(runs[-1][-1][0], bucket) >= at):
            runs[-1].append((at, point))
        else:
            runs.append([(at, point)])
    return runs


def _down_to_zero(
    runs: list[_Line], places: list[_Places], bucket: Bucket | None, x: Callable[[datetime], float]
) -> _Places:
    """Join runs by a line at zero, over all parts of time between them."""
    joined: _Places = []
    for index, run in enumerate(places):
        if index and bucket is not None:
            begin, end = after(runs[index - 1][-1][0], bucket), after(runs[index][0][0], bucket, -1)
            joined += [(x(begin), HEIGHT), (x(end), HEIGHT)]
        joined += run
    return joined


def _y(value: float, top: float) -> float:
    return HEIGHT * (1 - min(1.0, max(0.0, value / top)))


def _path(places: _Places) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.2f}" for x, y in places) if places else ""


def _band(run: list[tuple[float, float, float]]) -> str:
    upper = [(x, high) for x, _, high in run]
    lower = [(x, low) for x, low, _ in reversed(run)]
    return _path([*upper, *lower]) + "Z"


def _whisker(x: float, low: float, high: float) -> str:
    return f"M{x:.1f} {low:.2f}V{high:.2f}"


def _round_up(value: float) -> float:
    if value <= 0:
        return 1.0
    step = 10.0 ** math.floor(math.log10(value))
    return next(step * factor for factor in (1, 2, 5, 10) if step * factor >= value)
