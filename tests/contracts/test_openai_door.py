"""OpenAI's routes over running daemons: every outcome, its status, its words and its rows."""

from collections.abc import Iterator

import msgspec
import pytest

from lakehouse.core.ids import is_id
from lakehouse.openai_api.door import PATHS
from lakehouse.openai_api.parameters import ApiRoute
from support.openai_door import COMPACT, Door, door_stack, formatted, text_of
from support.openai_outcomes import REFUSED, SESSIONS, Case
from support.stack import Answer, call

ROUTES = ("chat", "responses")


@pytest.fixture(scope="module", params=["in_process", "apart"])
def door(request, tmp_path_factory) -> Iterator[Door]:
    directory = tmp_path_factory.mktemp(request.param)
    with door_stack(directory, apart=request.param == "apart") as running:
        yield running


def hold_headers(answer: Answer, *, repeat: bool, session_id: str | None = None) -> str:
    """Hold the headers of every reply; gives the session's id."""
    headers = answer.headers
    told = headers["x-request-id"]
    assert is_id(told) or told == session_id
    assert headers["x-lakehouse-trace-id"] == told
    version, trace_id, span_id, _ = headers["traceparent"].split("-")
    assert (version, len(trace_id), len(span_id)) == ("00", 32, 16)
    assert headers["openai-processing-ms"].isdigit()
    assert headers["x-should-retry"] == ("true" if repeat else "false")
    return told


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("prompt", "iterations"), [("first shot: delayed", 1), ("retry: delayed", 2)]
)
def test_an_accepted_answer_is_the_artifact(door, route: ApiRoute, streamed, prompt, iterations):
    """200 with the artifact's own bytes; the headers tell the session; one row."""
    answer = door.ask(route, "event", prompt, stream=streamed)

    assert answer.status == 200
    session_id = hold_headers(answer, repeat=False)
    assert answer.headers["x-lakehouse-verdict"] == "accepted"
    assert answer.headers["x-lakehouse-iterations"] == str(iterations)
    assert text_of(route, answer.body, streamed=streamed) == COMPACT
    [row] = door.rows(session_id)
    assert (row["verdict"], row["iterations"]) == ("accepted", iterations)
    assert row["session_id"] == session_id
    kind = "text/event-stream" if streamed else "application/json"
    assert answer.headers["content-type"].startswith(kind)


