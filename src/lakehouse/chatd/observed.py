"""Model calls, told to an observer: one wrapper for every caller. A cancelled call is not told."""

import time

from lakehouse.core.chat import CallLimits, ChatReply, ChatRequest, ModelStatus
from lakehouse.core.context import CallContext
from lakehouse.core.errors import InfraError
from lakehouse.core.observation import ModelCallEnded, Observer
from lakehouse.core.ports import ChatModel


class ObservedChat:
    """A `ChatModel` that tells an observer how long each call took and how it ended."""

    def __init__(self, chat: ChatModel, observer: Observer) -> None:
        self._chat = chat
        self._observer = observer

    async def chat(
        self, request: ChatRequest, *, context: CallContext, limits: CallLimits
    ) -> ChatReply:
        """Ask once; see the port for what holds."""
        started_at_ns, started_s = time.time_ns(), time.perf_counter()

        def tell(reply: ChatReply | None, error: InfraError | None) -> None:
            duration_ms = (time.perf_counter() - started_s) * 1000
            self._observer.model_call(
                ModelCallEnded(context, request, reply, error, started_at_ns, duration_ms)
            )

        try:
            reply = await self._chat.chat(request, context=context, limits=limits)
        except InfraError as error:
            tell(None, error)
            raise
        tell(reply, None)
        return reply

    async def models(self) -> tuple[ModelStatus, ...]:
        """Tell every model's state; see the port."""
        return await self._chat.models()
