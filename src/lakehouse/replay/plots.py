"""Plots as SVG text that stands in a page by itself: classes for colours, no script, no reference.

Everything is drawn in a box of `WIDTH` units that the page scales; texts are escaped here.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final

import msgspec

from lakehouse.replay.summary import STATE_WORDS, STATES, Estimate, Flow, Histogram, State

WIDTH: Final = 720
_LEFT: Final = 190  # room for row labels
_RIGHT: Final = 20
_ROW: Final = 44
_AXIS: Final = 34
_TICKS: Final = 6


class Axis(msgspec.Struct, frozen=True):
    """A scale from `low` to `high`; a logarithmic one needs both over 0."""

    low: float
    high: float
    logarithmic: bool
    show: Callable[[float], str]

    def x(self, value: float, left: float, right: float) -> float:
        """Place a value between two x coordinates; outside values lie on the edge."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return left + (right - left) * ((at - low) / (high - low))

    def ticks(self) -> list[float]:
        """Choose round values, at most about `_TICKS`."""
        if self.logarithmic and self.high / self.low >= 20:
            return _decades(self.low, self.high)
        step = _round_step((self.high - self.low) / _TICKS)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


class IntervalRow(msgspec.Struct, frozen=True):
    """A label and what is drawn beside it: estimates by their CSS class, and a limit's tick."""

    label: str
    estimates: Mapping[str, Estimate]
    limit: float | None = None


def interval_plot(
    title: str, rows: Sequence[IntervalRow], axis: Axis, *, reference: float | None = None
) -> str:
    """Draw dots with whiskers, one row for each label; `reference` is a line through all rows."""
    bottom = len(rows) * _ROW + 6
    left, right = _LEFT, WIDTH - _RIGHT
    parts = [_grid(axis, left, right, bottom)]
    if reference is not None:
        x = axis.x(reference, left, right)
        parts.append(_line(x, 0, x, bottom, "reference"))
    for index, row in enumerate(rows):
        middle = index * _ROW + _ROW / 2 + 3
        parts.append(_label(row.label, left - 12, middle + 4, "end"))
        gap = 13 if len(row.estimates) > 1 else 0
        for place, (name, estimate) in enumerate(row.estimates.items()):
            parts.append(_whisker(axis, estimate, name, middle + gap * (place - 0.5) * (gap > 0)))
        if row.limit is not None:
            x = axis.x(row.limit, left, right)
            parts.append(_line(x, middle - 15, x, middle + 15, "limit"))
    return _svg(title, bottom + _AXIS, parts)


def histogram_plot(title: str, histogram: Histogram, axis: Axis) -> str:
    """Draw both sides' counts as filled outlines over one another."""
    height, left, right = 190, 56, WIDTH - _RIGHT
    top = max(1, *histogram.baseline, *histogram.candidate)
    step = max(1, round(_round_step(top / 4)))
    parts = [_grid(axis, left, right, height)]
    for count in range(step, top + 1, step):
        y = height - count / top * (height - 14)
        parts.append(_line(left, y, right, y, "grid"))
        parts.append(_label(str(count), left - 8, y + 4, "end", "tick"))
    for name, counts in (("baseline", histogram.baseline), ("candidate", histogram.candidate)):
        points = [f"{left:.1f},{height:.1f}"]
        for index, count in enumerate(counts):
            y = height - count / top * (height - 14)
            ends = (axis.x(edge, left, right) for edge in histogram.edges[index : index + 2])
            points += [f"{x:.1f},{y:.1f}" for x in ends]
        points.append(f"{right:.1f},{height:.1f}")
        parts.append(f'<polygon class="area {name}" points="{" ".join(points)}"/>')
    return _svg(title, height + _AXIS, parts)


