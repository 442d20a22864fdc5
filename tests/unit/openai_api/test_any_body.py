"""Whatever is sent becomes a request or a fault that says what is wrong, and nothing else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.core.json_text import NULL, parse_bytes
from lakehouse.openai_api.chat_request import read_chat_request
from lakehouse.openai_api.fault import FaultCode, RequestFault
from lakehouse.openai_api.parameters import PARAMETERS
from lakehouse.openai_api.request import OpenAiRequest
from lakehouse.openai_api.responses_request import read_responses_request

REAL = [
    json.loads(line)
    for line in (Path(__file__).parent / "client_bodies.jsonl").read_text("utf-8").splitlines()
]
READ = {"chat": read_chat_request, "responses": read_responses_request}
NAMES = sorted(
    {name for table in PARAMETERS.values() for one in table for name in one.path.split(".")}
    | {"$schema", "$ref", "$id", "items", "properties", "anyOf"}
)
WORDS = [
    *(
        "auto",
        "none",
        "required",
        "function",
        "allowed_tools",
        "json_schema",
        "json_object",
        "text",
    ),
    *("user", "assistant", "tool", "system", "message", "reasoning", "function_call", "object"),
    *("http://json-schema.org/draft-07/schema#", "#/properties/a", "Person", "k@", "off"),
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=8)
)
KEYS = st.sampled_from([name.removesuffix("[]") for name in NAMES]) | st.text(max_size=4)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def outcome(route: str, body: bytes) -> OpenAiRequest | RequestFault:
    """Read a body and check what came of it; any other exception than a fault passes through."""
    try:
        found: OpenAiRequest | RequestFault = READ[route](body)
    except RequestFault as fault:
        found = fault
    if isinstance(found, RequestFault):
        assert found.api_code in get_args(FaultCode)
        assert found.public.endswith(".")
        assert found.param is None or found.param in found.public
    else:
        assert found.messages
        assert {message.role for message in found.messages} <= {"user", "assistant"}
        assert (found.contract.schema == NULL) == (found.contract.param is None)
        parse_bytes(bytes(found.contract.schema))
    return found


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside a value, but not the value itself."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner:
        yield (*place, key)
        if isinstance(one, dict | list):
            yield from places(one, (*place, key))


@pytest.mark.parametrize("route", sorted(READ))
@given(body=st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes(route: str, body: bytes):
    outcome(route, body)


@pytest.mark.parametrize("route", sorted(READ))
@given(members=st.dictionaries(KEYS, JSON, max_size=3))
def test_any_members_beside_the_needed_ones(route: str, members: dict[str, Any]):
    needed = {"model": "k", "messages": [{"role": "user", "content": "a"}]}
    if route == "responses":
        needed = {"model": "k", "input": "a"}
    outcome(route, json.dumps({**needed, **members}).encode())


@given(data=st.data())
def test_a_real_body_with_one_place_changed(data: st.DataObject):
    case = data.draw(st.sampled_from(REAL))
    body = json.loads(json.dumps(case["body"]))
    *way, last = data.draw(st.sampled_from(sorted(places(body), key=str)))
    holder = body
    for key in way:
        holder = holder[key]
    change = data.draw(st.sampled_from(["replace", "remove", "rename", "add"]))
    if change == "remove":
        del holder[last]
    elif change == "replace" or isinstance(holder, list):
        holder[last] = data.draw(JSON)
    elif change == "rename":
        holder[data.draw(KEYS)] = holder.pop(last)
    else:
        holder[data.draw(KEYS)] = data.draw(JSON)
    outcome(case["route"], json.dumps(body).encode())


def test_an_unchanged_body_is_no_fault():
    """Otherwise the tests above would only ever see faults."""
    for case in REAL:
        found = outcome(case["route"], json.dumps(case["body"]).encode())
        assert isinstance(found, OpenAiRequest)
