"""A daemon: one application over a stack, where it listens, and how its requests end."""

import contextlib
from collections.abc import Mapping
from typing import Final

from starlette.types import ASGIApp

from lakehouse.chatd.app import chatd_app
from lakehouse.config.checks import listen_address
from lakehouse.config.settings import CHATD_LISTEN, VALIDATORD_LISTEN, Config
from lakehouse.core.ports import RecordSink
from lakehouse.gateway.app import gateway_app
from lakehouse.gateway.auth import KeyRing
from lakehouse.metrics.route import metrics_routes
from lakehouse.stack import Role, Stack
from lakehouse.transport.server import Calls
from lakehouse.validatord.app import validatord_app

_ANSWER_MS: Final = 500  # for sending what is answered already


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
        """Make the stack of a role and its application; `sink` as for `Stack`.

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
        """Begin what comes before the first request; raises as `Stack.start` does."""
        await self.stack.start()

    async def drain(self, patience_ms: int) -> None:
        """End the sessions under way, then the requests.

        Those of sessions are answered by now, others get a moment more.
        """
        async with contextlib.AsyncExitStack() as steps:  # the second also when the first fails
            patience = min(patience_ms, _ANSWER_MS) if self.stack.has_sessions else patience_ms
            steps.push_async_callback(self._calls.drain, patience)
            await self.stack.drain(patience_ms)

    async def close(self) -> bool:
        """Release everything; says whether all of it went well and every session has its row."""
        return await self.stack.close()

    def _app(self) -> ASGIApp:
        stack = self.stack
        authorize = None if self._keys is None else self._keys.authorize
        metrics = metrics_routes(stack.metrics)
        if stack.role == "chatd":
            return chatd_app(
                stack.chat,
                calls=self._calls,
                authorize=authorize,
                observer=stack.observer,
                metrics=metrics,
            )
        if stack.role == "validatord":
            return validatord_app(
                stack.validator,
                stack.chat,
                stack.sink,
                calls=self._calls,
                authorize=authorize,
                observer=stack.observer,
                metrics=metrics,
            )
        gateway = stack.config.gateway
        return gateway_app(
            stack.validator,
            stack.chat,
            stack.sink,
            log=stack.config.path(stack.config.log.path),
            catalog=stack.catalog,
            keys=self._keys,
            sessions_at_once_max=gateway.sessions_at_once_max,
            calls=self._calls,
            observer=stack.observer,
            metrics=metrics,
            allowed_origins=gateway.allowed_origins,
        )


def key_ring(config: Config, environment: Mapping[str, str]) -> KeyRing | None:
    """Read the API keys of the environment; None when none are configured.

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
