"""`GET /metrics`: a daemon's metrics in the Prometheus text format."""

from lakehouse.metrics.daemon import DaemonMetrics
from lakehouse.metrics.exposition import CONTENT_TYPE, exposition
from lakehouse.transport.response import Response
from lakehouse.transport.route import Call, Route, Routes


def metrics_routes(metrics: DaemonMetrics) -> Routes:
    """Serve the metrics of a daemon in the text form."""

    async def show(_: Call[None]) -> Response:
        return Response(200, exposition(metrics), CONTENT_TYPE)

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
