"""The routes that stand for a port: decode, call, encode. The same in every daemon.

`gateway` serves both sets at the public door; `validatord` and `chatd` serve theirs when apart.
"""

import msgspec

from lakehouse.core.chat import CallLimits, ChatRequest
from lakehouse.core.errors import Refusal, infra_status
from lakehouse.core.limits import (
    DEADLINE_MS_DEFAULT,
    INLINE_TABLES_BYTES_MAX,
    LOAD_BUDGET_MS_DEFAULT,
    MESSAGES_MAX,
    SCHEMA_BYTES_MAX,
)
from lakehouse.core.ports import ChatModel, ValidateRequest, Validator
from lakehouse.core.session import VERDICT_STATUS, IterateRequest, SessionReply
from lakehouse.transport.body import decode
from lakehouse.transport.server import Call, Response, Routes, json_response


def session_response(reply: SessionReply) -> Response:
    """Answer a session that was taken on: always in the session shape, the status by verdict."""
    if reply.error is None:
        return json_response(reply, VERDICT_STATUS[reply.verdict])
    response = json_response(reply, infra_status(reply.error.code))
    wait_s = reply.error.retry_after_s
    if wait_s is msgspec.UNSET:
        return response
    return msgspec.structs.replace(response, headers=((b"retry-after", b"%d" % wait_s),))


def validator_routes(validator: Validator) -> Routes:
    """Serve a `Validator`: `/v1/iterate`, `/v1/validate`, `/v1/kinds`."""

    async def iterate(call: Call) -> Response:
        request = decode(call.body, IterateRequest)
        return session_response(await validator.iterate(request, call.context))

    async def validate(call: Call) -> Response:
        request = decode(call.body, ValidateRequest)
        tables = request.tables
        if tables is not None and len(msgspec.json.encode(tables)) > INLINE_TABLES_BYTES_MAX:
            raise Refusal(
                "invalid_request",
                f"`tables` takes over {INLINE_TABLES_BYTES_MAX} bytes; "
                "configure a table file for more.",
            )
        return json_response(await validator.validate(request))

    async def kinds(_: Call) -> Response:
        return json_response({"kinds": await validator.kinds()})

    return {
        "/v1/iterate": {"POST": iterate},
        "/v1/validate": {"POST": validate},
        "/v1/kinds": {"GET": kinds},
    }


def chat_routes(chat: ChatModel) -> Routes:
    """Serve a `ChatModel`: `/v1/chat`, `/v1/models`."""

    async def ask(call: Call) -> Response:
        request = decode(call.body, ChatRequest)
        if not 1 <= len(request.messages) <= MESSAGES_MAX:
            raise Refusal(
                "invalid_request",
                f"`messages` has {len(request.messages)} entries; allowed is 1 to {MESSAGES_MAX}.",
            )
        if (size := len(bytes(request.schema))) > SCHEMA_BYTES_MAX:  # providers keep schemas
            raise Refusal(
                "invalid_schema",
                f"`schema` takes {size} bytes; at most {SCHEMA_BYTES_MAX} are allowed.",
                hint="Send a smaller schema: leave out descriptions, examples and spare spaces.",
            )
        context = call.context
        limits = CallLimits(
            DEADLINE_MS_DEFAULT if context.deadline_ms is None else context.deadline_ms,
            LOAD_BUDGET_MS_DEFAULT if context.load_budget_ms is None else context.load_budget_ms,
        )
        return json_response(await chat.chat(request, context=context, limits=limits))

    async def models(_: Call) -> Response:
        return json_response({"models": await chat.models()})

    return {"/v1/chat": {"POST": ask}, "/v1/models": {"GET": models}}
