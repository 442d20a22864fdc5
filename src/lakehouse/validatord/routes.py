"""The routes of a `Validator`: `/v1/iterate`, `/v1/validate`, `/v1/kinds`.

The gateway serves them to the public, `validatord` to a remote gateway.
"""

from typing import get_args

import msgspec

from lakehouse.admission.admission import Admission, Answered
from lakehouse.admission.keyed_calls import KEY_HEADER, REPLAYED_FIELD, KeyedCall
from lakehouse.admission.live_session import LiveSession
from lakehouse.core.errors import INFRA_STATUS, Refusal, infra_status
from lakehouse.core.limits import INLINE_TABLES_BYTES_MAX, STREAM_WAIT_MS_DEFAULT
from lakehouse.core.metadata import key_member, reserved_fault
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
from lakehouse.validatord.attempt_lines import LINES_TYPE, lines, wants_lines

_SESSION_END = f"A session's end; verdict: {', '.join(get_args(Verdict))}."


class Kinds(msgspec.Struct, frozen=True):
    """The body of `GET /v1/kinds`."""

    kinds: tuple[KindInfo, ...]


def validator_routes(validator: Validator, admission: Admission, *, public: bool) -> Routes:
    """Return a validator's routes. `public`: callers are not our own gateways."""
    return (_iterate(admission, public=public), _validate(validator), _kinds(validator))


def _iterate(admission: Admission, *, public: bool) -> Route[IterateRequest]:
    async def iterate(call: Call[IterateRequest]) -> Response:
        request = call.request
        if public and (request.metadata or call.caller):
            request = _of_caller(request, call.caller)
        keyed = None
        if KEY_HEADER in call.headers:
            keyed = KeyedCall.of(
                call.headers[KEY_HEADER],
                door="/v1/iterate",
                caller=call.caller,
                body=call.body,
                repeats=_may_pass,
            )
        if "accept" in call.headers and wants_lines(call.headers["accept"]):
            session, replayed = await admission.begin(request, call.context, keyed)
            return await _told(session, replayed=replayed, inner=not public)
        return _whole(await admission.answer(request, call.context, keyed))

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
        admit=admission.admit,
        streams=True,
    )


def _may_pass(reply: SessionReply) -> bool:
    return reply.error is not None and reply.error.retryable


def _of_caller(request: IterateRequest, caller: str) -> IterateRequest:
    """Check the metadata of a caller, and add the name of its key."""
    fault = reserved_fault(request.metadata)
    if fault is not None:
        raise Refusal("invalid_request", fault[1], hint="Use another name.")
    return msgspec.structs.replace(request, metadata={**request.metadata, **key_member(caller)})


async def _told(session: LiveSession, *, replayed: bool, inner: bool) -> Response:
    """Answer with lines; the status is held until there is one to tell, or for a while."""
    await session.changed(0, STREAM_WAIT_MS_DEFAULT / 1000)
    context = session.context
    if not session.reply.done():
        body = lines(session, inner=inner)
        return Response(200, body, LINES_TYPE, (REPLAYED_FIELD,) if replayed else (), context)
    whole = _whole(Answered(session.reply.result(), context, replayed))
    told = [line async for line in lines(session, inner=inner)]
    return msgspec.structs.replace(whole, body=b"".join(told), content_type=LINES_TYPE)


def _whole(answered: Answered) -> Response:
    reply = answered.reply
    body = msgspec.json.encode(reply)
    headers = (REPLAYED_FIELD,) if answered.replayed else ()
    if reply.error is None:
        status = VERDICT_STATUS[reply.verdict]
        return Response(status, body, headers=headers, context=answered.context)
    wait_s = reply.error.retry_after_s
    if wait_s is not msgspec.UNSET:
        headers = (*headers, (b"retry-after", b"%d" % wait_s))
    status = infra_status(reply.error.code)
    return Response(status, body, headers=headers, context=answered.context)


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
