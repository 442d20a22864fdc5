"""The routes of each daemon, and who admits its sessions."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from lakehouse.admission.admission import Admission, Room
from lakehouse.admission.keyed_calls import KeyedCalls
from lakehouse.chatd.routes import chat_routes, model_routes
from lakehouse.core.config_state import ConfigState
from lakehouse.gateway.auth import KeyRing
from lakehouse.gateway.feedback import feedback_routes
from lakehouse.gateway.reload import reload_routes
from lakehouse.gateway.sessions import session_routes
from lakehouse.metrics.route import metrics_routes
from lakehouse.openai_api.conversation_links import ConversationLinks
from lakehouse.openai_api.door import DoorSettings, OpenAiDoor
from lakehouse.openai_api.model_names import ModelNames
from lakehouse.openai_api.routes import openai_routes
from lakehouse.openai_api.unchecked import UncheckedModel
from lakehouse.sessionlog.keyed import KeyStore
from lakehouse.stack import Stack
from lakehouse.transport.health import ReadinessSource, health_routes
from lakehouse.transport.openapi import document_routes
from lakehouse.transport.route import Routes
from lakehouse.validatord.routes import validator_routes

PUBLIC: Final = ("up", "gateway")
"""The roles that serve callers from outside."""


class WholeDaemon(NamedTuple):
    """What routes ask of the whole daemon, be it one process or several.

    `metrics` returns what each process tells of its counts; None where there is one only.
    """

    readiness: ReadinessSource
    metrics: Callable[[], Awaitable[Sequence[bytes]]] | None
    reload: Callable[[], Awaitable[ConfigState]]


def daemon_routes(
    stack: Stack,
    keys: KeyRing | None,
    admission: Admission | None,
    whole: WholeDaemon,
) -> Routes:
    """Return the routes of the daemon of a stack's role; each package has its own routes.

    `validatord` serves the models too, so that a gateway needs only one URL. `chatd` writes no log
    and runs no sessions: its readiness depends only on its models.
    """
    authorize = None if keys is None else keys.authorize
    routes: Routes = (
        *chat_routes(stack.chat),
        *health_routes(whole.readiness, authorize),
        *metrics_routes(stack.metrics, whole.metrics),
    )
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
        *reload_routes(whole.reload, None if keys is None else stack.config.gateway.admin_keys),
        *routes,
    )
    return (*routes, *document_routes(routes, with_keys=keys is not None))


def admission_of(stack: Stack, room: Room | None = None) -> Admission | None:
    """Return who admits the sessions of a stack; `chatd` has none.

    The limit and the idempotency keys are the public daemon's.
    """
    if stack.role == "chatd":
        return None
    if stack.role not in PUBLIC:
        return Admission(stack.validator)
    config = stack.config
    store = KeyStore(config.path(config.log.path))
    keyed = KeyedCalls(store, patience_ms=config.session.deadline_ms)
    at_once_max = config.gateway.sessions_at_once_max
    return Admission(stack.validator, at_once_max=at_once_max, keyed=keyed, room=room)


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
