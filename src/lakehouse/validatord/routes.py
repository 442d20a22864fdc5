"""The routes of a `Validator`: `/v1/iterate`, `/v1/validate`, `/v1/kinds`.

The gateway serves them to the public, `validatord` to a remote gateway.
"""

from typing import get_args

import msgspec

from lakehouse.core.errors import INFRA_STATUS, Refusal, infra_status
from lakehouse.core.limits import INLINE_TABLES_BYTES_MAX
from lakehouse.core.ports import KindInfo, ValidateRequest, Validator
from lakehouse.core.session import (
    VERDICT_STATUS,
    IterateRequest,
    SessionReply,
    ValidateReply,
    Verdict,
)
from lakehouse.transport.response import Response, json_response
from lakehouse.transport.route import Call, Route, Routes

_SESSION_END = f"A session's end; verdict: {', '.join(get_args(Verdict))}."


class Kinds(msgspec.Struct, frozen=True):
    """The body of `GET /v1/kinds`."""

    kinds: tuple[KindInfo, ...]


def validator_routes(validator: Validator, *, sessions_at_once_max: int | None = None) -> Routes:
    """Return a validator's routes. Sessions over `sessions_at_once_max` are refused, not queued."""
    return (_iterate(validator, sessions_at_once_max), _validate(validator), _kinds(validator))


def _iterate(validator: Validator, at_once_max: int | None) -> Route[IterateRequest]:
    under_way = 0

    def admit() -> None:
        if at_once_max is not None and under_way >= at_once_max:
            raise Refusal(
                "rate_limited",
                f"{at_once_max} sessions are running, which is this gateway's limit.",
                hint="Send the request again shortly, or raise gateway.sessions_at_once_max.",
                retry_after_s=1,
            )

    async def iterate(call: Call[IterateRequest]) -> Response:
        nonlocal under_way
        under_way += 1
        try:
            reply = await validator.iterate(call.request, call.context)
        finally:
            under_way -= 1
        body = msgspec.json.encode(reply)
        if reply.error is None:
            return Response(VERDICT_STATUS[reply.verdict], body)
        wait_s = reply.error.retry_after_s
        headers = () if wait_s is msgspec.UNSET else ((b"retry-after", b"%d" % wait_s),)
        return Response(infra_status(reply.error.code), body, headers=headers)

    return Route(
        method="POST",
        path="/v1/iterate",
        handler=iterate,
        summary="Run one session: generate, extract, check, re-prompt, verdict. "
        "Its row is durable before the reply.",
        request=IterateRequest,
        reply=SessionReply,
        others=dict.fromkeys((422, *INFRA_STATUS.values()), _SESSION_END),
        problems=frozenset({429, 503}),
        admit=admit,
    )


def _validate(validator: Validator) -> Route[ValidateRequest]:
    async def validate(call: Call[ValidateRequest]) -> Response:
        tables = call.request.tables
        if tables is not None and len(msgspec.json.encode(tables)) > INLINE_TABLES_BYTES_MAX:
            raise Refusal(
                "invalid_request",
                f"`tables` takes over {INLINE_TABLES_BYTES_MAX} bytes; "
                "configure a table file for more.",
            )
        return json_response(await validator.validate(call.request))

    return Route(
        method="POST",
        path="/v1/validate",
        handler=validate,
        summary="Judge a given answer; no model, no row.",
        request=ValidateRequest,
        reply=ValidateReply,
        problems=frozenset({503}),
    )


def _kinds(validator: Validator) -> Route[None]:
    async def kinds(_: Call[None]) -> Response:
        return json_response(Kinds(await validator.kinds()))

    return Route(
        method="GET",
        path="/v1/kinds",
        handler=kinds,
        summary="List the kinds, each with all that its `digest` is of.",
        reply=Kinds,
    )
