"""A good answer takes a short way: it pays nothing for reading errors."""

import asyncio
import json
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest

import lakehouse
from lakehouse.core.chat import ChatReply, ChatRequest, Message
from lakehouse.providers.ollama import OllamaProvider
from lakehouse.providers.openai import OpenAiProvider
from lakehouse.providers.provider import ProviderFault
from lakehouse.transport.client import HttpClient, HttpReply
from support.dialect import provider_at

SOURCE = str(Path(lakehouse.__file__).parent) + "/"
CALLS_MAX = 18  # of functions in providers/, resumed coroutines included; 16 are needed today
OF_ERRORS = {
    "providers/error_body.py",
    "providers/status_hint.py",
    "providers/wait_hint.py",
    "core/redaction.py",
}
GOOD: dict[str, dict[str, Any]] = {
    "openai": {
        "choices": [
            {
                "message": {"role": "assistant", "content": "{}", "refusal": None},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    },
    "ollama": {
        "message": {"role": "assistant", "content": "{}"},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 3,
        "eval_count": 2,
    },
}
REQUEST = ChatRequest(
    "alias", (Message("user", "Hi"),), schema=msgspec.Raw(b'{"type":"object"}'), temperature=0.5
)


class Answering(HttpClient):
    """Answers every call with one body, from memory."""

    def __init__(self, body: object) -> None:
        super().__init__()
        self._body = json.dumps(body).encode()

    async def post(self, *_: object, **__: object) -> HttpReply:
        return HttpReply(200, {"content-type": "application/json"}, self._body)


def provider_of(dialect: str, body: object) -> OpenAiProvider | OllamaProvider:
    return provider_at(dialect, "http://h/v1", Answering(body))


def traced(provider: OpenAiProvider | OllamaProvider) -> tuple[list[str], ChatReply | None]:
    """Ask three times; gives the files of the functions that the last call entered, in order."""
    found: list[str] = []

    def seen(frame: FrameType, event: str, _: object) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(SOURCE):
            found.append(name.removeprefix(SOURCE))

    async def case() -> ChatReply | None:
        reply: ChatReply | None = None
        for last in (False, False, True):
            sys.setprofile(seen if last else None)
            try:
                reply = await provider.complete(REQUEST, trace={}, deadline_ms=60_000)
            except ProviderFault:
                reply = None
            finally:
                sys.setprofile(None)
        return reply

    reply = asyncio.run(case())
    return found, reply


@pytest.mark.parametrize("dialect", GOOD)
def test_a_good_answer_enters_nothing_that_reads_errors(dialect: str) -> None:
    """And few functions at all, after the first calls have warmed the caches."""
    entered, reply = traced(provider_of(dialect, GOOD[dialect]))

    assert reply is not None
    assert (reply.text, reply.usage.prompt_tokens, reply.usage.completion_tokens) == ("{}", 3, 2)
    assert f"providers/{dialect}.py" in entered
    assert OF_ERRORS.isdisjoint(entered)
    assert len([file for file in entered if file.startswith("providers/")]) <= CALLS_MAX


@pytest.mark.parametrize("dialect", GOOD)
def test_an_answer_with_an_error_in_it_is_read_for_what_it_says(dialect: str) -> None:
    """The same body, and one member more."""
    broken = GOOD[dialect] | {"error": {"message": "The engine fell over.", "code": 500}}
    entered, reply = traced(provider_of(dialect, broken))

    assert reply is None
    assert "providers/error_body.py" in entered


@pytest.mark.parametrize("dialect", GOOD)
@pytest.mark.parametrize("nothing", [None, "", {}, [], False, 0])
def test_a_member_for_errors_that_says_nothing_is_no_error(dialect: str, nothing: object) -> None:
    """Some endpoints always send one."""
    entered, reply = traced(provider_of(dialect, GOOD[dialect] | {"error": nothing}))

    assert reply is not None
    assert reply.text == "{}"
    assert OF_ERRORS.isdisjoint(entered)
