"""Bodies that real clients sent: each is read, and its contract holds and rejects.

Recorded on 2026-11-29 from the releases that their names give; long texts are cut. `accepts`
and `rejects` are an answer that the client takes, and one that it does not.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from lakehouse.openai_api.chat_request import read_chat_request
from lakehouse.openai_api.contract import NO_STRUCTURE
from lakehouse.openai_api.fault import RequestFault
from lakehouse.openai_api.request import OpenAiRequest
from lakehouse.openai_api.responses_request import read_responses_request
from lakehouse.validation.schema import compile_schema

BODIES = [
    json.loads(line)
    for line in (Path(__file__).parent / "client_bodies.jsonl").read_text("utf-8").splitlines()
]
READ = {"chat": read_chat_request, "responses": read_responses_request}
# What a body may hold that has no effect; everything else has one.
IGNORED = {"parallel_tool_calls", "messages[].name", "text.format", "store"} | {
    f"input[].{name}" for name in ("id", "status")
}
UNSTRUCTURED = "MD_JSON"  # this mode of Instructor asks for JSON in words alone


def read(case: dict[str, Any]) -> OpenAiRequest:
    return READ[case["route"]](json.dumps(case["body"]).encode())


@pytest.mark.parametrize("case", BODIES, ids=lambda case: case["client"])
def test_a_real_body_is_read(case: dict[str, Any]):
    request = read(case)
    body = case["body"]

    assert request.model.text == "k"
    assert (request.contract.told, request.contract.function) == (case["told"], case["function"])
    assert [message.role for message in request.messages] == case["roles"]
    assert all(message.content for message in request.messages)
    assert request.stream == body.get("stream", False)
    assert request.include_usage == (body.get("stream_options") == {"include_usage": True})
    assert set(request.ignored) <= IGNORED


@pytest.mark.parametrize("case", BODIES, ids=lambda case: case["client"])
def test_its_contract_takes_what_the_client_takes_and_nothing_else(case: dict[str, Any]):
    contract = read(case).contract
    if case["accepts"] is None:
        assert UNSTRUCTURED in case["client"]
        assert contract == NO_STRUCTURE
        return
    compiled = compile_schema(bytes(contract.schema))

    assert compiled.accepts(case["accepts"])
    assert not compiled.accepts(case["rejects"])
    assert contract.several == ("arguments" in case["accepts"])


def test_every_client_is_there():
    clients = {case["client"].partition(" ")[0] for case in BODIES}

    assert clients == {
        *("openai-python", "langchain-openai", "instructor", "pydantic-ai-slim"),
        *("openai-agents", "litellm", "ai", "@langchain/openai"),
    }
    assert len(BODIES) > 50


@pytest.mark.parametrize("route", ["chat", "responses"])
def test_an_agent_whose_model_may_choose_between_a_tool_and_a_format_is_told_so(route: str):
    """openai-agents sends this for an agent that has tools and an output type."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    function = {"name": "look_up", "parameters": schema, "strict": True}
    body: dict[str, Any] = {"model": "k"}
    if route == "chat":
        body |= {
            "messages": [{"role": "user", "content": "Ann"}],
            "tools": [{"type": "function", "function": function}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "final_output", "strict": True, "schema": schema},
            },
        }
    else:
        body |= {
            "include": [],
            "input": [{"content": "Ann", "role": "user"}],
            "tools": [{"type": "function", **function}],
            "text": {"format": {"type": "json_schema", "name": "final_output", "schema": schema}},
        }
    with pytest.raises(RequestFault) as caught:
        READ[route](json.dumps(body).encode())

    assert (caught.value.api_code, caught.value.param) == ("unsupported_value", "tool_choice")
    assert "`required`" in caught.value.hint
