"""Several observers as one, isolated from each other: a failing observer must not fail the work."""

import logging
import time
from collections.abc import Sequence

from lakehouse.core.chat import CallLimits, ChatReply, ChatRequest, ModelStatus
from lakehouse.core.context import CallContext
from lakehouse.core.errors import InfraError
from lakehouse.core.observation import ModelCallEnded, Observer, RequestEnded, SessionEnded
from lakehouse.core.ports import ChatModel

_LOG = logging.getLogger(__name__)


class Observers:
    """Calls each of its observers. An exception of one is logged and does not affect the others."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def request(self, ended: RequestEnded) -> None:
        for observer in self._observers:
            try:
                observer.request(ended)
            except Exception:  # noqa: BLE001  the boundary: the observed work itself succeeded
                _LOG.exception("an observer failed")

    def session(self, ended: SessionEnded) -> None:
        for observer in self._observers:
            try:
                observer.session(ended)
            except Exception:  # noqa: BLE001  as above
                _LOG.exception("an observer failed")

    def model_call(self, ended: ModelCallEnded) -> None:
        for observer in self._observers:
            try:
                observer.model_call(ended)
            except Exception:  # noqa: BLE001  as above
                _LOG.exception("an observer failed")


class ObservedChat:
    """A `ChatModel` that reports to an observer how long each call took and how it ended.

    Cancelled calls are not reported.
    """

    def __init__(self, chat: ChatModel, observer: Observer) -> None:
        self._chat = chat
        self._observer = observer

    async def chat(
        self, request: ChatRequest, *, context: CallContext, limits: CallLimits
    ) -> ChatReply:
        started_at_ns, started_s = time.time_ns(), time.perf_counter()
        try:
            reply = await self._chat.chat(request, context=context, limits=limits)
        except InfraError as error:
            duration_ms = (time.perf_counter() - started_s) * 1000
            self._observer.model_call(
                ModelCallEnded(context, request, None, error, started_at_ns, duration_ms)
            )
            raise
        duration_ms = (time.perf_counter() - started_s) * 1000
        self._observer.model_call(
            ModelCallEnded(context, request, reply, None, started_at_ns, duration_ms)
        )
        return reply

    async def models(self) -> tuple[ModelStatus, ...]:
        return await self._chat.models()
