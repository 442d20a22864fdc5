"""`Idempotency-Key` on all three routes of sessions, over running daemons."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import pytest

from lakehouse.openai_api.parameters import ApiRoute
from support.openai_door import COMPACT, Door, door_stack, text_of
from support.raw_stream import RawStream
from support.stack import Answer
from support.waiting import wait_until

AnyRoute = Literal["chat", "responses", "iterate"]
ALL: tuple[AnyRoute, ...] = ("chat", "responses", "iterate")
GOOD_PROMPT = "first shot: delayed"


@pytest.fixture(scope="module", params=["in_process", "apart"])
def door(request, tmp_path_factory) -> Iterator[Door]:
    directory = tmp_path_factory.mktemp(request.param)
    with door_stack(directory, apart=request.param == "apart") as running:
        yield running


@pytest.fixture
def key(request) -> dict[str, str]:
    return {"Idempotency-Key": request.node.name}


def ask(
    door: Door,
    route: AnyRoute,
    prompt: str,
    key: dict[str, str],
    *,
    model: str = "event",
    caller: int = 0,
    body: dict[str, Any] | None = None,
) -> Answer:
    if route != "iterate":
        return door.ask(route, model, prompt, key, caller=caller, **(body or {}))
    kind, _, alias = model.partition("@")
    members = {"kind": kind, "prompt": prompt, **({"model": alias} if alias else {})}
    return door.call("POST", "/v1/iterate", members | (body or {}), key, caller=caller)


def session_of(answer: Answer) -> str:
    return answer.headers["x-lakehouse-trace-id"]


def code_of(route: AnyRoute, answer: Answer) -> str:
    told = answer.json()
    if "code" in told:  # a problem, of our own route
        return str(told["code"])
    return str(told["error"]["code"])


@pytest.mark.parametrize("route", ALL)
def test_one_key_is_one_session(door, route: AnyRoute, key):
    """The same bytes again, from the row: the same id, and no second row."""
    first, second = (ask(door, route, GOOD_PROMPT, key) for _ in range(2))

    assert (first.status, second.status) == (200, 200)
    assert second.body == first.body
    assert session_of(second) == session_of(first)
    assert "x-lakehouse-replayed" not in first.headers
    assert second.headers["x-lakehouse-replayed"] == "true"
    assert len(door.rows(session_of(first))) == 1


@pytest.mark.parametrize("route", ALL)
def test_callers_at_once_share_one_session(door, route: AnyRoute, key):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(door, route, "slow: delayed", key), range(8)))

    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    replayed = ["x-lakehouse-replayed" in answer.headers for answer in answers]
    assert replayed.count(False) == 1
    [row] = door.rows(session_of(answers[0]))
    assert row["iterations"] == 2


@pytest.mark.parametrize("route", ALL)
def test_another_body_is_refused(door, route: AnyRoute, key):
    """While its session runs, and after it has ended. The order of members is none."""
    first = ask(door, route, GOOD_PROMPT, key)
    changed = {"max_iterations": 1} if route == "iterate" else {"user": "x"}
    other = ask(door, route, GOOD_PROMPT, key, body=changed)
    same = ask(door, route, GOOD_PROMPT, key)

    assert (first.status, other.status, same.status) == (200, 400, 200)
    assert code_of(route, other) == "idempotency_key_reuse"
    assert session_of(other) != session_of(first)
    assert door.rows(session_of(other)) == []
    if route != "iterate":
        assert other.headers["x-should-retry"] == "false"


def test_routes_do_not_share_a_key(door, key):
    """The same key at another door is another body, however alike they look."""
    assert ask(door, "chat", GOOD_PROMPT, key).status == 200

    for route in ("responses", "iterate"):
        answer = ask(door, route, GOOD_PROMPT, key)
        assert (answer.status, code_of(route, answer)) == (400, "idempotency_key_reuse")


@pytest.mark.parametrize("route", ALL)
def test_two_callers_do_not_share_a_key(door, route: AnyRoute, key):
    """Neither the answer nor the refusal of somebody else."""
    first = ask(door, route, GOOD_PROMPT, key)
    second = ask(door, route, GOOD_PROMPT, key, caller=1)
    third = ask(door, route, "prose", key, caller=1)

    assert (first.status, second.status) == (200, 200)
    assert session_of(second) != session_of(first)
    assert "x-lakehouse-replayed" not in second.headers
    assert code_of(route, third) == "idempotency_key_reuse"


@pytest.mark.parametrize("route", ALL)
def test_a_failure_that_may_pass_is_run_again(door, route: AnyRoute, key):
    """The same session under a row of its own; what the model says now counts."""
    first = ask(door, route, "passing: delayed", key)
    second = ask(door, route, "passing: delayed", key)
    third = ask(door, route, "passing: delayed", key)

    assert (first.status, code_of(route, first)) == (503, "shutdown")
    assert (second.status, third.status) == (200, 200)
    assert session_of(first) == session_of(second) == session_of(third)
    assert "x-lakehouse-replayed" not in second.headers
    assert third.headers["x-lakehouse-replayed"] == "true"
    newest, oldest = door.rows(session_of(first))
    assert (oldest["verdict"], newest["verdict"]) == ("infra_error", "accepted")


@pytest.mark.parametrize("route", ALL)
@pytest.mark.parametrize(
    ("prompt", "model"), [("prose", "event"), ("quota", "event@far"), ("malformed", "event")]
)
def test_a_final_failure_is_answered_from_its_row(door, route: AnyRoute, key, prompt, model):
    """Status, code and advice as the first time; the model is not called again."""
    first, second = (ask(door, route, prompt, key, model=model) for _ in range(2))

    assert first.status == second.status >= 400
    assert second.headers["x-lakehouse-replayed"] == "true"
    assert second.json() == first.json()
    assert len(door.rows(session_of(first))) == 1


@pytest.mark.parametrize("route", ALL)
def test_a_refused_request_frees_its_key(door, route: AnyRoute, key):
    """It became no session: the corrected request may use the key."""
    refused = ask(door, route, GOOD_PROMPT, key, model="event@smal")
    good = ask(door, route, GOOD_PROMPT, key)

    assert refused.status == (400 if route == "iterate" else 404)
    assert good.status == 200
    assert "x-lakehouse-replayed" not in good.headers


@pytest.mark.parametrize("route", ALL)
@pytest.mark.parametrize("bad", ["", "x" * 256])
def test_a_key_has_1_to_255_characters(door, route: AnyRoute, bad):
    answer = ask(door, route, GOOD_PROMPT, {"Idempotency-Key": bad})

    assert answer.status == 400
    assert "255" in answer.body.decode()
    assert ask(door, route, GOOD_PROMPT, {"Idempotency-Key": f"{route:x<255}"}).status == 200


@pytest.mark.parametrize("route", ["chat", "responses"])
def test_a_stream_joins_and_is_repeated(door, route: ApiRoute, key):
    """Two at once get the same pieces of one session; a third gets them from the row."""
    request = door.raw(route, "event", "slow: delayed").replace(
        b"Host:", b"Idempotency-Key: %b\r\nHost:" % key["Idempotency-Key"].encode(), 1
    )
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: RawStream(door.port, request).rest(), range(2)))
    later = RawStream(door.port, request).rest()

    for told in (*both, later):
        assert (told.status, told.whole) == (200, True)
        assert text_of(route, told.body, streamed=True) == COMPACT
        assert told.body == later.body
    identity = later.headers["x-request-id"]
    assert {told.headers["x-request-id"] for told in both} == {identity}
    assert sorted("x-lakehouse-replayed" in told.headers for told in both) == [False, True]
    assert later.headers["x-lakehouse-replayed"] == "true"
    assert len(door.rows(identity)) == 1


@pytest.mark.parametrize("route", ["chat", "responses"])
def test_a_session_whose_caller_left_answers_its_key(door, route: ApiRoute, key):
    """The client's connection broke; it repeats the request, and joins or gets the answer."""
    request = door.raw(route, "event", "slow: delayed").replace(
        b"Host:", b"Idempotency-Key: %b\r\nHost:" % key["Idempotency-Key"].encode(), 1
    )
    before = door.log().count(b'"slow: delayed"')
    with RawStream(door.port, request) as caller:
        door.wait_for_started("slow: delayed", before + 1)
        caller.leave(reset=True)
    told = RawStream(door.port, request).rest()

    assert told.whole
    assert told.headers["x-lakehouse-replayed"] == "true"
    assert len(door.rows(told.headers["x-request-id"])) == 1


