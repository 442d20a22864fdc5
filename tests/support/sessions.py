"""Sessions without a world: a chat port that answers from a list, and tables that are none."""

from collections.abc import Callable

import msgspec

from lakehouse.core.chat import (
    CallLimits,
    ChatReply,
    ChatRequest,
    FinishReason,
    ModelName,
    ModelStatus,
    Usage,
)
from lakehouse.core.clock import FixedClock
from lakehouse.core.context import CallContext, call_context
from lakehouse.core.errors import InfraError
from lakehouse.core.kind import Kind
from lakehouse.core.session import IterateRequest
from lakehouse.engine.task import Catalog, SessionTask, plan
from lakehouse.validation.schema import SchemaCache

CITY_SCHEMA = msgspec.Raw(
    b'{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}'
)
USAGE = Usage(10, 5)
MODEL = ModelName("small", "tiny-1b", "scripted")


def answer(
    text: str,
    *,
    finish_reason: FinishReason = "stop",
    thinking: str | None = None,
    usage: Usage = USAGE,
    load_ms: int = 0,
) -> ChatReply:
    """Make one model answer."""
    return ChatReply(text, thinking, finish_reason, usage, "tiny-1b", "scripted", load_ms)


class ListedChat:
    """A `ChatModel` that gives its answers in order and records what it was asked."""

    def __init__(
        self,
        *answers: ChatReply | str | InfraError,
        before: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._answers = list(answers)
        self._before = before
        self.requests: list[ChatRequest] = []
        self.contexts: list[CallContext] = []
        self.limits: list[CallLimits] = []

    async def chat(
        self, request: ChatRequest, *, context: CallContext, limits: CallLimits
    ) -> ChatReply:
        self._before(len(self.requests))
        self.requests.append(request)
        self.contexts.append(context)
        self.limits.append(limits)
        given = self._answers[len(self.requests) - 1]
        if isinstance(given, InfraError):
            raise given
        return answer(given) if isinstance(given, str) else given

    async def models(self) -> tuple[ModelStatus, ...]:
        return (ModelStatus(MODEL.name, MODEL.model, MODEL.provider, "ready"),)


def catalog(**kinds: Kind) -> Catalog:
    """Offer these kinds, and one model called `small`."""
    return Catalog(
        kinds=kinds,
        models={MODEL.name: MODEL},
        config_digest="sha256:" + "0" * 64,
        schemas=SchemaCache(),
    )


def task_of(**fields: object) -> SessionTask:
    """Plan a session for the city schema, with request fields changed at will."""
    members: dict[str, object] = {"schema": CITY_SCHEMA, "prompt": "Name the city: Zürich."}
    request = IterateRequest(**(members | fields))  # type: ignore[arg-type]  # test data
    return plan(request, call_context((), ()), catalog())


def clock() -> FixedClock:
    return FixedClock()
