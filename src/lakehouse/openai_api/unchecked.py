"""Answers without a contract, where the configuration says `unchecked = "pass"`.

One call of the model, as `POST /v1/chat` makes it: no check, no session and no row. The reply says
that it is unchecked, in its header and in its member `lakehouse`.
"""

from typing import Any, Final

import msgspec

from lakehouse.admission.keyed_calls import KeyedCall
from lakehouse.core.chat import CallLimits, ChatReply, ChatRequest, Message
from lakehouse.core.json_text import NULL, parse
from lakehouse.core.limits import DEADLINE_MS_DEFAULT, LOAD_BUDGET_MS_DEFAULT
from lakehouse.core.ports import ChatModel
from lakehouse.openai_api.chat_reply import completion_id
from lakehouse.openai_api.fault import RequestFault
from lakehouse.openai_api.reply_form import created_s
from lakehouse.openai_api.reply_headers import ReplyHeaders
from lakehouse.openai_api.request import OpenAiRequest
from lakehouse.transport.response import Response
from lakehouse.transport.route import Call

_FINISH: Final = {"length": "length", "content_filter": "content_filter"}


class UncheckedModel:
    """Passes requests without a contract on to a model."""

    def __init__(self, chat: ChatModel) -> None:
        self._chat = chat

    async def answer(self, call: Call[OpenAiRequest], keyed: KeyedCall | None) -> Response:
        """Call the model once.

        Raises:
            RequestFault: What is asked for needs a session.
            InfraError: No answer.
        """
        asked = call.request
        if asked.route != "chat" or asked.stream or keyed is not None:
            what = "`Idempotency-Key`" if keyed is not None else "`stream`"
            what = "`/v1/responses`" if asked.route != "chat" else what
            raise RequestFault(
                f"{what} needs a session, but this request asks for no structure.",
                "no_contract",
                None,
                "Send a JSON Schema, or ask for the unchecked text without it.",
            )
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
        headers = ReplyHeaders(
            session_id=call.context.session_id,
            processing_ms=call.elapsed_ms,
            verdict="unchecked",
        )
        body = msgspec.json.encode(_completion(asked, call, reply))
        return Response(200, body, headers=headers.fields())


def _completion(asked: OpenAiRequest, call: Call[OpenAiRequest], reply: ChatReply) -> Any:
    context = call.context
    completion: dict[str, Any] = {
        "id": completion_id(context.session_id),
        "object": "chat.completion",
        "created": created_s(context.row_id),
        "model": asked.model.text,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": reply.text, "refusal": None},
                "logprobs": None,
                "finish_reason": _FINISH.get(reply.finish_reason, "stop"),
            }
        ],
        "lakehouse": {
            "session_id": context.session_id,
            "verdict": "unchecked",
            "model": reply.model,
        },
    }
    counts = reply.usage.prompt_tokens, reply.usage.completion_tokens
    if None not in counts:
        prompt, answer = counts
        completion["usage"] = {
            "prompt_tokens": prompt,
            "completion_tokens": answer,
            "total_tokens": (prompt or 0) + (answer or 0),
        }
    return completion


def _number(raw: msgspec.Raw) -> float | None:
    if raw == NULL:
        return None
    value = parse(bytes(raw).decode())
    assert not isinstance(value, bool | str | list | dict) and value is not None  # noqa: PT018  checked before
    return float(value)