def flow_plot(title: str, flows: Sequence[Flow]) -> str:
    """Draw how many pairs went from which end to which, as bands between two columns."""
    height, gap, bar, left, right = 250, 26, 14, 150, WIDTH - 150
    total = sum(flow.pairs for flow in flows) or 1
    scale = (height - gap * (len(STATES) - 1)) / total
    parts: list[str] = []
    starts: list[dict[State, float]] = []
    for side, x in enumerate((left, right - bar)):
        y = 8.0
        starts.append({})
        for state in STATES:
            count = sum(f.pairs for f in flows if (f.baseline, f.candidate)[side] == state)
            starts[side][state] = y
            tall = count * scale
            parts.append(_rectangle(x, y, bar, max(tall, 1), f"node {state}"))
            anchor, text_x = ("end", x - 8) if side == 0 else ("start", x + bar + 8)
            text = f"{STATE_WORDS[state]} {count}"
            parts.append(_label(text, text_x, y + tall / 2 + 4, anchor))
            y += tall + gap
    for flow in sorted(flows, key=_place):
        tall = flow.pairs * scale
        y0, y1 = starts[0][flow.baseline], starts[1][flow.candidate]
        starts[0][flow.baseline] += tall
        starts[1][flow.candidate] += tall
        parts.append(_band((left + bar, y0), (right - bar, y1), tall, flow))
    return _svg(title, height + 24, parts)


def direction(flow: Flow) -> str:
    """Say whether a flow is `same`, `better`, `worse`, or `outage`, which is neither."""
    if "infra_error" in {flow.baseline, flow.candidate}:
        return "outage"
    ours, theirs = STATES.index(flow.baseline), STATES.index(flow.candidate)
    return "same" if ours == theirs else "better" if theirs < ours else "worse"


def _place(flow: Flow) -> tuple[int, int]:
    return STATES.index(flow.baseline), STATES.index(flow.candidate)


def _band(start: tuple[float, float], end: tuple[float, float], tall: float, flow: Flow) -> str:
    (x0, y0), (x1, y1) = start, end
    middle = (x0 + x1) / 2
    path = (
        f"M{x0:.1f},{y0:.1f} C{middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} {x1:.1f},{y1:.1f} "
        f"L{x1:.1f},{y1 + tall:.1f} C{middle:.1f},{y1 + tall:.1f} {middle:.1f},{y0 + tall:.1f} "
        f"{x0:.1f},{y0 + tall:.1f} Z"
    )
    told = f"{STATE_WORDS[flow.baseline]} → {STATE_WORDS[flow.candidate]}: {flow.pairs}"
    return f'<path class="band {direction(flow)}" d="{path}"><title>{escape(told)}</title></path>'


def _whisker(axis: Axis, estimate: Estimate, name: str, y: float) -> str:
    if estimate.value is None:
        return ""
    left, right = _LEFT, WIDTH - _RIGHT
    x = axis.x(estimate.value, left, right)
    drawn = f'<circle class="{name}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
    if estimate.low is None or estimate.high is None:
        return drawn
    low, high = axis.x(estimate.low, left, right), axis.x(estimate.high, left, right)
    return _line(low, y, high, y, f"whisker {name}") + drawn


def _grid(axis: Axis, left: float, right: float, bottom: float) -> str:
    parts = []
    for tick in axis.ticks():
        x = axis.x(tick, left, right)
        parts.append(_line(x, 0, x, bottom, "grid"))
        parts.append(_label(axis.show(tick), x, bottom + 20, "middle", "tick"))
    return "".join(parts)


def _decades(low: float, high: float) -> list[float]:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 300 else (1,)
    return [s * 10.0**e for e in exponents for s in steps if low <= s * 10.0**e <= high]


def _round_step(rough: float) -> float:
    magnitude = 10.0 ** math.floor(math.log10(rough))
    return next(step * magnitude for step in (1, 2, 5, 10) if step * magnitude >= rough * 0.999)


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def _line(x0: float, y0: float, x1: float, y1: float, name: str) -> str:
    return f'<line class="{name}" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>'


def _rectangle(x: float, y: float, wide: float, tall: float, name: str) -> str:
    return f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}"/>'


def _label(text: str, x: float, y: float, anchor: str, name: str = "label") -> str:
    return (
        f'<text class="{name}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )
