"""The plots of the page, and the ranges of their axes."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from markupsafe import Markup

from lakehouse.comparison.judgement import GateJudgement
from lakehouse.comparison.summary import Estimate, PairedHistogram, Summary
from lakehouse.reports.plots import Axis, IntervalRow, histogram_plot, interval_plot
from lakehouse.reports.wording import MEASURE_WORDS, amount

_FACTOR_MAX: Final = 100.0  # a factor beyond it, or below its inverse, is shown as a number


def level_plot(summary: Summary) -> Markup | None:
    """Draw the rates of both sides with their intervals."""
    rows = []
    for metric in summary.metrics:
        if metric.unit == "rate":
            sides = {"baseline": metric.baseline, "candidate": metric.candidate}
            drawn = {name: one for name, one in sides.items() if one}
            rows.append(IntervalRow(MEASURE_WORDS[metric.name], drawn))
    if not rows:
        return None
    low, high = _reach(estimate for row in rows for estimate in row.estimates.values())
    axis = Axis(math.floor(low * 10) / 10, math.ceil(high * 10) / 10, False, _share)
    return interval_plot("Rates of both sides with 95 % intervals", rows, axis)


def point_plot(summary: Summary, limits: Mapping[str, float]) -> Markup | None:
    """Draw the changes of rates in points, with the limits of the gate."""
    rows = _changes(summary, limits, rates=True)
    if not rows:
        return None
    reach = max(0.02, *map(abs, _extent(rows)))
    axis = Axis(-reach * 1.1, reach * 1.1, False, _points)
    return interval_plot("Change of rates, in points", rows, axis, reference=0.0)


def factor_plot(summary: Summary, limits: Mapping[str, float]) -> Markup | None:
    """Draw time, tokens and attempts as factors of the baseline, on a logarithmic axis around 1.

    The axis covers the values up to `_FACTOR_MAX`. Values beyond it, such as 0, are shown as
    numbers.
    """
    rows = _changes(summary, limits, rates=False)
    if not rows:
        return None
    within = [v for v in _extent(rows) if 1 / _FACTOR_MAX <= v <= _FACTOR_MAX]
    reach = max(1.1, *within, *(1 / value for value in within)) ** 1.1
    axis = Axis(1 / reach, reach, True, _factor)
    return interval_plot(
        "Time, tokens and attempts as factors of the baseline", rows, axis, reference=1.0
    )


def limits_of(judgement: GateJudgement | None) -> dict[str, float]:
    """Return the limits that are relative to the baseline, by measure."""
    decisions = () if judgement is None else judgement.decisions
    return {one.measure: one.limit for one in decisions if one.against_baseline}


def distribution_plots(histograms: Sequence[PairedHistogram]) -> Iterable[tuple[str, Markup]]:
    """Yield a histogram for each column: (column, plot)."""
    for histogram in histograms:
        axis = Axis(
            histogram.edges[0],
            histogram.edges[-1],
            histogram.scale == "log",
            lambda value, unit=histogram.unit: amount(unit, value),  # type: ignore[misc]  # bound now
        )
        yield histogram.column, histogram_plot(f"{histogram.column} of both sides", histogram, axis)


def _changes(summary: Summary, limits: Mapping[str, float], *, rates: bool) -> list[IntervalRow]:
    return [
        IntervalRow(MEASURE_WORDS[metric.name], {"change": metric.change}, limits.get(metric.name))
        for metric in summary.metrics
        if metric.change is not None
        and metric.change.value is not None
        and (metric.unit == "rate") == rates
    ]


def _extent(rows: Sequence[IntervalRow]) -> list[float]:
    estimates = [estimate for row in rows for estimate in row.estimates.values()]
    found = [v for one in estimates for v in (one.value, one.low, one.high) if v is not None]
    return [*found, *(row.limit for row in rows if row.limit is not None)]


def _reach(estimates: Iterable[Estimate]) -> tuple[float, float]:
    found = [v for one in estimates for v in (one.value, one.low, one.high) if v is not None]
    return min(found), max(found)


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _points(value: float) -> str:
    return f"{100 * value:+.3g}" if abs(value) > 1e-9 else "0"


def _factor(value: float) -> str:
    return f"× {value:.3g}"
