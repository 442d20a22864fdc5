"""`validatord` as a daemon of its own: the session routes for a gateway elsewhere."""

from starlette.types import ASGIApp

from lakehouse.core.observation import Observer
from lakehouse.core.ports import ChatModel, RecordSink, Validator
from lakehouse.transport.endpoints import chat_routes, validator_routes
from lakehouse.transport.health import health_routes
from lakehouse.transport.server import Authorize, Calls, Routes, build_app


def validatord_app(
    validator: Validator,
    chat: ChatModel,
    sink: RecordSink,
    *,
    calls: Calls,
    authorize: Authorize | None,
    observer: Observer,
    metrics: Routes,
) -> ASGIApp:
    """Assemble the daemon. It serves the chat routes too, so a gateway needs only this URL."""
    routes = {
        **validator_routes(validator),
        **chat_routes(chat),
        **health_routes(chat, sink, authorize),
        **metrics,
    }
    return build_app(routes, calls=calls, inner=True, authorize=authorize, observer=observer)
