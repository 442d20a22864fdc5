"""`POST /v1/feedback`: stores feedback on a session next to the log."""

import asyncio
from pathlib import Path

from lakehouse.core.clock import SystemClock
from lakehouse.core.replay_row import Feedback, FeedbackRequest
from lakehouse.engine.task import Catalog
from lakehouse.feedback.labels import give_feedback
from lakehouse.transport.response import Response, json_response
from lakehouse.transport.route import Call, Route, Routes


def feedback_routes(log: Path, catalog: Catalog) -> Routes:
    """Return the route that stores labels of logged sessions, durable before the reply."""
    clock = SystemClock()

    async def feedback(call: Call[FeedbackRequest]) -> Response:
        given = await asyncio.to_thread(
            give_feedback, log, call.request, catalog=catalog, clock=clock
        )
        return json_response(given)

    return (
        Route(
            method="POST",
            path="/v1/feedback",
            handler=feedback,
            summary="Say of a session whether it was right, or what would have been.",
            request=FeedbackRequest,
            reply=Feedback,
            problems=frozenset({404, 409, 503}),
        ),
    )