@pytest.mark.parametrize("route", ROUTES)
def test_the_body_tells_the_session_and_all_tokens(door, route: ApiRoute):
    """`usage` is the sum of both attempts; `lakehouse` has what the row has."""
    reply = door.ask(route, "event", "retry: delayed").json()

    [row] = door.rows(reply["lakehouse"]["session_id"])
    asked, answered = (
        ("prompt_tokens", "completion_tokens")
        if route == "chat"
        else ("input_tokens", "output_tokens")
    )
    assert (reply["usage"][asked], reply["usage"][answered]) == (14, 10)
    assert reply["usage"]["total_tokens"] == 24
    assert reply["model"] == "event"
    assert reply["lakehouse"] == {
        "session_id": row["session_id"],
        "row_id": row["row_id"],
        "verdict": "accepted",
        "iterations": 2,
        "accepted_iteration": 1,
        "grounded": True,
        "model": "tiny",
    }


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("case", SESSIONS.values(), ids=SESSIONS)
def test_a_failed_session_has_its_status_its_words_and_one_row(
    door, route: ApiRoute, streamed, case: Case
):
    """Held headers: a stream that fails in time has the true status, too."""
    model = case.model_for(route, streamed=streamed)
    answer = door.ask(route, model, case.prompt, stream=streamed, **case.members)

    told = answer.json()["error"]
    assert (answer.status, told["code"], told["type"]) == (case.status, case.code, case.kind)
    session_id = hold_headers(answer, repeat=case.repeat)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-lakehouse-verdict"] == case.verdict
    assert answer.headers["x-lakehouse-iterations"] == str(case.iterations)
    wait_s = answer.headers.get("retry-after")
    if case.code != "connect":  # after several the calls are suspended for a while: told or not
        assert wait_s == case.retry_after
    assert (wait_s is None) == ("retry-after-ms" not in answer.headers)
    assert wait_s is None or int(answer.headers["retry-after-ms"]) <= int(wait_s) * 1000
    assert told["retryable"] is case.repeat
    assert told["message"]
    assert told["hint"]
    [row] = door.rows(session_id)
    assert (row["row_id"], row["verdict"]) == (told["row_id"], case.verdict)
    assert told["session_id"] == session_id
    if case.verdict == "max_iter_exhausted":
        assert told["findings"] == row["attempts"][-1]["findings"] != []
        assert told["failed_generation"] == row["attempts"][-1]["output"]
    else:
        assert told["findings"] == []


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_refused_request_says_why_and_leaves_no_row(door, route: ApiRoute, streamed, case: Case):
    """The same shape and headers; a message that a person can act on."""
    if "messages" in case.members and route == "responses":
        content = [{"type": "input_image", "image_url": "data:,"}]
        case = msgspec.structs.replace(
            case, members={"input": [{"role": "user", "content": content}]}
        )
    answer = door.ask(route, case.model, case.prompt, stream=streamed, **case.members)

    told = answer.json()["error"]
    assert (answer.status, told["code"], told["type"]) == (case.status, case.code, case.kind)
    session_id = hold_headers(answer, repeat=False)
    if case.param is not None:
        assert told["param"] == case.param
        assert case.param.rpartition(".")[2] in told["message"]
    assert told["row_id"] is None
    assert told["retryable"] is False
    assert "x-lakehouse-verdict" not in answer.headers
    assert door.rows(session_id) == []


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("sent", [None, "Bearer lh_wrong"])
def test_without_a_key_nothing_is_told(door, route: ApiRoute, sent):
    """401 in OpenAI's shape, on every path of its API."""
    headers = {} if sent is None else {"Authorization": sent}
    for method, path in [
        ("POST", PATHS[route]),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/event"),
        ("GET", f"{PATHS[route]}/x"),
        ("POST", "/v1/embeddings"),
    ]:
        answer = call(door.port, method, path, {} if method == "POST" else None, headers)

        told = answer.json()["error"]
        assert (answer.status, told["code"]) == (401, "invalid_api_key")
        assert told["type"] == "authentication_error"
        hold_headers(answer, repeat=False)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/v1/embeddings", 404, "not_found"),
        ("POST", "/v1/completions", 404, "not_found"),
        ("GET", "/v1/files", 404, "not_found"),
        ("DELETE", "/v1/models/event", 405, "method_not_allowed"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/responses/resp_x/cancel", 404, "not_found"),
        ("GET", "/v1/responses/resp_x", 404, "not_found"),
        ("GET", "/v1/chat/completions/chatcmpl-x", 404, "not_found"),
        ("GET", "/v1/models/nope", 404, "model_not_found"),
    ],
)
def test_other_paths_answer_in_openais_shape(door, method, path, status, code):
    answer = door.call(method, path, {} if method == "POST" else None)

    told = answer.json()["error"]
    assert (answer.status, told["code"]) == (status, code)
    assert told["type"] == "invalid_request_error"
    hold_headers(answer, repeat=False)


def test_a_path_of_ours_keeps_its_problem_shape(door):
    answer = door.call("GET", "/v1/sessions?colour=red")

    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("route", ROUTES)
def test_the_bytes_of_numbers_stay(door, route: ApiRoute):
    """1.10 and 2^64 reach the client as the model wrote them, streamed or not."""
    members = formatted(route, {"type": "object"})
    wanted = '{"n":1.10,"big":18446744073709551616}'

    for streamed in (False, True):
        answer = door.ask(route, "small", "any JSON", stream=streamed, **members)
        assert text_of(route, answer.body, streamed=streamed) == wanted
