"""An outage is answered as one, with a row, also where only the validator knows the kinds."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.forked_commands import run_command
from support.stack import Answer, Process, call, free_port, untraced
from support.waiting import wait_until

GATEWAY_ONLY = '[log]\npath = "log"\n'


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Process]:
    """A gateway whose validator is nobody, and whose configuration has no kind and no model."""
    file = tmp_path / "lakehouse.toml"
    file.write_text(GATEWAY_ONLY)
    port = free_port()
    process = Process(
        "gateway",
        file,
        port,
        {
            "LAKEHOUSE_GATEWAY__LISTEN": f'"127.0.0.1:{port}"',
            "LAKEHOUSE_VALIDATORD__URL": f'"http://127.0.0.1:{free_port()}"',
        },
    )
    try:
        yield process
    finally:
        process.stop()


def ask(gateway: Process, **body: object) -> Answer:
    return call(gateway.port, "POST", "/v1/iterate", body)


@pytest.mark.parametrize(
    ("body", "kind", "alias"),
    [
        ({"kind": "airport_event", "prompt": "x"}, "airport_event", None),
        ({"kind": "airport_event", "prompt": "x", "model": "big"}, "airport_event", "big"),
        ({"schema": {"type": "object"}, "prompt": "x", "model": "big"}, None, "big"),
        ({"schema": {"type": "object"}, "prompt": "x"}, None, None),
        (
            {"kind": "k", "messages": [{"role": "user", "content": "x"}], "max_iterations": 2},
            "k",
            None,
        ),
    ],
)
def test_an_outage_leaves_a_row_whatever_the_gateway_knows(
    gateway: Process, body: dict[str, Any], kind: str | None, alias: str | None
) -> None:
    """502 in the session shape; the row names the kind and the model that were asked for."""
    answer = ask(gateway, **body)
    reply = answer.json()
    assert (answer.status, reply["verdict"], reply["error"]["code"]) == (
        502,
        "infra_error",
        "connect",
    )
    assert "connection refused" in reply["error"]["message"]
    assert "start validatord, or correct validatord.url" in reply["error"]["hint"]
    path = f"/v1/sessions/{reply['session_id']}"
    [row] = call(gateway.port, "GET", path).json()["rows"]
    assert (row["kind"], row["verdict"], row["daemon"]) == (kind, "infra_error", "gateway")
    assert row["row_id"] == reply["row_id"]
    assert row["error"]["message"] == reply["error"]["message"]
    assert "Connection refused" in row["error"]["detail"]
    if alias is not None:
        assert row["model_alias"] == alias
    verified = run_command(
        ["log", "verify", "--json"],
        cwd=gateway.output.parent,
        env=untraced(os.environ),
        timeout=60,
    )
    verified.check_returncode()
    assert json.loads(verified.stdout)["bad"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "k"},
        {"kind": "k", "prompt": "x", "deadline_ms": 0},
        {"kind": "k", "prompt": "x", "max_iterations": 99},
        {"schema": {"type": "nonsense"}, "prompt": "x"},
        {"prompt": "x"},
    ],
)
def test_what_is_wrong_in_itself_is_refused_although_nobody_is_there(
    gateway: Process, body: dict[str, Any]
) -> None:
    """A request that no validator would take leaves no row."""
    answer = ask(gateway, **body)
    assert answer.status == 400
    assert call(gateway.port, "GET", "/v1/sessions").json()["sessions"] == []


def test_the_log_names_the_cause_of_the_outage(gateway: Process) -> None:
    """One line with the session's id, the code and the address."""
    session_id = ask(gateway, kind="k", prompt="x").json()["session_id"]

    def lines() -> list[dict[str, Any]]:
        found = [
            json.loads(line)
            for line in gateway.output.read_text().splitlines()
            if line.startswith('{"timestamp"')
        ]
        return [line for line in found if line["session_id"] == session_id]

    wait_until(lines, "the line")
    [line] = lines()
    assert "infra_error: connect: The validator cannot be reached" in line["message"]
    assert "127.0.0.1" in line["message"]


def test_a_refused_start_is_a_line_too(tmp_path: Path) -> None:
    """Off a terminal, a start that is refused is one JSON line before the message for people."""
    (tmp_path / "lakehouse.toml").write_text(
        '[log]\npath = "log"\n[kinds.k]\nschema = "none.json"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "lakehouse", "up"],
        cwd=tmp_path,
        env=untraced(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    first, *rest = done.stderr.splitlines()
    line = json.loads(first)
    assert (line["level"], line["session_id"]) == ("error", None)
    assert "up did not start" in line["message"]
    assert "none.json" in line["message"]
    assert rest[0].startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_taken_port_lets_go_of_the_log(gateway: Process, tmp_path: Path) -> None:
    """The second daemon on a port is refused, and its writer of the log is closed."""
    done = subprocess.run(
        [sys.executable, "-m", "lakehouse", "up"],
        cwd=tmp_path,
        env=untraced({**os.environ, "LAKEHOUSE_GATEWAY__LISTEN": f'"127.0.0.1:{gateway.port}"'}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "Cannot listen" in done.stderr
    assert gateway.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize("schema", [None, {"type": "object", "required": ["n"]}])
@pytest.mark.parametrize("stream", [False, True])
def test_an_openai_client_meets_the_same_outage(
    gateway: Process, schema: dict[str, Any] | None, stream: bool
) -> None:
    """Nobody can say whether the name is a kind's: the session is tried, and leaves its row."""
    body: dict[str, Any] = {"model": "airport_event@big", "input": "x", "stream": stream}
    if schema is not None:
        body["text"] = {"format": {"type": "json_schema", "name": "n", "schema": schema}}
    answer = call(gateway.port, "POST", "/v1/responses", body)

    error = answer.json()["error"]
    assert (answer.status, error["code"], answer.headers["x-should-retry"]) == (
        502,
        "connect",
        "true",
    )
    path = f"/v1/sessions/{answer.headers['x-request-id']}"
    [row] = call(gateway.port, "GET", path).json()["rows"]
    assert (row["kind"], row["model_alias"], row["daemon"]) == ("airport_event", "big", "gateway")
    assert row["inline_schema"] == schema
    assert row["metadata"]["door"] == "openai.responses"
    assert row["row_id"] == error["row_id"]
