"""OpenAI's routes over running daemons: what the row says of a call, and what is read from it."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from lakehouse.core.ids import new_id
from lakehouse.openai_api.door import PATHS
from lakehouse.openai_api.parameters import ApiRoute
from support.openai_door import BUSY, SCHEMA, Door, asked, door_stack, formatted, text_of
from support.openai_replies import events
from support.stack import call

ROUTES = ("chat", "responses")
PROMPT = "first shot: delayed"
OFFICIAL = {
    "x-stainless-lang": "python",
    "x-stainless-package-version": "3.57.0",
    "x-stainless-retry-count": "2",
    "User-Agent": "OpenAI/Python 3.57.0",
}
WANTED_TOOL = {"name": "report", "parameters": SCHEMA}
OTHER_TOOL = {"name": "give_up", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture(scope="module", params=["in_process", "apart"])
def door(request, tmp_path_factory) -> Iterator[Door]:
    directory = tmp_path_factory.mktemp(request.param)
    with door_stack(directory, apart=request.param == "apart") as running:
        yield running


def tools(route: ApiRoute, *functions: dict[str, Any]) -> list[dict[str, Any]]:
    if route == "chat":
        return [{"type": "function", "function": function} for function in functions]
    return [{"type": "function", **function} for function in functions]


def forced(route: ApiRoute, name: str) -> dict[str, Any]:
    return {
        "type": "function",
        **({"function": {"name": name}} if route == "chat" else {"name": name}),
    }


def called(route: ApiRoute, reply: dict[str, Any]) -> tuple[str, str, Any]:
    """Give the id, name and arguments of the answer's call."""
    if route == "chat":
        [choice] = reply["choices"]
        assert choice["finish_reason"] == "tool_calls"
        assert choice["message"]["content"] is None
        [one] = choice["message"]["tool_calls"]
        return one["id"], one["function"]["name"], json.loads(one["function"]["arguments"])
    [item] = reply["output"]
    assert item["type"] == "function_call"
    return item["call_id"], item["name"], json.loads(item["arguments"])


@pytest.mark.parametrize("route", ROUTES)
def test_the_row_names_the_door_and_the_client(door, route: ApiRoute):
    """Also the repetitions that the client counts; the caller's metadata stands beside."""
    members = {"metadata": {"order": "7"}, "user": "ann"}
    answer = door.ask(route, "event@small", PROMPT, OFFICIAL, **members)

    [row] = door.rows(answer.headers["x-request-id"])
    assert row["metadata"] == {
        "door": f"openai.{route}",
        "api_key": "alice",
        "client": "openai-python 3.57",
        "client_retry": "2",
        "openai_model": "event@small",
        "user": "ann",
        "order": "7",
    }
    assert (row["kind"], row["model"]) == ("event", "tiny")


@pytest.mark.parametrize("route", ROUTES)
def test_two_users_of_one_request_are_an_error(door, route: ApiRoute):
    answer = door.ask(route, "event", PROMPT, user="ann", metadata={"user": "bob"})
    assert (answer.status, answer.json()["error"]["param"]) == (400, "metadata.user")
    same = door.ask(route, "event", PROMPT, user="ann", metadata={"user": "ann"})
    assert door.rows(same.headers["x-request-id"])[0]["metadata"]["user"] == "ann"


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ({"User-Agent": "curl/8.9.1"}, "curl 8.9"),
        ({"x-stainless-lang": "js", "x-stainless-package-version": "7.59.0"}, "openai-node 7.59"),
        ({"x-stainless-retry-count": "0", "User-Agent": "made up"}, "made"),
    ],
)
def test_other_clients_are_named_too(door, headers, client):
    answer = door.ask("chat", "event", PROMPT, headers)

    [row] = door.rows(answer.headers["x-request-id"])
    assert row["metadata"]["client"] == client
    assert "client_retry" not in row["metadata"]


@pytest.mark.parametrize("route", ROUTES)
def test_a_function_is_answered_as_its_call(door, route: ApiRoute):
    """One that is forced, beside a kind: the id is the row's, and grounding holds too."""
    members = {
        "tools": tools(route, WANTED_TOOL, OTHER_TOOL),
        "tool_choice": forced(route, "report"),
    }
    answer = door.ask(route, "event", "retry: delayed", **members)

    assert answer.status == 200
    call_id, name, arguments = called(route, answer.json())
    [row] = door.rows(answer.headers["x-request-id"])
    assert (call_id, name) == (f"call_{row['row_id']}", "report")
    assert arguments == {"code": "LHR", "city": "London", "quote": "delayed"}
    assert row["metadata"]["openai_function"] == "report"
    assert [one["outcome"] for one in row["attempts"]] == ["rejected", "accepted"]
    assert row["attempts"][0]["findings"][0]["code"] == "ungrounded"


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("schema", "status"),
    [
        ({"type": "object", "properties": {"code": {"enum": ["LHR"]}}}, 200),
        ({"type": "object", "properties": {"code": {"enum": ["OSL"]}}}, 400),
        ({"type": "object", "required": ["missing"]}, 400),
    ],
)
def test_a_schema_beside_a_kind_holds_with_it(door, route: ApiRoute, schema, status):
    """An answer that is good for the kind alone is no 200 where the client's schema refuses it."""
    answer = door.ask(route, "event", PROMPT, **formatted(route, schema))

    assert answer.status == status
    if status != 200:
        assert answer.json()["error"]["code"] in {"max_iter_exhausted", "invalid_schema"}


