"""Daemons of a stack that end, are out of reach or ask for keys: every caller is answered."""

import json
import signal
import threading
from pathlib import Path

import pytest

from lakehouse.core.row_codec import decode_row
from lakehouse.gateway.auth import new_key
from support.city_stack import SCHEMA, SCRIPT, config, iterate, rows_of
from support.metrics import queue_depth
from support.stack import Answer, Process, call, free_port, running_stack
from support.waiting import wait_until

RULE = """
[[kinds.event.rules]]
sql = "SELECT length($quote) > 0"
message = "empty"
"""


def _write_project(directory: Path) -> None:
    (directory / "script.json").write_text(json.dumps(SCRIPT))
    (directory / "airports.csv").write_text("iata,city\nLHR,London\n")
    (directory / "event.schema.json").write_text(json.dumps(SCHEMA))


def test_a_daemon_ends_without_a_word_of_what_it_left(tmp_path: Path):
    """DuckDB was there before the daemon set aside, at its start, what garbage is sought among."""
    _write_project(tmp_path)
    with running_stack(tmp_path, config(free_port()) + RULE, apart=False) as processes:
        gateway = processes["gateway"]
        assert iterate(gateway.port, kind="event", prompt="delayed").json()["verdict"]
        known = gateway.output.read_text()
        assert gateway.stop(signal.SIGTERM) == 0
        added = gateway.output.read_text().removeprefix(known).splitlines()
    assert [line for line in added if not line.startswith("{")] == []  # but for its log


@pytest.mark.parametrize("apart", [False, True])
def test_sigterm_writes_unfinished_sessions_as_shutdown(tmp_path: Path, apart):
    """The caller gets a 503 in the session shape, the row is there, the exit code is 0."""
    _write_project(tmp_path)
    answers: list[Answer] = []
    with running_stack(tmp_path, config(free_port()), apart=apart) as processes:
        port = processes["gateway"].port
        caller = threading.Thread(
            target=lambda: answers.append(
                iterate(
                    port,
                    {"X-Lakehouse-Trace-Id": "stopped"},
                    kind="event",
                    prompt="very long: delayed",
                )
            )
        )
        caller.start()
        _wait_for_started(tmp_path / "log", b'"stopped"')
        owner: Process = processes["validatord" if apart else "gateway"]
        assert owner.stop(signal.SIGTERM) == 0
        caller.join(60)

    [answer] = answers
    assert answer.status == 503
    assert answer.json()["error"]["code"] == "shutdown"
    rows = [
        decode_row(line)
        for file in (tmp_path / "log" / "active").iterdir()
        for line in file.read_bytes().split(b"\n")
        if b'"schema":"session.iterate.v1"' in line[:40]
    ]
    assert [(row.session_id, row.verdict) for row in rows] == [("stopped", "infra_error")]


def test_a_validator_out_of_reach_leaves_a_row_of_the_gateways(tmp_path: Path):
    """Refused connections surely never reached it: one `connect` row by daemon `gateway`."""
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    (tmp_path / "airports.csv").write_text("iata,city\nLHR,London\n")
    (tmp_path / "event.schema.json").write_text(json.dumps(SCHEMA))
    with running_stack(tmp_path, config(free_port()), apart=True) as processes:
        port = processes["gateway"].port
        processes["validatord"].stop()
        answer = iterate(port, kind="event", prompt="first shot")
        unready = call(port, "GET", "/readyz")

        assert answer.status == 502
        assert answer.json()["error"]["code"] == "connect"
        [row] = rows_of(port, answer.json()["session_id"])
        assert (row["daemon"], row["verdict"]) == ("gateway", "infra_error")
        assert unready.status in {200, 503}


def _wait_for_started(log: Path, needle: bytes) -> None:
    wait_until(
        lambda: any(needle in file.read_bytes() for file in (log / "active").iterdir()),
        "the started line",
    )


def _wait_for_model_call(port: int) -> None:
    """Wait until chatd has a call under way beside the one that asks."""
    wait_until(lambda: queue_depth(port, "requests") >= 2, "the model's call")


def test_keys_are_asked_for_at_every_door(tmp_path: Path):
    """Three daemons with keys: callers need one, and each daemon sends its own to the next."""
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    (tmp_path / "airports.csv").write_text("iata,city\nLHR,London\n")
    (tmp_path / "event.schema.json").write_text(json.dumps(SCHEMA))
    caller, inner = new_key("caller"), new_key("inner")
    text = config(free_port()) + (
        '[gateway]\napi_keys_env = "KEYS"\n[chatd]\napi_key_env = "INNER"\n'
        '[validatord]\napi_key_env = "INNER"\n'
    )
    environment = {"KEYS": f"{caller.entry},{inner.entry}", "INNER": inner.secret}
    with running_stack(tmp_path, text, apart=True, environment=environment) as processes:
        doors = [process.port for process in processes.values()]
        bare = [call(port, "GET", "/v1/models").status for port in doors]
        live = [call(port, "GET", "/livez").status for port in doors]
        answer = iterate(
            processes["gateway"].port,
            {"Authorization": f"Bearer {caller.secret}"},
            kind="event",
            prompt="first shot: delayed",
        )
        unknown = call(processes["gateway"].port, "GET", "/nothing")

    assert bare == [401, 401, 401]
    assert live == [200, 200, 200]
    assert answer.json()["verdict"] == "accepted"
    assert unknown.status == 401
    for file in [*(tmp_path / "log" / "active").iterdir(), *tmp_path.glob("*.txt")]:
        assert caller.secret.encode() not in file.read_bytes()
        assert inner.secret.encode() not in file.read_bytes()


@pytest.mark.parametrize(
    ("role", "status", "code"), [("gateway", 502, "crashed"), ("chatd", 503, "shutdown")]
)
def test_whichever_daemon_stops_the_session_is_answered(tmp_path: Path, role, status, code):
    """In the session shape, with its row id; the session's one row is the validator's to write."""
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    (tmp_path / "airports.csv").write_text("iata,city\nLHR,London\n")
    (tmp_path / "event.schema.json").write_text(json.dumps(SCHEMA))
    answers: list[Answer] = []
    with running_stack(tmp_path, config(free_port()), apart=True) as processes:
        port = processes["gateway"].port
        caller = threading.Thread(
            target=lambda: answers.append(
                iterate(
                    port,
                    {"X-Lakehouse-Trace-Id": "stopped"},
                    kind="event",
                    prompt="very long: delayed",
                )
            )
        )
        caller.start()
        _wait_for_model_call(processes["chatd"].port)
        assert processes[role].stop(signal.SIGTERM) == 0
        caller.join(60)

    [answer] = answers
    assert (answer.status, answer.json()["error"]["code"]) == (status, code)
    rows = [
        decode_row(line)
        for file in (tmp_path / "log" / "active").iterdir()
        for line in file.read_bytes().split(b"\n")
        if b'"schema":"session.iterate.v1"' in line[:40]
    ]
    assert [row.row_id for row in rows] == [answer.json()["row_id"]]
    assert rows[0].daemon == "validatord"
