"""The public door as one ASGI application: routes, keys, and the bound on sessions at once."""

from collections.abc import Iterable
from pathlib import Path

from starlette.types import ASGIApp

from lakehouse.core.errors import Refusal
from lakehouse.core.observation import Observer
from lakehouse.core.ports import ChatModel, RecordSink, Validator
from lakehouse.engine.task import Catalog
from lakehouse.gateway.auth import KeyRing
from lakehouse.gateway.feedback import feedback_routes
from lakehouse.gateway.sessions import session_routes
from lakehouse.transport.endpoints import chat_routes, validator_routes
from lakehouse.transport.health import health_routes
from lakehouse.transport.openapi import document
from lakehouse.transport.server import (
    Call,
    Calls,
    Handler,
    Response,
    Routes,
    build_app,
    json_response,
)


def gateway_app(
    validator: Validator,
    chat: ChatModel,
    sink: RecordSink,
    *,
    log: Path,
    catalog: Catalog,
    keys: KeyRing | None,
    sessions_at_once_max: int,
    calls: Calls,
    observer: Observer,
    metrics: Routes,
    allowed_origins: Iterable[str] = (),
) -> ASGIApp:
    """Assemble the gateway. It knows its validator only as a port, here or far away."""
    routes = dict(validator_routes(validator))
    routes["/v1/iterate"] = {"POST": _bounded(routes["/v1/iterate"]["POST"], sessions_at_once_max)}
    routes |= chat_routes(chat)
    routes |= session_routes(log)
    routes |= feedback_routes(log, catalog)
    authorize = None if keys is None else keys.authorize
    routes |= health_routes(chat, sink, authorize)
    routes |= metrics
    api = document(with_keys=keys is not None)

    async def openapi(_: Call) -> Response:
        return json_response(api)

    routes["/openapi.json"] = {"GET": openapi}
    return build_app(
        routes,
        calls=calls,
        authorize=authorize,
        observer=observer,
        allowed_origins=frozenset(allowed_origins),
    )


def _bounded(handler: Handler, at_once_max: int) -> Handler:
    """Refuse sessions past a bound instead of queueing them without one."""
    under_way = 0

    async def bounded(call: Call) -> Response:
        nonlocal under_way
        if under_way >= at_once_max:
            raise Refusal(
                "rate_limited",
                f"{at_once_max} sessions are under way, as many as this gateway takes.",
                hint="Send the request again shortly, or raise gateway.sessions_at_once_max.",
                retry_after_s=1,
            )
        under_way += 1
        try:
            return await handler(call)
        finally:
            under_way -= 1

    return bounded