@pytest.mark.parametrize("route", ROUTES)
def test_a_later_request_with_the_call_goes_on_with_the_conversation(door, route: ApiRoute):
    """Linked by `call_<row_id>`, over several turns, unless it says a conversation itself."""
    members = {"tools": tools(route, WANTED_TOOL), "tool_choice": "required"}
    first = door.ask(route, "event", PROMPT, **members)
    session_id = first.headers["x-request-id"]
    call_id, name, arguments = called(route, first.json())
    second = _go_on(door, route, call_id, name, json.dumps(arguments), members)
    again, _, _ = called(route, second.json())
    third = _go_on(door, route, again, name, "{}", members)
    own = members | {"lakehouse": {"conversation_id": "mine"}}
    fourth = _go_on(door, route, again, name, "{}", own)

    assert [row["conversation_id"] for row in door.rows(session_id)] == [None]
    for answer, conversation in ((second, session_id), (third, session_id), (fourth, "mine")):
        assert answer.status == 200
        [row] = door.rows(answer.headers["x-request-id"])
        assert row["conversation_id"] == conversation


def _go_on(
    door: Door, route: ApiRoute, call_id: str, name: str, arguments: str, members: dict[str, Any]
):
    if route == "chat":
        function = {"name": name, "arguments": arguments}
        turns: list[dict[str, Any]] = [
            {"role": "user", "content": PROMPT},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": call_id, "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": call_id, "content": "noted"},
        ]
        body = {"model": "event", "messages": turns}
    else:
        turns = [
            {"role": "user", "content": PROMPT},
            {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments},
            {"type": "function_call_output", "call_id": call_id, "output": "noted"},
        ]
        body = {"model": "event", "input": turns}
    return door.call("POST", PATHS[route], body | members)


@pytest.mark.parametrize("route", ROUTES)
def test_what_has_no_effect_is_named(door, route: ApiRoute):
    ignored: dict[str, Any] = {"service_tier": "auto", "store": True}
    good = door.ask(route, "event", PROMPT, **ignored)
    streamed = door.ask(route, "event", PROMPT, stream=True, **ignored)
    failed = door.ask(route, "event", "prose", **ignored)
    none = door.ask(route, "event", PROMPT)

    for answer in (good, streamed, failed):
        assert answer.headers["x-lakehouse-ignored"] == "service_tier, store"
    assert "x-lakehouse-ignored" not in none.headers


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("with_tool", [False, True])
def test_the_log_gives_the_same_bytes(door, route: ApiRoute, with_tool):
    """A read by id, also of an answer that was streamed."""
    members = {"tools": tools(route, WANTED_TOOL), "tool_choice": "required"} if with_tool else {}
    whole = door.ask(route, "event", "retry: delayed", **members)
    streamed = door.ask(route, "event", PROMPT, stream=True, **members)

    reply = whole.json()
    stored = door.call("GET", f"{PATHS[route]}/{reply['id']}")
    assert (stored.status, stored.body) == (200, whole.body)
    first = events(streamed.body)[0]
    identity = first["id"] if route == "chat" else first["response"]["id"]
    of_stream = door.call("GET", f"{PATHS[route]}/{identity}").json()
    if route == "responses":
        assert of_stream == events(streamed.body)[-1]["response"]
    else:
        assert of_stream["id"] == identity
        assert of_stream["lakehouse"] == events(streamed.body)[-1]["lakehouse"]


@pytest.mark.parametrize("route", ROUTES)
def test_calls_of_one_trace_are_read_by_their_rows(door, route: ApiRoute):
    """They share the id of the session, under which the newest is found; a row has its own."""
    traced = {"traceparent": f"00-{new_id()}-b7ad6b7169203331-01"}
    first, second = (door.ask(route, "event", PROMPT, traced).json() for _ in range(2))
    prefix = first["id"].removesuffix(first["lakehouse"]["session_id"])

    assert first["id"] == second["id"]
    for identity, answer in (
        (second["id"], second),
        (prefix + first["lakehouse"]["row_id"], first),
        (prefix + second["lakehouse"]["row_id"], second),
    ):
        assert door.call("GET", f"{PATHS[route]}/{identity}").json() == answer


def test_a_session_of_another_route_is_not_found(door):
    """An exhausted one is none either, nor one of `/v1/iterate`."""
    chat = door.ask("chat", "event", PROMPT).headers["x-request-id"]
    spent = door.ask("chat", "event", "prose").headers["x-request-id"]
    ours = door.call("POST", "/v1/iterate", {"kind": "event", "prompt": PROMPT}).json()

    for path in (
        f"/v1/responses/chatcmpl-{chat}",
        f"/v1/chat/completions/{chat}",
        f"/v1/chat/completions/chatcmpl-{spent}",
        f"/v1/chat/completions/chatcmpl-{ours['session_id']}",
    ):
        assert door.call("GET", path).status == 404


