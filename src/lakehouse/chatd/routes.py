"""The routes of a `ChatModel`: `/v1/chat`, `/v1/models`. Every daemon has them.

The public `/v1/models` is that of OpenAI's API, which has the same list.
"""

import msgspec

from lakehouse.core.chat import CallLimits, ChatReply, ChatRequest, ModelStatus, Offer
from lakehouse.core.errors import INFRA_STATUS, Refusal
from lakehouse.core.limits import (
    DEADLINE_MS_DEFAULT,
    LOAD_BUDGET_MS_DEFAULT,
    MESSAGES_MAX,
    OFFER_HINT_BYTES_MAX,
    OFFER_SCHEMA_BYTES_MAX,
    SCHEMA_BYTES_MAX,
)
from lakehouse.core.ports import ChatModel
from lakehouse.transport.response import Response, json_response
from lakehouse.transport.route import Call, Route, Routes


class Models(msgspec.Struct, frozen=True):
    """The body of `GET /v1/models`."""

    models: tuple[ModelStatus, ...]


def _check_size(name: str, schema: msgspec.Raw, most: int) -> None:
    if (size := len(bytes(schema))) > most:
        raise Refusal(
            "invalid_schema",
            f"`{name}` takes {size} bytes; at most {most} are allowed.",
            hint="Send a smaller schema: leave out descriptions, examples and spare spaces.",
        )


def _check_offer(offer: Offer) -> None:
    """Check an offer, which is sent on as it stands.

    Raises:
        Refusal: Its schema is no schema or too large, or its hint is too long.
    """
    if not bytes(offer.schema).startswith((b"{", b"true", b"false", b"null")):
        raise Refusal(
            "invalid_schema",
            "`offer.schema` is not a JSON object, true, false or null.",
            hint="Write the call's `schema`, narrowed to the values.",
        )
    _check_size("offer.schema", offer.schema, OFFER_SCHEMA_BYTES_MAX)
    if (size := len(offer.text("hint").encode())) > OFFER_HINT_BYTES_MAX:
        raise Refusal(
            "invalid_request",
            f"`offer.hint` and `offer.beside` take {size} bytes; at most {OFFER_HINT_BYTES_MAX} "
            "are allowed.",
            hint="Name fewer values.",
        )


def chat_routes(chat: ChatModel) -> Routes:
    """Return the route of model calls."""

    async def ask(call: Call[ChatRequest]) -> Response:
        request = call.request
        if not 1 <= len(request.messages) <= MESSAGES_MAX:
            raise Refusal(
                "invalid_request",
                f"`messages` has {len(request.messages)} entries; allowed is 1 to {MESSAGES_MAX}.",
            )
        _check_size("schema", request.schema, SCHEMA_BYTES_MAX)  # providers cache schemas
        if request.offer is not None:
            _check_offer(request.offer)
        context = call.context
        limits = CallLimits(
            DEADLINE_MS_DEFAULT if context.deadline_ms is None else context.deadline_ms,
            LOAD_BUDGET_MS_DEFAULT if context.load_budget_ms is None else context.load_budget_ms,
        )
        return json_response(await chat.chat(request, context=context, limits=limits))

    return (
        Route(
            method="POST",
            path="/v1/chat",
            handler=ask,
            summary="Ask a model once.",
            request=ChatRequest,
            reply=ChatReply,
            problems=frozenset(INFRA_STATUS.values()),
        ),
    )


def model_routes(chat: ChatModel) -> Routes:
    """Return the route that lists the models, for our own daemons."""

    async def models(_: Call[None]) -> Response:
        return json_response(Models(await chat.models()))

    return (
        Route(
            method="GET",
            path="/v1/models",
            handler=models,
            summary="List the models and how each is.",
            reply=Models,
        ),
    )
