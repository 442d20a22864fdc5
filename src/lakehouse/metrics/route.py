"""`GET /metrics`: a daemon's metrics in the Prometheus text format."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import ModuleType

from lakehouse.core.installed import check_installed
from lakehouse.metrics.daemon import DaemonMetrics
from lakehouse.transport.response import Response
from lakehouse.transport.route import Call, Route, Routes


def metrics_routes(
    metrics: DaemonMetrics, all_told: Callable[[], Awaitable[Sequence[bytes]]] | None = None
) -> Routes:
    """Serve the metrics of a daemon in the text form.

    `all_told` returns what each of several processes tells, this one too, to be added.

    Raises:
        SetupError: Prometheus's library is not installed.
    """
    check_installed("Metrics", "prometheus_client")

    text: ModuleType | None = None

    async def show(_: Call[None]) -> Response:
        nonlocal text
        if text is None:
            text = await asyncio.to_thread(_loaded)
        shown = metrics
        if all_told is not None:
            shown = DaemonMetrics.sum_of(metrics.daemon, await all_told())
        return Response(200, text.exposition(shown), text.CONTENT_TYPE)

    return (
        Route(
            method="GET",
            path="/metrics",
            handler=show,
            summary="Counters and histograms, for Prometheus.",
            reply={"type": "string"},
            observed=False,
            media_type="text/plain",
        ),
    )


def _loaded() -> ModuleType:
    """Import Prometheus's library, an HTTP server and client with it, at the first scrape."""
    from lakehouse.metrics import exposition  # noqa: PLC0415  as said

    return exposition