def test_the_models_are_listed_and_read_one_by_one(door):
    """Kinds, models, and each kind on each model; our own list stands beside."""
    listed = door.call("GET", "/v1/models").json()

    names = [one["id"] for one in listed["data"]]
    models = ["small", "lazy", *BUSY, "dead", "far"]
    assert names == ["event", *models, *(f"event@{model}" for model in models)]
    assert [one["name"] for one in listed["models"]] == models
    for entry in listed["data"]:
        assert (entry["object"], entry["owned_by"]) == ("model", "lakehouse")
    for name in ("event", "small", "event@far", "event%40far"):
        answer = door.call("GET", f"/v1/models/{name}")
        assert answer.status == 200
        assert answer.json()["id"] == name.replace("%40", "@")


def test_head_is_get_without_its_body(door):
    got, head = (door.call(method, "/v1/models/event") for method in ("GET", "HEAD"))

    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(got.body))
    assert head.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_caller_of_http_1_0_gets_no_chunks(door, route: ApiRoute, streamed):
    """The end of the connection ends the body, also of a stream that began before its outcome."""
    body = json.dumps(asked(route, "event", PROMPT, stream=streamed)).encode()
    head = f"POST {PATHS[route]} HTTP/1.0\r\nAuthorization: Bearer {door.keys[0]}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", door.port), timeout=60) as connection:
        connection.sendall(head.encode() + body)
        told = b"".join(iter(lambda: connection.recv(65_536), b""))

    head_told, _, body_told = told.partition(b"\r\n\r\n")
    assert b" 200 " in head_told.partition(b"\r\n")[0]
    assert b"chunked" not in head_told.lower()
    if not streamed:
        assert json.loads(body_told)["lakehouse"]["verdict"] == "accepted"
    elif route == "chat":
        assert body_told.endswith(b"data: [DONE]\n\n")
    else:
        assert events(body_told)[-1]["type"] == "response.completed"


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("streamed", [False, True])
def test_the_callers_own_session_id_counts(door, route: ApiRoute, streamed):
    """It stands in the header, the reply's id and the row; and its trace goes on."""
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    identity = f"order-{route}-{streamed}"
    headers = {"X-Lakehouse-Trace-Id": identity, "traceparent": parent}
    answer = door.ask(route, "event", PROMPT, headers, stream=streamed)

    assert answer.headers["x-request-id"] == identity
    assert answer.headers["x-lakehouse-trace-id"] == identity
    assert len(door.rows(identity)) == 1
    assert identity.encode() in answer.body


@pytest.mark.parametrize("route", ROUTES)
def test_a_request_without_a_contract_may_be_passed_on(tmp_path, route: ApiRoute):
    """Only where the configuration says so; every reply says that nothing was checked."""
    with door_stack(tmp_path, apart=False, unchecked="pass") as door:
        whole = door.ask(route, "small", "prose")
        streamed = door.ask(route, "small", "prose", stream=True)
        keyed = door.ask(route, "small", "prose", {"Idempotency-Key": "k"})
        bare = call(door.port, "POST", PATHS[route], asked(route, "small", "prose"))
        rows = [door.rows(answer.headers["x-request-id"]) for answer in (whole, streamed)]

    for answer, in_pieces in ((whole, False), (streamed, True)):
        assert (answer.status, answer.headers["x-lakehouse-verdict"]) == (200, "unchecked")
        assert text_of(route, answer.body, streamed=in_pieces) == "I would rather not."
        assert b'"verdict":"unchecked"' in answer.body
    assert rows == [[], []]
    assert (keyed.status, keyed.json()["error"]["code"]) == (400, "no_contract")
    assert bare.status == 401


@pytest.mark.parametrize("apart", [False, True], ids=["in_process", "apart"])
def test_over_the_limit_callers_are_told_when_to_come_again(tmp_path, apart):
    """429 with `retry-after`, and no row; the session that runs is not touched."""
    with door_stack(tmp_path, apart=apart, at_once_max=1) as door:
        with socket.create_connection(("127.0.0.1", door.port), timeout=60) as connection:
            connection.sendall(door.raw("chat", "event", "slow: delayed"))
            door.wait_for_started("slow: delayed")
            answers = [
                door.ask(route, "event", PROMPT, stream=streamed)
                for route in ("chat", "responses")
                for streamed in (False, True)
            ]
            first = connection.recv(65_536)
        for answer in answers:
            told = answer.json()["error"]
            assert (answer.status, told["code"]) == (429, "rate_limited")
            assert told["type"] == "rate_limit_error"
            assert answer.headers["x-should-retry"] == "true"
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["retry-after-ms"] == "1000"
            assert door.rows(answer.headers["x-request-id"]) == []
        assert first.startswith(b"HTTP/1.1 200 ")
        assert door.ask("chat", "event", PROMPT).status == 200
