"""The routes of OpenAI's API: chat completions, responses and models, over the same sessions."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from lakehouse.admission.admission import Admission
from lakehouse.core.errors import Refusal
from lakehouse.core.row_codec import decode_row
from lakehouse.openai_api.chat_reply import ChatCompletion
from lakehouse.openai_api.chat_request import ChatBody, read_chat_request
from lakehouse.openai_api.door import PATHS, OpenAiDoor
from lakehouse.openai_api.failure import OPENAI_ERRORS
from lakehouse.openai_api.model_names import ModelEntry, ModelList, ModelNames
from lakehouse.openai_api.parameters import ApiRoute
from lakehouse.openai_api.reply_form import stored_answer
from lakehouse.openai_api.reply_headers import ReplyHeaders
from lakehouse.openai_api.reply_writer import BODIES
from lakehouse.openai_api.responses_reply import ResponseObject
from lakehouse.openai_api.responses_request import ResponsesBody, read_responses_request
from lakehouse.sessionlog.reading.filters import REPLAY_DAEMON
from lakehouse.sessionlog.reading.reader import rows_of
from lakehouse.transport.error_shape import ErrorShape
from lakehouse.transport.response import Response
from lakehouse.transport.route import Call, Route, Routes

# The first steps of OpenAI's other paths below /v1, as its packages call them.
_OTHER_PATHS: Final = (
    *("assistants", "audio", "batches", "chat", "chatkit", "completions", "containers"),
    *("conversations", "embeddings", "evals", "files", "fine_tuning", "images", "models"),
    *("moderations", "organization", "realtime", "responses", "skills", "threads", "uploads"),
    *("vector_stores", "videos"),
)
ELSEWHERE: Final[dict[str, ErrorShape]] = {f"/v1/{name}": OPENAI_ERRORS for name in _OTHER_PATHS}
"""How an unknown path is answered below the paths of OpenAI's API."""

_STATUSES: Final = frozenset({400, 401, 404, 413, 429, 502, 503, 504})


def openai_routes(door: OpenAiDoor, names: ModelNames, admission: Admission, log: Path) -> Routes:
    """Return the routes; stored answers are read from the log directory."""
    post = partial(
        Route,
        method="POST",
        handler=door.answer,
        problems=_STATUSES,
        admit=admission.admit,
        streams=True,
        errors=OPENAI_ERRORS,
    )
    return (
        post(
            path=PATHS["chat"],
            summary="One session, asked for and answered as an OpenAI chat completion.",
            request=ChatBody,
            read=read_chat_request,
            reply=ChatCompletion,
        ),
        post(
            path=PATHS["responses"],
            summary="One session, asked for and answered as an OpenAI response.",
            request=ResponsesBody,
            read=read_responses_request,
            reply=ResponseObject,
        ),
        *_models(names),
        *stored_routes(log),
    )


def stored_routes(log: Path) -> Routes:
    """Return the routes that read an accepted answer again, from the log directory."""
    return (
        _stored(log, "chat", "chatcmpl-", ChatCompletion),
        _stored(log, "responses", "resp_", ResponseObject),
    )


def _models(names: ModelNames) -> Routes:
    async def listed(call: Call[None]) -> Response:
        return _replied(call, await names.listed())

    async def one(call: Call[None]) -> Response:
        return _replied(call, await names.entry(call.path["id"]))

    return (
        Route(
            method="GET",
            path="/v1/models",
            handler=listed,
            summary="List what `model` may name, and the models and how each is.",
            reply=ModelList,
            problems=frozenset({502}),
            errors=OPENAI_ERRORS,
        ),
        Route(
            method="GET",
            path="/v1/models/{id}",
            handler=one,
            summary="One name of a kind, a model, or a kind on a model.",
            reply=ModelEntry,
            problems=frozenset({404, 502}),
            errors=OPENAI_ERRORS,
        ),
    )


def _stored(log: Path, route: ApiRoute, prefix: str, reply: type[msgspec.Struct]) -> Route[Any]:
    def found(identity: str) -> msgspec.Struct | None:
        if not identity.startswith(prefix):
            return None
        named = identity.removeprefix(prefix)  # a session, or one row of several
        lines = sorted(rows_of(log, named), key=lambda one: one[0].timestamp, reverse=True)
        rows = (decode_row(line) for _, line in lines)
        answers = (stored_answer(row) for row in rows if row.daemon != REPLAY_DAEMON)
        return next((BODIES[route](one) for one in answers if one is not None), None)

    async def stored(call: Call[None]) -> Response:
        identity = call.path["id"]
        answer = await asyncio.to_thread(found, identity)
        if answer is None:
            raise Refusal(
                "not_found",
                f"There is no accepted answer {identity!r} of this API in the log.",
                hint="GET /v1/sessions lists the sessions.",
            )
        return _replied(call, answer)

    return Route(
        method="GET",
        path=f"{PATHS[route]}/{{id}}",
        handler=stored,
        summary="The stored answer of an accepted session, from the log.",
        reply=reply,
        problems=frozenset({404}),
        errors=OPENAI_ERRORS,
    )


def _replied(call: Call[None], value: object) -> Response:
    headers = ReplyHeaders(session_id=call.context.session_id, processing_ms=call.elapsed_ms)
    return Response(200, msgspec.json.encode(value), headers=headers.fields())
