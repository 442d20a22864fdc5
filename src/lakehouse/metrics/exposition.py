"""Counters, histograms and gauges, and their text form for Prometheus.

Small on purpose: one process, one event loop, label values that come from closed lists and the
configuration only. Cost: about 0.3 µs to count, 0.5 µs to observe.

Source: the Prometheus text exposition format, version 0.0.4.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[str, ...]


class Metric(Protocol):
    """One metric: its name, what it means, and its lines."""

    name: str
    about: str
    kind: str

    def samples(self) -> Iterator[str]:
        """Give its lines."""
        ...


class Counter:
    """A number that only grows, for each combination of label values."""

    kind = "counter"

    def __init__(self, name: str, about: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.about = about
        self._labels = labels
        self._values: dict[Labels, float] = {} if labels else {(): 0}

    def add(self, *values: str, by: float = 1) -> None:
        """Count; the values stand in the order of the labels."""
        self._values[values] = self._values.get(values, 0) + by

    def total(self) -> float:
        """Sum over all label values."""
        return sum(self._values.values())

    def samples(self) -> Iterator[str]:
        """Give one line for each combination of label values that was counted."""
        for values, number in self._values.items():
            yield _line(self.name, zip(self._labels, values, strict=True), number)


class Histogram:
    """How often a measure was at most each bound, for each combination of label values."""

    kind = "histogram"

    def __init__(
        self, name: str, about: str, bounds: Sequence[float], labels: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.about = about
        self._bounds = bounds
        self._labels = labels
        self._buckets: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}
        if not labels:
            self._begin(())

    def observe(self, value: float, *values: str) -> None:
        """Note one measure; the label values stand in the order of the labels."""
        if values not in self._buckets:
            self._begin(values)
        self._buckets[values][bisect_left(self._bounds, value)] += 1
        self._sums[values] += value

    def samples(self) -> Iterator[str]:
        """Give the cumulated buckets, the sum and the count."""
        for values, buckets in self._buckets.items():
            labels = list(zip(self._labels, values, strict=True))
            count = 0
            for bound, number in zip((*self._bounds, math.inf), buckets, strict=True):
                count += number
                yield _line(f"{self.name}_bucket", [*labels, ("le", _number(bound))], count)
            yield _line(f"{self.name}_sum", labels, self._sums[values])
            yield _line(f"{self.name}_count", labels, count)

    def _begin(self, values: Labels) -> None:
        self._buckets[values] = [0] * (len(self._bounds) + 1)
        self._sums[values] = 0.0


class Reading:
    """A metric that is read where it lives when somebody asks: a gauge, or a counter elsewhere."""

    def __init__(
        self,
        name: str,
        about: str,
        labels: Sequence[str],
        read: Callable[[], Mapping[Labels, float]],
        *,
        kind: str = "gauge",
    ) -> None:
        self.name = name
        self.about = about
        self.kind = kind
        self._labels = labels
        self._read = read

    def samples(self) -> Iterator[str]:
        """Read it, and give a line for each combination of label values."""
        for values, number in self._read().items():
            yield _line(self.name, zip(self._labels, values, strict=True), number)


def exposition(metrics: Iterable[Metric]) -> bytes:
    """Write metrics in the text form."""
    lines: list[str] = []
    for metric in metrics:
        lines.append(f"# HELP {metric.name} {_escaped(metric.about)}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        lines.extend(metric.samples())
    return ("\n".join(lines) + "\n").encode("utf-8")


def _line(name: str, labels: Iterable[tuple[str, str]], value: float) -> str:
    inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    return f"{name}{{{inner}}} {_number(value)}" if inner else f"{name} {_number(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) else repr(value)
