"""`chatd` as a daemon of its own: the models for a validator elsewhere."""

from starlette.types import ASGIApp

from lakehouse.core.observation import Observer
from lakehouse.core.ports import ChatModel
from lakehouse.transport.endpoints import chat_routes
from lakehouse.transport.health import health_routes
from lakehouse.transport.server import Authorize, Calls, Routes, build_app


def chatd_app(
    chat: ChatModel,
    *,
    calls: Calls,
    authorize: Authorize | None,
    observer: Observer | None = None,
    metrics: Routes | None = None,
) -> ASGIApp:
    """Assemble the daemon. It writes no log, so its readiness is its models' alone."""
    return build_app(
        {**chat_routes(chat), **health_routes(chat, None, authorize), **(metrics or {})},
        calls=calls,
        inner=True,
        authorize=authorize,
        observer=observer,
    )
