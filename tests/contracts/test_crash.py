"""A daemon that is killed leaves no session without its row: the next process writes it."""

import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from lakehouse.core.ids import is_id
from support.forked_commands import run_command
from support.stack import Answer, call, running_stack
from support.waiting import wait_until

CONFIG = """
[log]
path = "log"
[session]
drain_ms = 500
[models.small]
provider = "scripted"
model = "tiny"
script = "script.json"
"""
SCRIPT = {"matches": {"quick": ['{"a": 1}'], "slow": [{"text": '{"a": 1}', "delay_ms": 60000}]}}
WAIT_S = 60.0


def session_of(number: int) -> str:
    return f"{number:032x}"


@pytest.mark.parametrize("apart", [False, True], ids=["one process", "three daemons"])
def test_kill_9_and_start_again(tmp_path: Path, apart: bool):
    """Three sessions were under way: three `crashed` rows, one each; the finished one stays."""
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    with running_stack(tmp_path, CONFIG, apart=apart) as stack:
        gateway = stack["gateway"]
        killed = stack["validatord" if apart else "gateway"]
        assert ask(gateway.port, "quick", 9).status == 200
        told: dict[int, Answer | Exception] = {}
        threads = [
            threading.Thread(target=ask_into, args=(told, gateway.port, number))
            for number in (1, 2, 3)
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda: started_lines(tmp_path / "log") == 4, "four started lines")
        killed.stop(signal.SIGKILL)
        for thread in threads:
            thread.join(WAIT_S)
        if apart:  # The gateway lived on: it answers, and says which row to look for.
            assert {answer.json()["error"]["code"] for answer in told.values()} == {"crashed"}  # type: ignore[union-attr]
            assert all(is_id(answer.json()["row_id"]) for answer in told.values())  # type: ignore[union-attr]

    with running_stack(tmp_path, CONFIG, apart=apart) as stack:
        port = stack["gateway"].port
        wait_until(lambda: len(sessions(port)) == 4, "four rows")
        rows = {row["session_id"]: row for row in sessions(port)}

    assert set(rows) == {session_of(number) for number in (1, 2, 3, 9)}
    assert rows[session_of(9)]["verdict"] == "accepted"
    for number in (1, 2, 3):
        row = rows[session_of(number)]
        assert (row["verdict"], row["error"]["code"]) == ("infra_error", "crashed")
        assert row["prompt"] == "slow"
        if apart:
            answer = told[number]
            assert isinstance(answer, Answer)
            assert answer.json()["row_id"] == row["row_id"]
    verified = run_command(["log", "verify", "--json"], cwd=tmp_path, timeout=60)
    verified.check_returncode()
    found = json.loads(verified.stdout)
    assert (found["rows"], found["duplicates"], found["unfinished"]) == (4, 0, 0)


def ask(port: int, prompt: str, number: int) -> Answer:
    body = {"prompt": prompt, "schema": {"type": "object"}, "model": "small"}
    return call(port, "POST", "/v1/iterate", body, {"X-Lakehouse-Trace-Id": session_of(number)})


def ask_into(told: dict[int, "Answer | Exception"], port: int, number: int) -> None:
    try:
        told[number] = ask(port, "slow", number)
    except OSError as error:
        told[number] = error


def sessions(port: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = call(port, "GET", "/v1/sessions").json()["sessions"]
    return rows


def started_lines(log: Path) -> int:
    files = (log / "active").glob("*.jsonl")
    return sum(file.read_bytes().count(b'"session.started.v1"') for file in files)
