"""An endpoint that refuses what a rule says, and what it was asked."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from lakehouse.chatd.service import ChatService
from lakehouse.core.chat import ChatReply, ChatRequest, Message
from lakehouse.core.errors import InfraError
from lakehouse.core.json_text import NULL
from lakehouse.providers.openai import OpenAiProvider, OpenAiSettings
from lakehouse.transport.client import HttpClient
from support.chat import LIMITS, context
from support.endpoint import Answer, completion
from support.raw_server import Exchange, RawServer

CLOSED = (
    b'{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],'
    b'"additionalProperties":false}'
)
GOOD = completion('{"city": "Oslo"}')
LOST: Answer = (0, {}, None)  # the connection is closed without a byte
Rule = Callable[[dict[str, Any]], Answer | None]


def form_of(body: dict[str, Any]) -> str:
    """Name the form that a call asks for."""
    asked = body.get("response_format")
    if asked is None:
        return "none"
    if asked["type"] == "json_schema" and asked["json_schema"]["strict"]:
        return "strict"
    return str(asked["type"])


def question(
    schema: bytes | None = CLOSED, text: str = "Which city?", **members: Any
) -> ChatRequest:
    return ChatRequest(
        "small",
        (Message("user", text),),
        schema=NULL if schema is None else msgspec.Raw(schema),
        **members,
    )


class Case:
    """One endpoint that answers by a rule (None: a good answer), and a model at it."""

    def __init__(self, rule: Rule, **settings: Any) -> None:
        self.bodies: list[dict[str, Any]] = []
        self._rule = rule
        self._settings = settings

    def ask(self, *requests: ChatRequest) -> list[ChatReply | InfraError]:
        """Ask through the whole chat service, one after the other."""

        async def case() -> list[ChatReply | InfraError]:
            async def handler(exchange: Exchange) -> None:
                body = exchange.request.json()
                self.bodies.append(body)
                status, headers, answer = self._rule(body) or GOOD
                if (status, headers, answer) == LOST:
                    exchange.writer.close()
                    return
                await exchange.reply(answer, status, list(headers.items()))

            async with RawServer(handler) as server:
                http = HttpClient()
                settings = OpenAiSettings(model="m", base_url=server.url + "/v1", **self._settings)
                chat = ChatService({"small": OpenAiProvider(settings, http)}, {"small": settings})
                found: list[ChatReply | InfraError] = []
                for request in requests:
                    try:
                        found.append(await chat.chat(request, context=context(), limits=LIMITS))
                    except InfraError as error:
                        found.append(error)
                await chat.close()
                await http.close()
                return found

        return asyncio.run(case())

    @property
    def forms(self) -> list[str]:
        return [form_of(body) for body in self.bodies]
