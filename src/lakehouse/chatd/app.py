"""`chatd` as a daemon of its own: the models for a validator elsewhere."""

from starlette.types import ASGIApp

from lakehouse.core.ports import ChatModel
from lakehouse.transport.endpoints import chat_routes
from lakehouse.transport.health import health_routes
from lakehouse.transport.server import Authorize, Calls, build_app


def chatd_app(chat: ChatModel, *, calls: Calls, authorize: Authorize | None) -> ASGIApp:
    """Assemble the daemon. It writes no log, so its readiness is its models' alone."""
    return build_app(
        {**chat_routes(chat), **health_routes(chat, None)},
        calls=calls,
        inner=True,
        authorize=authorize,
    )
