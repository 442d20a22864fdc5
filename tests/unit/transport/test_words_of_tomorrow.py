"""A daemon of a later version behind clients of this one: its new words are taken as they stand."""

import asyncio
import json
from typing import Any

import pytest

from lakehouse.chatd.client import ChatClient
from lakehouse.core.errors import InfraError
from lakehouse.core.session import IterateRequest
from lakehouse.transport.client import HttpClient
from lakehouse.transport.problem import PROBLEM_TYPE, error_of, problem_of
from lakehouse.validatord.client import ValidatorClient
from support.chat import LIMITS, context, question
from support.raw_server import Exchange, RawServer

PROBLEM = {
    "type": "urn:lakehouse:problem:of_tomorrow",
    "title": "Bad Gateway",
    "status": 502,
    "detail": "Something new went wrong.",
    "code": "of_tomorrow",
    "session_id": "s",
    "retryable": False,
    "hint": "Look there.",
    "cause": "the very cause",
}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2}
REPLY = {
    "text": "{}",
    "thinking": None,
    "finish_reason": "of_tomorrow",
    "usage": USAGE,
    "model": "m",
    "provider": "scripted",
}
SESSION = {
    "session_id": "s",
    "trace_id": "t",
    "row_id": "r",
    "verdict": "infra_error",
    "iterations": 0,
    "accepted_iteration": None,
    "artifact": None,
    "grounded": None,
    "findings": [],
    "attempts": [],
    "usage": USAGE,
    "model": "m",
    "error": {"code": "of_tomorrow", "message": "new", "retryable": True, "hint": ""},
    "duration_ms": 1,
}


async def ask(client: str, body: dict[str, Any], status: int, media_type: str) -> Any:
    async def handler(exchange: Exchange) -> None:
        await exchange.reply(body, status, media_type=media_type)

    async with RawServer(handler) as server:
        http = HttpClient()
        try:
            if client == "chatd":
                return await ChatClient(http, server.url).chat(
                    question(), context=context(), limits=LIMITS
                )
            request = IterateRequest(kind="k", prompt="p")
            return await ValidatorClient(http, server.url).iterate(request, context())
        finally:
            await http.close()


@pytest.mark.parametrize("client", ["chatd", "validatord"])
def test_an_infra_code_of_tomorrow_is_the_error_that_it_was(client: str):
    """Its words, hint, cause and whether to ask again; and it can be told on as a problem."""
    with pytest.raises(InfraError) as caught:
        asyncio.run(ask(client, PROBLEM, 502, PROBLEM_TYPE))
    error = caught.value
    assert (error.code, error.status, error.retryable) == ("of_tomorrow", 502, False)
    assert (error.public, error.hint) == ("Something new went wrong.", "Look there.")
    assert error.detail == "the very cause"
    assert problem_of(error, "s", inner=False).code == "of_tomorrow"


def test_a_session_that_ended_by_a_code_of_tomorrow_is_handed_on():
    reply = asyncio.run(ask("validatord", SESSION, 502, "application/json"))
    assert reply.error.code == "of_tomorrow"


def test_a_finish_reason_of_tomorrow_is_an_answer():
    reply = asyncio.run(ask("chatd", REPLY, 200, "application/json"))
    assert (reply.finish_reason, reply.text) == ("of_tomorrow", "{}")


@pytest.mark.parametrize("change", [{"code": "Not A Word"}, {"code": ""}, {"status": 418}])
def test_what_no_version_says_is_no_problem_of_ours(change: dict[str, Any]):
    assert error_of(json.dumps(PROBLEM | change).encode()) is None
