"""The name of the caller's API key is in the row, whichever door and whichever daemon."""

import json
from collections.abc import Iterator

import pytest

from lakehouse.gateway.auth import new_key
from lakehouse.openai_api.door import PATHS
from lakehouse.openai_api.parameters import ApiRoute
from support.openai_door import Door, asked, door_stack
from support.stack import SCRIPTED, Answer, call, running_stack

PROMPT = "first shot: delayed"
ROUTES: tuple[ApiRoute, ...] = ("chat", "responses")
NAMES = ("alice", "bob")


@pytest.fixture(scope="module", params=["in_process", "apart"])
def door(request, tmp_path_factory) -> Iterator[Door]:
    directory = tmp_path_factory.mktemp(request.param)
    with door_stack(directory, apart=request.param == "apart") as running:
        yield running


def iterated(door: Door, caller: int, **metadata: str) -> Answer:
    body = {"kind": "event", "prompt": PROMPT, "metadata": metadata}
    return door.call("POST", "/v1/iterate", body, caller=caller)


@pytest.mark.parametrize("caller", [0, 1], ids=NAMES)
def test_the_row_names_the_key_at_every_door(door, caller: int):
    """Each session that of its own caller: of three daemons too, and of a stream."""
    answers = [door.ask(route, "event", PROMPT, caller=caller) for route in ROUTES]
    answers += [door.ask(route, "event", PROMPT, caller=caller, stream=True) for route in ROUTES]
    answers += [iterated(door, caller), iterated(door, caller, order="7")]

    for answer in answers:
        assert answer.status == 200
        [row] = door.rows(answer.headers["x-lakehouse-trace-id"])
        assert row["metadata"]["api_key"] == NAMES[caller]
    assert row["metadata"] == {"order": "7", "api_key": NAMES[caller]}


def test_a_caller_may_not_name_another_key(door):
    answer = iterated(door, 0, api_key="bob")
    assert answer.status == 400
    assert "`metadata.api_key` cannot be set" in answer.json()["detail"]
    for route in ROUTES:
        answer = door.ask(route, "event", PROMPT, metadata={"api_key": "bob"})
        assert (answer.status, answer.json()["error"]["param"]) == (400, "metadata.api_key")


def test_a_repeat_by_its_key_is_answered_from_the_row_of_its_caller(door, request):
    """`Idempotency-Key` knows the caller; what is in the row does not change it."""
    key = {"Idempotency-Key": request.node.name}
    answers = [
        door.call("POST", "/v1/iterate", {"kind": "event", "prompt": PROMPT}, key, caller=caller)
        for caller in (0, 0, 1)
    ]
    told = [door.rows(one.headers["x-lakehouse-trace-id"])[0]["metadata"] for one in answers]
    assert [one["api_key"] for one in told] == ["alice", "alice", "bob"]
    assert answers[0].body == answers[1].body != answers[2].body


def test_without_keys_no_row_names_one(tmp_path):
    """Also if a caller sends one all the same."""
    (tmp_path / "script.json").write_text('{"matches": {"": ["{}"]}}')
    sent = {"Authorization": f"Bearer {new_key('alice').secret}"}
    members = {"response_format": {"type": "json_object"}}
    with running_stack(tmp_path, SCRIPTED, apart=False) as processes:
        port = processes["gateway"].port
        answers = [
            call(port, "POST", "/v1/iterate", {"schema": {}, "prompt": "x"}, sent),
            call(port, "POST", PATHS["chat"], asked("chat", "small", "x", **members), sent),
        ]
        for answer in answers:
            assert answer.status == 200, answer.body
            found = call(
                port, "GET", f"/v1/sessions/{answer.headers['x-lakehouse-trace-id']}", None
            )
            [row] = json.loads(found.body)["rows"]
            assert "api_key" not in row["metadata"]
