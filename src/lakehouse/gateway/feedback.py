"""`POST /v1/feedback`: what a person says of a session, written beside the log."""

import asyncio
from pathlib import Path

from lakehouse.core.clock import SystemClock
from lakehouse.core.replay_row import FeedbackRequest
from lakehouse.engine.task import Catalog
from lakehouse.feedback.labels import give_feedback
from lakehouse.transport.body import decode
from lakehouse.transport.server import Call, Response, Routes, json_response


def feedback_routes(log: Path, catalog: Catalog) -> Routes:
    """Take labels of sessions in the log directory. The line is durable before the reply."""
    clock = SystemClock()

    async def feedback(call: Call) -> Response:
        request = decode(call.body, FeedbackRequest)
        given = await asyncio.to_thread(give_feedback, log, request, catalog=catalog, clock=clock)
        return json_response(given)

    return {"/v1/feedback": {"POST": feedback}}
