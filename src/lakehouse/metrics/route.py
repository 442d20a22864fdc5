"""`GET /metrics`: what a daemon has counted, for Prometheus."""

from lakehouse.metrics.daemon import DaemonMetrics
from lakehouse.metrics.exposition import CONTENT_TYPE, exposition
from lakehouse.transport.server import Call, Response, Routes


def metrics_routes(metrics: DaemonMetrics) -> Routes:
    """Serve the metrics of a daemon in the text form."""

    async def show(_: Call) -> Response:
        return Response(200, exposition(metrics), CONTENT_TYPE)

    return {"/metrics": {"GET": show}}
