"""Plots as inline SVG: colours by class, no scripts, no references to other files.

The height is in pixels and the width in per cent of the page, so that text keeps its size on a
phone. Texts are escaped here.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from markupsafe import Markup, escape

from lakehouse.comparison.summary import STATES, Estimate, Flow, PairedHistogram, State
from lakehouse.reports.wording import STATE_WORDS

_LEFT: Final = 2.0  # per cent
_RIGHT: Final = 98.0
_ROW: Final = 48  # pixels: a line for the label, and the whiskers under it
_AXIS: Final = 28
_TICKS: Final = 5


class Axis(msgspec.Struct, frozen=True):
    """A scale from `low` to `high`; if it is logarithmic, both must be over 0."""

    low: float
    high: float
    logarithmic: bool
    show: Callable[[float], str]

    def x(self, value: float) -> float:
        """Return the place of a value in per cent of the width; values beyond an edge lie on it."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return _LEFT + (_RIGHT - _LEFT) * ((at - low) / (high - low))

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def ticks(self) -> list[float]:
        """Choose about `_TICKS` round values."""
        if self.logarithmic and self.high / self.low >= 20:
            return _decades(self.low, self.high)
        step = _round_step((self.high - self.low) / _TICKS)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


class IntervalRow(msgspec.Struct, frozen=True):
    """A label and the estimates under it, by their CSS class; `limit` is drawn as a tick."""

    label: str
    estimates: Mapping[str, Estimate]
    limit: float | None = None


def interval_plot(
    title: str, rows: Sequence[IntervalRow], axis: Axis, *, reference: float | None = None
) -> Markup:
    """Draw dots with whiskers, one row per label; `reference` is a line through all rows.

    A value beyond the axis is drawn as an arrow at the edge, with its number.
    """
    bottom = len(rows) * _ROW
    parts = [_grid(axis, bottom)]
    if reference is not None:
        x = axis.x(reference)
        parts.append(_line(x, 0, x, bottom, "reference"))
    for index, row in enumerate(rows):
        top = index * _ROW
        parts.append(_label(row.label, "0", top + 15, "start", "label"))
        gap = 11 if len(row.estimates) > 1 else 0
        for place, (name, estimate) in enumerate(row.estimates.items()):
            y = top + 32 + gap * (place - 0.5) * (gap > 0)
            parts.append(_whisker(axis, estimate, name, y))
        if row.limit is not None and axis.holds(row.limit):
            x = axis.x(row.limit)
            parts.append(_line(x, top + 20, x, top + 44, "limit"))
    return _svg(title, bottom + _AXIS, parts)


def histogram_plot(title: str, histogram: PairedHistogram, axis: Axis) -> Markup:
    """Draw the counts of both sides as overlapping bars."""
    height = 190
    top = max(1, *histogram.baseline, *histogram.candidate)
    step = max(1, round(_round_step(top / 4)))
    parts = [_grid(axis, height)]
    for count in range(step, top + 1, step):
        y = height - count / top * (height - 14)
        parts.append(_line(_LEFT, y, _RIGHT, y, "grid"))
        parts.append(_label(str(count), f"{_LEFT}%", y - 3, "start", "tick"))
    for name, counts in (("baseline", histogram.baseline), ("candidate", histogram.candidate)):
        for index, count in enumerate(counts):
            tall = count / top * (height - 14)
            left, right = (axis.x(edge) for edge in histogram.edges[index : index + 2])
            if count:
                place = f'x="{left:.2f}%" y="{height - tall:.1f}"'
                size = f'width="{right - left:.2f}%" height="{tall:.1f}"'
                parts.append(f'<rect class="area {name}" {place} {size}/>')
    return _svg(title, height + _AXIS, parts)