def test_a_gateway_that_dies_leaves_its_session_to_the_validator(tmp_path):
    """The next gateway finds that it still runs, waits, and answers from its row.

    Its model stands still until the next gateway has the call, however long that takes to start.
    """
    key = {"Idempotency-Key": "outlived"}
    with door_stack(tmp_path, apart=True) as door:
        first = door.processes["gateway"]
        with ThreadPoolExecutor(1) as pool:
            lost = pool.submit(door.ask, "chat", "event", "rather long: delayed", key)
            door.wait_for_started("rather long: delayed")
            os.kill(door.processes["chatd"].pid, signal.SIGSTOP)
            assert first.stop(signal.SIGKILL) == -signal.SIGKILL
            assert isinstance(lost.exception(60), OSError)
            door.processes["gateway"] = door.another_gateway()
            coming = pool.submit(ask, door, "chat", "rather long: delayed", key)
            wait_until(lambda: door.requests_under_way() == 1, "the call at the next gateway")
            assert b'"verdict"' not in door.log(), "the session is still under way"
            os.kill(door.processes["chatd"].pid, signal.SIGCONT)
            answer = coming.result(60)
        again = ask(door, "chat", "rather long: delayed", key)
        rows = door.rows(session_of(answer))

    assert (answer.status, again.status) == (200, 200)
    assert answer.body == again.body
    assert answer.headers["x-lakehouse-replayed"] == "true"
    [row] = rows
    assert row["daemon"] == "validatord"
    assert row["metadata"]["idempotency_key"]
