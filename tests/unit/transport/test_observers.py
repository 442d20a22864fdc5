"""The wall around observers, and what is told of model calls."""

import asyncio
import logging

import pytest

from lakehouse.chatd.service import ChatService
from lakehouse.core.context import call_context
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.observation import ModelCallEnded, RequestEnded, SessionEnded
from lakehouse.providers.scripted import Step
from lakehouse.transport.observers import ObservedChat, Observers
from support.chat import LIMITS, SCRIPTED, context, question, scripted
from support.traced import attempt, model_call_ended, request_ended, session_ended


class Heard:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.all: list[object] = []

    def request(self, ended: RequestEnded) -> None:
        self.all.append(ended)

    def session(self, ended: SessionEnded) -> None:
        self.all.append(ended)

    def model_call(self, ended: ModelCallEnded) -> None:
        self.all.append(ended)


class Broken:
    """Fails whatever it is told."""

    def request(self, ended: RequestEnded) -> None:
        raise RuntimeError(ended.route)

    def session(self, ended: SessionEnded) -> None:
        raise RuntimeError(ended.row.row_id)

    def model_call(self, ended: ModelCallEnded) -> None:
        raise RuntimeError(ended.request.model)


def test_an_observer_that_fails_is_logged_and_keeps_nothing_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each kind of event, each fault with its traceback."""
    heard = Heard()
    both = Observers((Broken(), heard))
    request = request_ended(call_context((), ()))
    session = session_ended(attempt(0))
    model_call = model_call_ended(120.0)
    with caplog.at_level(logging.ERROR):
        both.request(request)
        both.session(session)
        both.model_call(model_call)
    assert heard.all == [request, session, model_call]
    assert caplog.messages == ["an observer failed"] * 3
    assert all(record.exc_info for record in caplog.records)


def test_a_model_call_is_told_with_its_reply_or_its_error() -> None:
    """Not where it was refused or cancelled: neither is an answer of a model."""
    heard = Heard()
    steps = ("hi", Step(error="model_missing"), Step(text="slow", delay_ms=60_000))
    provider = scripted(*steps)
    chat = ObservedChat(ChatService({"small": provider}, {"small": SCRIPTED}), heard)
    here = context()

    async def run() -> None:
        await chat.chat(question(), context=here, limits=LIMITS)
        with pytest.raises(InfraError):
            await chat.chat(question(), context=here, limits=LIMITS)
        with pytest.raises(Refusal):
            await chat.chat(question(model="big"), context=here, limits=LIMITS)
        cancelled = asyncio.create_task(chat.chat(question(), context=here, limits=LIMITS))
        while len(provider.requests) < len(steps):
            await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        assert cancelled.cancelled()

    asyncio.run(run())
    answered, failed = heard.all
    assert isinstance(answered, ModelCallEnded)
    assert isinstance(failed, ModelCallEnded)
    assert answered.reply is not None
    assert (answered.reply.text, answered.error) == ("hi", None)
    assert failed.error is not None
    assert (failed.reply, failed.error.code) == (None, "model_missing")
    assert answered.context == failed.context == here
    assert answered.started_at_ns <= failed.started_at_ns
    assert answered.duration_ms >= 0
