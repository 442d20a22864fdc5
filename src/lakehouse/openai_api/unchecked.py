"""Answers without a contract, where the configuration says `unchecked = "pass"`.

One call of the model, as `POST /v1/chat` makes it: no check, no session and no row. Every reply
says that it is unchecked, in its header and in its member `lakehouse`.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import msgspec

from lakehouse.core.chat import CallLimits, ChatRequest, Message
from lakehouse.core.json_text import NULL, parse
from lakehouse.core.limits import DEADLINE_MS_DEFAULT, LOAD_BUDGET_MS_DEFAULT
from lakehouse.core.ports import ChatModel
from lakehouse.openai_api.fault import RequestFault
from lakehouse.openai_api.held_stream import ComingAnswer, StreamTimes, held_response
from lakehouse.openai_api.reply_form import ReplyForm
from lakehouse.openai_api.reply_writer import stream_events, whole_response
from lakehouse.openai_api.request import OpenAiRequest
from lakehouse.openai_api.told_answer import ToldAnswer
from lakehouse.transport.response import Response
from lakehouse.transport.route import Call

_OF_SESSIONS: Final = ("max_iterations", "constrain", "conversation_id")


class UncheckedModel:
    """Passes requests without a contract on to a model."""

    def __init__(self, chat: ChatModel) -> None:
        self._chat = chat

    async def answer(self, call: Call[OpenAiRequest], times: StreamTimes) -> Response:
        """Call the model once; a stream is held as that of a session is, and not asked for.

        The call ends when its caller leaves: there is no row that could have the answer.

        Raises:
            InfraError: No answer.
        """
        asked, context = call.request, call.context
        if not asked.stream:
            return whole_response(asked.route, await self._ask(call), call.elapsed_ms)
        reply = asyncio.ensure_future(self._ask(call))
        coming = ComingAnswer(
            session_id=context.session_id,
            reply=reply,
            outcome=_as_it_is,
            rejected=_nothing(),
            verdict="unchecked",
        )
        events = stream_events(asked, ReplyForm(model=asked.model.text), context)
        try:
            response = await held_response(coming, events, times)
        except BaseException:
            reply.cancel()
            raise
        if isinstance(response.body, bytes):
            return response
        return msgspec.structs.replace(response, body=_ending_with(response.body, reply))

    async def _ask(self, call: Call[OpenAiRequest]) -> ToldAnswer:
        asked = call.request
        system = () if asked.system is None else (Message("system", asked.system),)
        request = ChatRequest(
            model=asked.model.text,
            messages=(*system, *asked.messages),
            temperature=_number(asked.temperature),
            max_tokens=asked.max_tokens,
            seed=asked.seed,
            top_p=asked.top_p,
            stop=asked.stop,
        )
        deadline_ms = asked.options.deadline_ms or DEADLINE_MS_DEFAULT
        limits = CallLimits(deadline_ms, LOAD_BUDGET_MS_DEFAULT)
        reply = await self._chat.chat(request, context=call.context, limits=limits)
        return ToldAnswer.unchecked(reply, call.context, asked.model.text)


def key_without_row() -> RequestFault:
    """Describe a keyed request that asks for no structure."""
    return RequestFault(
        "`Idempotency-Key` needs a session, whose row keeps the answer; this request asks for no "
        "structure, so it has none.",
        "no_contract",
        None,
        "Leave the key out, or send a JSON Schema.",
    )


def unused(asked: OpenAiRequest) -> tuple[str, ...]:
    """Name the parameters of a request that have effect on sessions only."""
    options = [name for name in _OF_SESSIONS if getattr(asked.options, name) is not None]
    told = (("metadata", asked.metadata), ("user", asked.user))
    return (*(name for name, value in told if value), *(f"lakehouse.{name}" for name in options))


def _as_it_is(answer: ToldAnswer) -> ToldAnswer:
    return answer


async def _nothing() -> AsyncGenerator[int]:
    """Yield no rejections: nothing is judged."""
    none: tuple[int, ...] = ()
    for iteration in none:
        yield iteration


async def _ending_with(
    pieces: AsyncGenerator[bytes], reply: asyncio.Future[ToldAnswer]
) -> AsyncGenerator[bytes]:
    """Yield pieces; the call ends with them."""
    try:
        async for piece in pieces:
            yield piece
    finally:
        reply.cancel()
        await pieces.aclose()


def _number(raw: msgspec.Raw) -> float | None:
    if raw == NULL:
        return None
    value = parse(bytes(raw).decode())
    assert not isinstance(value, bool | str | list | dict) and value is not None  # noqa: PT018  checked before
    return float(value)
