"""An unchecked call belongs to its caller: it ends when the caller leaves."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import cast

import pytest

from lakehouse.core.chat import CallLimits, ChatReply, ChatRequest
from lakehouse.core.clock import FixedClock
from lakehouse.core.context import CallContext
from lakehouse.core.ports import ChatModel
from lakehouse.openai_api.chat_request import read_chat_request
from lakehouse.openai_api.held_stream import StreamTimes
from lakehouse.openai_api.unchecked import UncheckedModel
from lakehouse.transport.route import Call
from support.chat import context
from support.openai_replies import events

BODY = json.dumps(
    {"model": "m", "messages": [{"role": "user", "content": "Hi."}], "stream": True}
).encode()


class SilentModel:
    """Takes a call and does not answer; tells when it was begun and when it was ended."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def chat(
        self, request: ChatRequest, *, context: CallContext, limits: CallLimits
    ) -> ChatReply:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()
        raise AssertionError


@pytest.mark.parametrize("when", ["in the wait", "in the stream"])
def test_a_caller_that_leaves_ends_the_call(when: str):
    async def test() -> None:
        waited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        model = SilentModel()
        times = StreamTimes(clock=FixedClock(), started_ms=0, wait_ms=1, alarm=lambda _: waited)
        call = Call(context(), {}, {}, {}, read_chat_request(BODY), BODY)
        door = UncheckedModel(cast("ChatModel", model))
        answering = asyncio.ensure_future(door.answer(call, times))
        await model.begun.wait()
        if when == "in the wait":
            answering.cancel()
        else:
            waited.set_result(None)
            body = (await answering).body
            assert isinstance(body, AsyncGenerator)
            [opening] = events(await anext(body))
            assert opening["choices"][0]["delta"] == {"role": "assistant", "content": ""}
            await body.aclose()
        await asyncio.wait_for(model.ended.wait(), 10)

    asyncio.run(test())
