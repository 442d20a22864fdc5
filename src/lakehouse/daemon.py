"""A daemon: one application over a stack, its address, and the drain of its requests."""

import contextlib
from collections.abc import Mapping
from typing import Final

from lakehouse.chatd.routes import chat_routes
from lakehouse.config.checks import listen_address
from lakehouse.config.settings import CHATD_LISTEN, VALIDATORD_LISTEN, Config
from lakehouse.core.ports import RecordSink
from lakehouse.gateway.auth import KeyRing
from lakehouse.gateway.feedback import feedback_routes
from lakehouse.gateway.sessions import session_routes
from lakehouse.metrics.route import metrics_routes
from lakehouse.stack import Role, Stack
from lakehouse.transport.asgi import App
from lakehouse.transport.health import health_routes
from lakehouse.transport.openapi import document_routes
from lakehouse.transport.route import Routes
from lakehouse.transport.server import Application, Calls
from lakehouse.validatord.routes import validator_routes

_ANSWER_MS: Final = 500  # for sending finished answers


class Daemon:
    """One running role: its stack, its application, and its address."""

    def __init__(
        self,
        config: Config,
        environment: Mapping[str, str],
        role: Role,
        *,
        sink: RecordSink | None = None,
    ) -> None:
        """Build the stack of a role and its application; `sink` as for `Stack`.

        Raises:
            SetupError: As for `Stack`; or the API keys cannot be used.
        """
        self._keys = key_ring(config, environment)
        self._calls = Calls()
        self.stack = Stack(config, environment, role, sink=sink)
        self.stack.waiting_requests = self._calls.__len__
        self.host, self.port = listen_address(_listen(config, role))
        self.app = self._app()

    async def start(self) -> None:
        """Start the stack, before the first request; raises as `Stack.start` does."""
        await self.stack.start()

    async def drain(self, patience_ms: int) -> None:
        """Drain the sessions, then the requests.

        Session requests are answered by then; other requests get a little more time.
        """
        async with contextlib.AsyncExitStack() as steps:  # the second step also if the first fails
            patience = min(patience_ms, _ANSWER_MS) if self.stack.has_sessions else patience_ms
            steps.push_async_callback(self._calls.drain, patience)
            await self.stack.drain(patience_ms)

    async def close(self) -> bool:
        """Close everything; returns whether all of it succeeded and every session has its row."""
        return await self.stack.close()

    def _app(self) -> App:
        gateway = self.stack.config.gateway
        public = self.stack.role in {"up", "gateway"}
        return Application(
            daemon_routes(self.stack, self._keys),
            calls=self._calls,
            inner=not public,
            authorize=None if self._keys is None else self._keys.authorize,
            observer=self.stack.observer,
            allowed_origins=frozenset(gateway.allowed_origins if public else ()),
        )


def daemon_routes(stack: Stack, keys: KeyRing | None) -> Routes:
    """Return the routes of the daemon of a stack's role; each package has its own routes.

    `validatord` serves the models too, so that a gateway needs only one URL. `chatd` writes no log:
    its readiness depends only on its models.
    """
    authorize = None if keys is None else keys.authorize
    sink = None if stack.role == "chatd" else stack.sink
    routes: Routes = (*chat_routes(stack.chat), *health_routes(stack.chat, sink, authorize))
    routes += metrics_routes(stack.metrics)
    if stack.role == "chatd":
        return routes
    if stack.role == "validatord":
        return (*validator_routes(stack.validator), *routes)
    config = stack.config
    log = config.path(config.log.path)
    at_once_max = config.gateway.sessions_at_once_max
    routes = (
        *validator_routes(stack.validator, sessions_at_once_max=at_once_max),
        *session_routes(log),
        *feedback_routes(log, stack.catalog),
        *routes,
    )
    return (*routes, *document_routes(routes, with_keys=keys is not None))


def key_ring(config: Config, environment: Mapping[str, str]) -> KeyRing | None:
    """Read the API keys from the environment; None if none are configured.

    Raises:
        SetupError: The variable is missing or malformed.
    """
    variable = config.gateway.api_keys_env
    if variable is None:
        return None
    return KeyRing.parse(environment.get(variable, ""), variable=f"${variable}")


def _listen(config: Config, role: Role) -> str:
    if role == "chatd":
        return config.chatd.listen or CHATD_LISTEN
    if role == "validatord":
        return config.validatord.listen or VALIDATORD_LISTEN
    return config.gateway.listen