def flow_plot(title: str, flows: Sequence[Flow]) -> Markup:
    """Draw how many pairs ended how on each side, as bands between two columns."""
    height, gap = 250, 26
    total = sum(flow.pairs for flow in flows) or 1
    scale = (height - gap * (len(STATES) - 1)) / total
    nodes: list[str] = []
    labels: list[str] = []
    starts: list[dict[State, float]] = []
    for side, (x, text_x, anchor) in enumerate(((0.0, "5%", "start"), (97.0, "95%", "end"))):
        y = 8.0
        starts.append({})
        for state in STATES:
            count = sum(f.pairs for f in flows if (f.baseline, f.candidate)[side] == state)
            starts[side][state] = y
            tall = count * scale
            nodes.append(
                f'<rect class="node {state}" x="{x}%" y="{y:.1f}" width="3%" '
                f'height="{max(tall, 1):.1f}"/>'
            )
            text = f"{STATE_WORDS[state]} {count}"
            labels.append(_label(text, text_x, y + tall / 2 + 4, anchor, "label"))
            y += tall + gap
    bands = []
    for flow in sorted(flows, key=_place):
        tall = flow.pairs * scale
        y0, y1 = starts[0][flow.baseline], starts[1][flow.candidate]
        starts[0][flow.baseline] += tall
        starts[1][flow.candidate] += tall
        bands.append(_band(y0, y1, tall, flow))
    tall = height + 24
    box = f'x="3%" width="94%" height="{tall}" viewBox="0 0 100 {tall}" preserveAspectRatio="none"'
    return _svg(title, tall, [f"<svg {box}>{''.join(bands)}</svg>", *nodes, *labels])


def direction(flow: Flow) -> str:
    """Classify a flow as `same`, `better`, `worse` or `outage`."""
    if "infra_error" in {flow.baseline, flow.candidate}:
        return "outage"
    ours, theirs = STATES.index(flow.baseline), STATES.index(flow.candidate)
    return "same" if ours == theirs else "better" if theirs < ours else "worse"


def _place(flow: Flow) -> tuple[int, int]:
    return STATES.index(flow.baseline), STATES.index(flow.candidate)


def _band(y0: float, y1: float, tall: float, flow: Flow) -> str:
    path = (
        f"M0,{y0:.1f} C50,{y0:.1f} 50,{y1:.1f} 100,{y1:.1f} L100,{y1 + tall:.1f} "
        f"C50,{y1 + tall:.1f} 50,{y0 + tall:.1f} 0,{y0 + tall:.1f} Z"
    )
    told = f"{STATE_WORDS[flow.baseline]} → {STATE_WORDS[flow.candidate]}: {flow.pairs}"
    return f'<path class="band {direction(flow)}" d="{path}"><title>{escape(told)}</title></path>'


def _whisker(axis: Axis, estimate: Estimate, name: str, y: float) -> str:
    value = estimate.value
    if value is None:
        return ""
    drawn = ""
    low, high = estimate.low, estimate.high
    if low is not None and high is not None and any(map(axis.holds, (low, value, high))):
        drawn = _line(axis.x(low), y, axis.x(high), y, f"whisker {name}")
    if axis.holds(value):
        return drawn + f'<circle class="{name}" cx="{axis.x(value):.2f}%" cy="{y:.1f}" r="4.5"/>'
    if value < axis.low:
        return drawn + _label(f"◂ {axis.show(value)}", "0", y + 4, "start", f"beyond {name}")
    return drawn + _label(f"{axis.show(value)} ▸", "100%", y + 4, "end", f"beyond {name}")


def _grid(axis: Axis, bottom: float) -> str:
    parts = []
    for tick in axis.ticks():
        x = axis.x(tick)
        parts.append(_line(x, 0, x, bottom, "grid"))
        anchor = "start" if x < 6 else "end" if x > 94 else "middle"
        parts.append(_label(axis.show(tick), f"{x:.2f}%", bottom + 18, anchor, "tick"))
    return "".join(parts)


def _decades(low: float, high: float) -> list[float]:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 300 else (1,)
    return [s * 10.0**e for e in exponents for s in steps if low <= s * 10.0**e <= high]


def _round_step(rough: float) -> float:
    magnitude = 10.0 ** math.floor(math.log10(rough))
    return next(step * magnitude for step in (1, 2, 5, 10) if step * magnitude >= rough * 0.999)


def _svg(title: str, height: float, parts: Sequence[str]) -> Markup:
    return Markup(  # noqa: S704 - made of numbers, fixed words and escaped text
        f'<svg width="100%" height="{height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def _line(x0: float, y0: float, x1: float, y1: float, name: str) -> str:
    ends = f'x1="{x0:.2f}%" y1="{y0:.1f}" x2="{x1:.2f}%" y2="{y1:.1f}"'
    return f'<line class="{name}" {ends}/>'


def _label(text: str, x: str, y: float, anchor: str, name: str) -> str:
    place = f'x="{x}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{name}" {place}>{escape(text)}</text>'
