"""Why a session could not be judged reaches the caller, the row and the log; keys reach nobody."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.stack import Process, call, free_port, running_stack
from support.told_endpoint import Said, ToldEndpoint
from support.waiting import wait_until

KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"  # without a shape: only its owner can know it
SAID = {
    "quota": Said(
        429,
        '{"error": {"message": "You exceeded it. Key {key}", "type": "insufficient_quota"}}',
    ),
    "refused": Said(401, '{"error": {"message": "Incorrect API key provided: {key}"}}'),
    "busy": Said(503, '{"detail": "no worker for {key}"}', headers={"x-should-retry": "false"}),
    "strict": Said(400, '{"error": "max_tokens is too large; sent by sk-abcdefgh12345678"}'),
    "streams": Said(200, 'data: {"choices": []}\n\n', "text/event-stream"),
    "page": Said(200, "<html><title>Sign in</title></html>", "text/html"),
    "moved": Said(
        308, "", headers={"Location": "https://user:hunter2pass@elsewhere.example/v1?key={key}"}
    ),
    "escapes": Said(400, '{"error": "a\\u001b[2Jb\\u009bc\\nd"}'),
}
# name: code, in the message, in the hint, in the operator's detail
EXPECTED = {
    "quota": ("overloaded", "You exceeded it. Key [key]", "billing", None),
    "refused": ("upstream_status", "Incorrect API key provided: [key]", "api_key_env", None),
    "busy": ("overloaded", "no worker for [key]", "overloaded or down", None),
    "strict": ("upstream_status", "max_tokens is too large; sent by [key]", "its message", None),
    "streams": ("upstream_malformed", "it streams although", "streaming", "text/event-stream"),
    "page": ("upstream_malformed", "it is a web page", "base_url", "Sign in"),
    "moved": ("upstream_status", "status 308", "redirects", "elsewhere.example"),
    "escapes": ("upstream_status", "a", "its message", None),
    "plain": ("connect", "it does not speak TLS", "http://", "WRONG_VERSION_NUMBER"),
    "nobody": ("connect", "connection refused", "Nothing listens", "Connection refused"),
    "nowhere": ("connect", "does not resolve", "host name", "no-such-host.invalid"),
}


def config(endpoint: ToldEndpoint) -> str:
    bases = {name: f"http://127.0.0.1:{endpoint.port}/{name}/v1" for name in SAID}
    bases |= {
        "plain": f"https://127.0.0.1:{endpoint.port}/v1",
        "nobody": f"http://127.0.0.1:{free_port()}/v1",
        "nowhere": "http://no-such-host.invalid/v1",
    }
    models = "".join(
        f'[models.{name}]\nprovider = "openai"\nmodel = "m"\napi_key_env = "TOLD_KEY"\n'
        f'base_url = "{base}"\n'
        for name, base in bases.items()
    )
    return f'[log]\npath = "log"\n{models}'


@pytest.fixture(scope="module")
def endpoint() -> Iterator[ToldEndpoint]:
    with ToldEndpoint(SAID).running() as running:
        yield running


@pytest.fixture(scope="module", params=[False, True], ids=["one process", "three daemons"])
def stack(
    request: pytest.FixtureRequest, endpoint: ToldEndpoint, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Process]]:
    directory = tmp_path_factory.mktemp("stack")
    with running_stack(
        directory, config(endpoint), apart=request.param, environment={"TOLD_KEY": KEY}
    ) as running:
        yield running


@pytest.mark.parametrize("name", EXPECTED)
def test_a_cause_reaches_caller_row_and_log(
    stack: dict[str, Process], endpoint: ToldEndpoint, name: str
) -> None:
    """The same words in the reply and the row, the operator's in the row's detail and the log."""
    code, message, hint, detail = EXPECTED[name]
    gateway = stack["gateway"]
    asked = endpoint.asked.get(name)

    body = {"prompt": "x", "schema": {"type": "object"}, "model": name}
    answer = call(gateway.port, "POST", "/v1/iterate", body)

    if asked is not None:
        assert endpoint.asked[name] > asked  # the fault happened
    error = answer.json()["error"]
    session_id = answer.json()["session_id"]
    assert error["code"] == code
    assert message in error["message"]
    assert hint in error["hint"]
    [row] = call(gateway.port, "GET", f"/v1/sessions/{session_id}").json()["rows"]
    assert row["error"]["code"] == code
    assert row["error"]["message"] == error["message"]
    if detail is None:
        assert row["error"]["detail"] is None
    else:
        assert detail in row["error"]["detail"]
    writer = stack.get("validatord", gateway)
    wait_until(lambda: lines_of(writer, session_id), "a line about the session")
    [line] = [one for one in lines_of(writer, session_id) if "infra_error" in one["message"]]
    assert error["message"] in line["message"]
    assert line["level"] == "warning"
    assert detail is None or detail in line["message"]
    if "chatd" in stack:
        wait_until(lambda: lines_of(stack["chatd"], session_id), "a line in chatd's log")
    whole = answer.body.decode() + json.dumps(row) + "".join(map(output_of, stack.values()))
    for secret in (KEY, KEY[:8], "sk-abcdefgh", "hunter2pass"):
        assert secret not in whole


def test_no_control_character_reaches_the_log_or_a_message(stack: dict[str, Process]) -> None:
    """What an endpoint writes cannot act on the terminal that shows it."""
    body = {"prompt": "x", "schema": {"type": "object"}, "model": "escapes"}
    error = call(stack["gateway"].port, "POST", "/v1/iterate", body).json()["error"]
    assert error["message"].isprintable()
    for process in stack.values():
        assert re.sub(r"[\n]", "", output_of(process)).isprintable()


def test_a_retry_and_the_breaker_are_told_with_the_session(tmp_path: Path) -> None:
    """One line a retry, one when the model is given up; each names its session."""
    text = (
        '[log]\npath = "log"\n[models.nobody]\nprovider = "openai"\nmodel = "m"\n'
        f'base_url = "http://127.0.0.1:{free_port()}/v1"\n'
    )
    with running_stack(tmp_path, text, apart=False) as running:
        gateway = running["gateway"]
        sessions = []
        for _ in range(3):
            body = {"prompt": "x", "schema": {"type": "object"}, "model": "nobody"}
            reply = call(gateway.port, "POST", "/v1/iterate", body).json()
            assert reply["error"]["code"] == "connect"
            sessions.append(reply["session_id"])

        def told(part: str) -> list[dict[str, Any]]:
            lines = [line for one in sessions for line in lines_of(gateway, one)]
            return [line for line in lines if part in line["message"]]

        wait_until(lambda: told("could not be reached 5 times in a row"), "the breaker's line")
        [opened] = told("could not be reached 5 times in a row")
        assert opened["session_id"] == sessions[1]
        assert {line["session_id"] for line in told("is called again in")} == set(sessions[:2])
        assert all("Connection refused" in line["message"] for line in told("is called again in"))


def test_the_level_leaves_out_what_is_below_it(tmp_path: Path) -> None:
    """`--log-level error` says nothing of an outage of a model."""
    text = '[log]\npath = "log"\n[models.nobody]\nprovider = "openai"\nmodel = "m"\n'
    text += f'base_url = "http://127.0.0.1:{free_port()}/v1"\n'
    with running_stack(tmp_path, text, apart=False, options=("--log-level", "error")) as running:
        gateway = running["gateway"]
        body = {"prompt": "x", "schema": {"type": "object"}, "model": "nobody"}
        assert call(gateway.port, "POST", "/v1/iterate", body).status == 502
        assert gateway.stop() == 0
        assert "infra_error" not in output_of(gateway)


def output_of(process: Process) -> str:
    return process.output.read_text()


def lines_of(process: Process, session_id: str) -> list[dict[str, Any]]:
    """The log lines about a session."""
    lines = [line for line in output_of(process).splitlines() if line.startswith('{"timestamp"')]
    found = [json.loads(line) for line in lines]
    return [line for line in found if line["session_id"] == session_id]
