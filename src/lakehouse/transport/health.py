"""Liveness and readiness. Neither calls a model: a cold start must not look like a dead daemon."""

from collections import Counter

import msgspec

from lakehouse.core.chat import ModelStatus
from lakehouse.core.errors import Refusal
from lakehouse.core.ports import ChatModel, RecordSink
from lakehouse.transport.response import Response, json_response
from lakehouse.transport.route import Authorize, Call, Route, Routes


class Liveness(msgspec.Struct, frozen=True):
    """The body of `GET /livez`: there is no other one."""

    alive: bool = True


class Readiness(msgspec.Struct, frozen=True):
    """The body of `GET /readyz`. `log` is null where the daemon writes none.

    `states` counts the models by state. `models` is null for a caller who would need a key to
    learn their names and has sent none; `log` then only says `writable` or `unavailable`.
    """

    ready: bool
    log: str | None
    states: dict[str, int]
    models: tuple[ModelStatus, ...] | None


def health_routes(
    chat: ChatModel, sink: RecordSink | None, authorize: Authorize | None = None
) -> Routes:
    """Serve `/livez` (the process answers) and `/readyz`.

    Ready: the log is writable and at least one model is ready or loading. Probes have no key and
    see only that; `authorize` decides who sees more.
    """

    async def livez(_: Call[None]) -> Response:
        return json_response(Liveness())

    async def readyz(call: Call[None]) -> Response:
        log = None if sink is None else _log_state(sink)
        models = await chat.models()
        answering = any(model.state in {"ready", "loading"} for model in models)
        ready = answering and log in {None, "writable"}
        states: dict[str, int] = dict(sorted(Counter(model.state for model in models).items()))
        if _may_learn_more(call, authorize):
            told = Readiness(ready, log, states, models)
        else:
            log = log if log in {None, "writable"} else "unavailable"
            told = Readiness(ready, log, states, None)
        return json_response(told, 200 if ready else 503)

    return (
        Route(
            method="GET",
            path="/livez",
            handler=livez,
            summary="Whether the process answers.",
            reply=Liveness,
            access="open",
            observed=False,
        ),
        Route(
            method="GET",
            path="/readyz",
            handler=readyz,
            summary="Whether sessions can be taken on.",
            reply=Readiness,
            others={503: "Not ready."},
            access="open",
            observed=False,
        ),
    )


def _may_learn_more(call: Call[None], authorize: Authorize | None) -> bool:
    try:
        if authorize is not None:
            authorize(call.headers)
    except Refusal:
        return False
    return True


def _log_state(sink: RecordSink) -> str:
    try:
        sink.check_writable()
    except Refusal as error:
        return error.public
    return "writable"
