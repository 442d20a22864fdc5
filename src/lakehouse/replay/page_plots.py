"""Which plots the page has, and how far their axes reach."""

import math
from collections.abc import Iterable, Sequence

from lakehouse.replay.gate import Decision, Judgement
from lakehouse.replay.plots import Axis, IntervalRow, histogram_plot, interval_plot
from lakehouse.replay.report import amount
from lakehouse.replay.summary import Estimate, Histogram, Summary


def level_plot(summary: Summary) -> str:
    """Draw the rates of both sides with their intervals."""
    rows = []
    for metric in summary.metrics:
        if metric.unit == "rate":
            sides = {"baseline": metric.baseline, "candidate": metric.candidate}
            rows.append(IntervalRow(metric.name, {name: one for name, one in sides.items() if one}))
    if not rows:
        return ""
    low, high = _reach(estimate for row in rows for estimate in row.estimates.values())
    axis = Axis(math.floor(low * 10) / 10, math.ceil(high * 10) / 10, False, _share)
    return interval_plot("Rates of both sides with 95 % intervals", rows, axis)


def change_plots(summary: Summary, judgement: Judgement | None) -> str:
    """Draw what changed, with the limits of the gate: points of rates, factors of the rest."""
    limits = _limits(() if judgement is None else judgement.decisions)
    points: list[IntervalRow] = []
    factors: list[IntervalRow] = []
    for metric in summary.metrics:
        if metric.change is not None and metric.change.value is not None:
            row = IntervalRow(metric.name, {"change": metric.change}, limits.get(metric.name))
            (points if metric.unit == "rate" else factors).append(row)
    drawn = '<p class="legend"><span class="key change">change, 95 % interval</span> '
    drawn += '<span class="key limit">the gate\'s limit</span></p>' if limits else "</p>"
    if points:
        reach = max(0.02, *map(abs, _extent(points)))
        axis = Axis(-reach * 1.1, reach * 1.1, False, _points)
        drawn += "<h3>Change of rates, in points</h3>"
        drawn += interval_plot("Change of rates, in points", points, axis, reference=0.0)
    if factors:
        extent = [value for value in _extent(factors) if value > 0]
        reach = min(max(1.1, *extent, *(1 / value for value in extent)) ** 1.1, 1000.0)
        axis = Axis(1 / reach, reach, True, _factor)
        drawn += "<h3>What is spent, as a factor of the baseline's</h3>"
        drawn += interval_plot("Factors of what is spent", factors, axis, reference=1.0)
    return drawn if points or factors else ""


def distribution_plots(histograms: Sequence[Histogram]) -> Iterable[tuple[str, str]]:
    """Draw how values lie: (column, plot)."""
    for histogram in histograms:
        axis = Axis(
            histogram.edges[0],
            histogram.edges[-1],
            histogram.scale == "log",
            lambda value, unit=histogram.unit: amount(unit, value),  # type: ignore[misc]  # bound now
        )
        yield histogram.column, histogram_plot(f"{histogram.column} of both sides", histogram, axis)


def _limits(decisions: Sequence[Decision]) -> dict[str, float]:
    return {one.measure: one.limit for one in decisions if one.against_baseline}


def _extent(rows: Sequence[IntervalRow]) -> list[float]:
    low, high = _reach(estimate for row in rows for estimate in row.estimates.values())
    return [low, high, *(row.limit for row in rows if row.limit is not None)]


def _reach(estimates: Iterable[Estimate]) -> tuple[float, float]:
    found = [v for one in estimates for v in (one.value, one.low, one.high) if v is not None]
    return min(found), max(found)


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _points(value: float) -> str:
    return f"{100 * value:+.3g}" if abs(value) > 1e-9 else "0"


def _factor(value: float) -> str:
    return f"× {value:.3g}"
