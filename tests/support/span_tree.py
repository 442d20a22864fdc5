"""Spans of a session by their place in its tree."""

from datetime import datetime

from lakehouse.tracing.span import Span
from support.traced import (
    ENDED,
)

ENDED_NS = int(datetime.fromisoformat(ENDED).timestamp() * 1000) * 1_000_000
MS = 1_000_000


def shape(spans: list[Span]) -> dict[str, list[str]]:
    """Give parent → children, by part and iteration, in order."""
    names = {span.span_id: label(span) for span in spans}
    children: dict[str, list[str]] = {}
    for span in spans:
        parent = names.get(span.parent_span_id or b"", "outside")
        children.setdefault(parent, []).append(label(span))
    return children


def label(span: Span) -> str:
    iteration = span.all_attributes().get("lakehouse.iteration")
    return span.part if iteration is None else f"{span.part} {iteration}"


def by_label(spans: list[Span]) -> dict[str, Span]:
    return {label(span): span for span in spans}
