"""Liveness and readiness. Neither ever asks a model anything: a cold start must not look dead."""

import msgspec

from lakehouse.core.chat import ModelStatus
from lakehouse.core.errors import Refusal
from lakehouse.core.ports import ChatModel, RecordSink
from lakehouse.transport.server import Call, Response, Routes, json_response


class Readiness(msgspec.Struct, frozen=True):
    """The body of `GET /readyz`. `log` is null where the daemon writes none."""

    ready: bool
    log: str | None
    models: tuple[ModelStatus, ...]


def health_routes(chat: ChatModel, sink: RecordSink | None) -> Routes:
    """Serve `/livez` (the process answers) and `/readyz`.

    Ready: the log is writable and at least one model is ready or loading.
    """

    async def livez(_: Call) -> Response:
        return json_response({"alive": True})

    async def readyz(_: Call) -> Response:
        log = None if sink is None else _log_state(sink)
        models = await chat.models()
        answering = any(model.state in {"ready", "loading"} for model in models)
        ready = answering and log in {None, "writable"}
        return json_response(Readiness(ready, log, models), 200 if ready else 503)

    return {"/livez": {"GET": livez}, "/readyz": {"GET": readyz}}


def _log_state(sink: RecordSink) -> str:
    try:
        sink.check_writable()
    except Refusal as error:
        return error.public
    return "writable"
