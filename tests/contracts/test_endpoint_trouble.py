"""What a caller learns of an endpoint's trouble, through whole stacks: in one process and apart."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.endpoint import Answer, Endpoint, completion, endpoint, refusal
from support.stack import Process, call, running_stack

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@contextmanager
def stack_at(tmp_path: Path, answer: Any, *, apart: bool) -> Iterator[tuple[int, Endpoint]]:
    with endpoint(answer) as server:
        config = (
            '[log]\npath = "log"\n[models.m]\nprovider = "openai"\nmodel = "m"\n'
            f'base_url = "{server.base_url}"\n'
        )
        with running_stack(tmp_path, config, apart=apart) as processes:
            gateway: Process = processes["gateway"]
            yield gateway.port, server


def iterate(port: int, **members: Any) -> Any:
    return call(port, "POST", "/v1/iterate", {"schema": SCHEMA, "prompt": "Which city?", **members})


def chat(port: int) -> Any:
    messages = [{"role": "user", "content": "Hi"}]
    return call(port, "POST", "/v1/chat", {"model": "m", "messages": messages})


@pytest.mark.parametrize("apart", [False, True], ids=["one process", "apart"])
@pytest.mark.parametrize(
    ("answer", "wait_s"),
    [
        ((429, {"Retry-After": "99999999"}, {"error": {"message": "later"}}), 86_400),
        ((429, {"Retry-After": "300"}, {"error": {"message": "later"}}), 300),
        ((200, {}, {"choices": None, "error": {"code": 429, "message": "try again in 2m0.5s"}}),
         121),
    ],
    ids=["absurd", "beyond the deadline", "in a 200's prose"],
)  # fmt: skip
def test_a_wait_beyond_our_patience_is_passed_on_after_one_call(
    tmp_path: Path, answer: Answer, wait_s: int, *, apart: bool
) -> None:
    """One call, no second; the caller's answer says how long, in header and body."""
    with stack_at(tmp_path, lambda _: answer, apart=apart) as (port, server):
        reply = iterate(port)
        assert (reply.status, reply.json()["error"]["code"]) == (503, "overloaded")
        assert len(server.calls) == 1
        assert reply.json()["error"]["retry_after_s"] == wait_s
        assert int(reply.headers["retry-after"]) == wait_s

        problem = chat(port)
        assert (problem.status, problem.json()["code"]) == (503, "overloaded")
        assert 0 < int(problem.headers["retry-after"]) <= wait_s
        assert len(server.calls) == 1, "the endpoint asked for no more calls"


def test_a_session_without_a_wait_carries_none(tmp_path: Path) -> None:
    """Nobody said how long: no header that we made up, no member."""
    with stack_at(tmp_path, lambda _: refusal("no", code="bad"), apart=False) as (port, server):
        reply = iterate(port, constrain="off")
        assert (reply.status, reply.json()["error"]["code"]) == (502, "upstream_status")
        assert "retry-after" not in reply.headers
        assert "retry_after_s" not in reply.json()["error"]
        assert len(server.calls) == 1


def test_a_refusal_is_a_finding_and_spends_an_iteration(tmp_path: Path) -> None:
    """Azure's 400 is no outage: the session goes on, and ends accepted."""
    refused = refusal("filtered", code="content_filter", innererror={"code": "x"})
    answers = [refused, completion(json.dumps({"city": "Oslo"}))]
    with stack_at(tmp_path, lambda _: answers.pop(0), apart=False) as (port, server):
        reply = iterate(port).json()
        assert (reply["verdict"], reply["accepted_iteration"]) == ("accepted", 1)
        assert [found["code"] for found in reply["attempts"][0]["findings"]] == ["refused"]
        assert len(server.calls) == 2


@pytest.mark.parametrize("apart", [False, True], ids=["one process", "apart"])
def test_what_we_add_ourselves_never_ends_a_session(tmp_path: Path, *, apart: bool) -> None:
    """No schema mode, no temperature, no length: the session is judged all the same."""

    def picky(body: dict[str, Any]) -> Answer:
        for member in ("response_format", "temperature", "max_tokens", "max_completion_tokens"):
            if member in body:
                return refusal(f"Unsupported parameter: '{member}'", param=member)
        return completion('{"city": 5}', finish="length")

    with stack_at(tmp_path, picky, apart=apart) as (port, server):
        reply = iterate(port, max_iterations=5).json()
        assert (reply["verdict"], reply["error"]) == ("max_iter_exhausted", None)
        assert reply["iterations"] == 3, "repeated, changed, repeated again"
        assert {"temperature", "max_tokens"} <= set().union(*server.calls)

        plain = iterate(port, temperature=0.5).json()
        assert plain["verdict"] == "infra_error"
        assert "Unsupported parameter: 'temperature'" in plain["error"]["message"]


@pytest.mark.parametrize("apart", [False, True], ids=["one process", "apart"])
def test_settings_of_model_and_kind_reach_endpoint_and_row(tmp_path: Path, *, apart: bool) -> None:
    """Through a proxy that the environment names, with a key in a header of its own."""
    (tmp_path / "city.json").write_text(json.dumps(SCHEMA))
    with endpoint(lambda _: completion('{"city": "Oslo"}')) as proxy:
        config = (
            '[log]\npath = "log"\n[models.m]\nprovider = "openai"\nmodel = "m"\n'
            'base_url = "http://models.invalid/api/v3"\ntop_p = 0.5\nmax_tokens = 9\nseed = 1\n'
            'headers = { "api-key" = "$MODEL_KEY" }\nquery = { "api-version" = "7" }\n'
            "extra_body = { top_k = 3 }\n"
            '[kinds.city]\nschema = "city.json"\ntemperature = 0.25\nseed = 2\nstop = ["##"]\n'
        )
        variables = {"HTTP_PROXY": proxy.url, "MODEL_KEY": "canary"}
        with running_stack(tmp_path, config, apart=apart, environment=variables) as processes:
            port = processes["gateway"].port
            body = {"kind": "city", "prompt": "Which city?", "seed": 3}
            reply = call(port, "POST", "/v1/iterate", body).json()
            assert reply["verdict"] == "accepted", reply
            [row] = call(port, "GET", f"/v1/sessions/{reply['row_id']}").json()["rows"]
        [sent] = proxy.requests
        assert sent.path == "http://models.invalid/api/v3/chat/completions?api-version=7"
        assert sent.header("api-key") == "canary"
        [asked] = proxy.calls
        found = {name: asked[name] for name in ("temperature", "top_p", "max_tokens", "seed")}
        assert found == {"temperature": 0.25, "top_p": 0.5, "max_tokens": 9, "seed": 3}
        assert (asked["stop"], asked["top_k"]) == (["##"], 3)
        settings = row["settings"]
        found = {name: settings[name] for name in ("temperature", "max_tokens", "seed")}
        assert found == {"temperature": 0.25, "max_tokens": 9, "seed": 3}
        assert b"canary" not in b"".join(
            file.read_bytes() for file in (tmp_path / "log").rglob("*") if file.is_file()
        )
