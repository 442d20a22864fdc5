"""Writes an answer in the form that was asked for: whole or streamed, by route."""

from collections.abc import Callable
from typing import Final

import msgspec

from lakehouse.core.context import CallContext
from lakehouse.openai_api.chat_reply import chat_completion
from lakehouse.openai_api.chat_stream import ChatStream
from lakehouse.openai_api.held_stream import StreamEvents
from lakehouse.openai_api.parameters import ApiRoute
from lakehouse.openai_api.reply_form import ReplyForm
from lakehouse.openai_api.reply_headers import ReplyHeaders
from lakehouse.openai_api.request import OpenAiRequest
from lakehouse.openai_api.responses_reply import response_object
from lakehouse.openai_api.responses_stream import ResponsesStream
from lakehouse.openai_api.told_answer import ToldAnswer
from lakehouse.transport.response import Response

BODIES: Final[dict[ApiRoute, Callable[[ToldAnswer], msgspec.Struct]]] = {
    "chat": chat_completion,
    "responses": response_object,
}


def whole_response(route: ApiRoute, answer: ToldAnswer, elapsed_ms: float) -> Response:
    """Encode the whole reply."""
    headers = ReplyHeaders.of(answer, elapsed_ms)
    return Response(200, msgspec.json.encode(BODIES[route](answer)), headers=headers.fields())


def stream_events(asked: OpenAiRequest, form: ReplyForm, context: CallContext) -> StreamEvents:
    """Return the events of a stream whose session has the ids of this context."""
    session_id, row_id = context.session_id, context.row_id
    if asked.route == "responses":
        return ResponsesStream(form, session_id=session_id, row_id=row_id)
    return ChatStream(form, session_id=session_id, row_id=row_id, include_usage=asked.include_usage)
