"""A daemon: one application over a stack, its address, and the drain of its requests."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lakehouse.admission.admission import Admission
from lakehouse.admission.keyed_calls import KeyedCalls
from lakehouse.chatd.routes import chat_routes, model_routes
from lakehouse.config.checks import listen_address
from lakehouse.config.settings import CHATD_LISTEN, VALIDATORD_LISTEN, Config
from lakehouse.core.ports import RecordSink
from lakehouse.gateway.auth import KeyRing
from lakehouse.gateway.feedback import feedback_routes
from lakehouse.gateway.sessions import session_routes
from lakehouse.metrics.route import metrics_routes
from lakehouse.openai_api.conversation_links import ConversationLinks
from lakehouse.openai_api.door import DoorSettings, OpenAiDoor
from lakehouse.openai_api.model_names import ModelNames
from lakehouse.openai_api.routes import ELSEWHERE, openai_routes
from lakehouse.openai_api.unchecked import UncheckedModel
from lakehouse.sessionlog.keyed import KeyStore
from lakehouse.stack import Role, Stack
from lakehouse.transport.asgi import App
from lakehouse.transport.health import health_routes
from lakehouse.transport.openapi import document_routes
from lakehouse.transport.route import Routes
from lakehouse.transport.server import Application, Calls
from lakehouse.validatord.routes import validator_routes

_PUBLIC: Final = ("up", "gateway")
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
        self._admission = admission_of(self.stack)
        self.app = self._app()

    async def start(self) -> None:
        """Start the stack, before the first request; raises as `Stack.start` does."""
        await self.stack.start()

    async def drain(self, patience_ms: int) -> None:
        """Drain the sessions, then the requests.

        Session requests are answered by then; other requests get a little more time.
        """
        async with contextlib.AsyncExitStack() as steps:  # the later steps also if the first fails
            steps.push_async_callback(self._calls.drain, _ANSWER_MS)
            if self._admission is not None:
                steps.callback(self._admission.stop)
            if not self.stack.has_sessions:
                steps.push_async_callback(self._calls.wait, patience_ms)
            await self.stack.drain(patience_ms)

    async def close(self) -> bool:
        """Close everything; returns whether all of it succeeded and every session has its row."""
        return await self.stack.close()

    def _app(self) -> App:
        gateway = self.stack.config.gateway
        public = self.stack.role in _PUBLIC
        return Application(
            daemon_routes(self.stack, self._keys, self._admission),
            calls=self._calls,
            inner=not public,
            authorize=None if self._keys is None else self._keys.authorize,
            observer=self.stack.observer,
            allowed_origins=frozenset(gateway.allowed_origins if public else ()),
            elsewhere=ELSEWHERE if public else {},
        )


def daemon_routes(stack: Stack, keys: KeyRing | None, admission: Admission | None) -> Routes:
    """Return the routes of the daemon of a stack's role; each package has its own routes.

    `validatord` serves the models too, so that a gateway needs only one URL. `chatd` writes no log
    and runs no sessions: its readiness depends only on its models.
    """
    authorize = None if keys is None else keys.authorize
    sink = None if admission is None else stack.sink
    routes: Routes = (*chat_routes(stack.chat), *health_routes(stack.chat, sink, authorize))
    routes += metrics_routes(stack.metrics)
    if admission is None:
        return (*routes, *model_routes(stack.chat))
    if stack.role == "validatord":
        inner = validator_routes(stack.validator, admission, public=False)
        return (*inner, *routes, *model_routes(stack.chat))
    log = stack.config.path(stack.config.log.path)
    routes = (
        *validator_routes(stack.validator, admission, public=True),
        *_openai_routes(stack, admission, log),
        *session_routes(log),
        *feedback_routes(log, stack.catalog),
        *routes,
    )
    return (*routes, *document_routes(routes, with_keys=keys is not None))


def admission_of(stack: Stack) -> Admission | None:
    """Return who admits the sessions of a stack; `chatd` has none.

    The limit and the idempotency keys are the public daemon's.
    """
    if stack.role == "chatd":
        return None
    if stack.role not in _PUBLIC:
        return Admission(stack.validator)
    config = stack.config
    store = KeyStore(config.path(config.log.path))
    keyed = KeyedCalls(store, patience_ms=config.session.deadline_ms)
    at_once_max = config.gateway.sessions_at_once_max
    return Admission(stack.validator, at_once_max=at_once_max, keyed=keyed)


def _openai_routes(stack: Stack, admission: Admission, log: Path) -> Routes:
    settings = stack.config.gateway.openai
    names = ModelNames(stack.validator, stack.chat, tuple(stack.config.models))
    door = OpenAiDoor(
        admission,
        names,
        ConversationLinks(log),
        UncheckedModel(stack.chat),
        DoorSettings(settings.stream_wait_ms, settings.unchecked),
    )
    return openai_routes(door, names, admission, log)


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
