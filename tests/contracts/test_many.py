"""Many calls in this process, with a real log: killed in the middle, and gone on with."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import lakehouse
from support.python_client import BAD, GOOD, configured, rows_in
from support.stack import untraced
from support.waiting import wait_until

ITEMS, CONCURRENCY = 120, 6
SCRIPT = f"""
import json, sys
from typing import Annotated, Literal
import pydantic
import lakehouse

class Event(pydantic.BaseModel):
    airport: Annotated[str, lakehouse.Grounded("airports.iata", with_={{"city": "airports.city"}})]
    city: str

def prompts():
    for number in range({ITEMS}):
        yield f"notice {{number}} of BCN Barcelona"

with lakehouse.open("lakehouse.toml") as lake:
    for outcome in lake.create_many(
        Event, prompts(), concurrency={CONCURRENCY}, resume="many.jsonl", max_retries=0
    ):
        print(json.dumps([
            outcome.index, outcome.value and outcome.value.airport, type(outcome.error).__name__,
            outcome.session.row_id,
        ]), flush=True)
"""


def started(directory: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=directory,
        env=untraced(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended_items(path: Path) -> dict[int, str]:
    """Give index → row of the whole lines."""
    if not path.exists():
        return {}
    whole = path.read_bytes().rpartition(b"\n")[0].splitlines()
    return {line["index"]: line["row_id"] for line in map(json.loads, whole)}


def configure(directory: Path) -> None:
    """Let every tenth answer be one that the table does not know."""
    configured(directory)
    script = {
        "matches": {r"notice \d*7 of": [{"text": BAD, "delay_ms": 20}]},
        "steps": [{"text": GOOD, "delay_ms": 20}],
    }
    (directory / "script.json").write_text(json.dumps(script))


def test_killed_in_the_middle_every_item_is_once_in_the_result(tmp_path: Path) -> None:
    """What was in the file has one row; only what was in flight is asked for again."""
    configure(tmp_path)
    path = tmp_path / "many.jsonl"
    first = started(tmp_path)
    try:
        wait_until(lambda: len(ended_items(path)) >= 40, "40 outcomes")
        first.send_signal(signal.SIGKILL)
        given, _ = first.communicate(timeout=60)
    finally:
        first.kill()
    assert first.returncode == -signal.SIGKILL
    kept = ended_items(path)
    assert 40 <= len(kept) < ITEMS
    assert {json.loads(line)[0] for line in given.splitlines()} <= kept.keys()

    second = started(tmp_path)
    out, error = second.communicate(timeout=100)

    assert second.returncode == 0, error
    found = [json.loads(line) for line in out.splitlines()]
    assert [index for index, *_ in found] == list(range(ITEMS))
    for index, airport, failed, row in found:
        assert (airport, failed) == (
            (None, "Exhausted") if index % 10 == 7 else ("BCN", "NoneType")
        )
        assert kept.get(index, row) == row
    rows = rows_in(tmp_path)
    judged = [row for row in rows if row["verdict"] != "infra_error"]
    by_prompt = Counter(row["prompt"] for row in judged)
    twice = [prompt for prompt, count in by_prompt.items() if count > 1]
    done = {f"notice {index} of BCN Barcelona" for index in kept}
    assert by_prompt.keys() == {f"notice {index} of BCN Barcelona" for index in range(ITEMS)}
    assert not done & set(twice)
    assert len(twice) <= CONCURRENCY
    assert max(by_prompt.values()) <= 2
    assert {row for *_, row in found} <= {row["row_id"] for row in judged}


def test_two_processes_do_not_write_to_one_file(tmp_path: Path) -> None:
    configured(tmp_path)
    script = {"matches": {"notice 0 of": [GOOD]}, "steps": [{"text": GOOD, "delay_ms": 100_000}]}
    (tmp_path / "script.json").write_text(json.dumps(script))
    first = started(tmp_path)
    try:
        wait_until(lambda: ended_items(tmp_path / "many.jsonl"), "an outcome")
        second = started(tmp_path)
        out, error = second.communicate(timeout=60)
    finally:
        first.kill()
        first.communicate()

    assert second.returncode == 1
    assert out == ""
    assert "SetupError: many.jsonl: another run is writing to it." in error


@pytest.mark.parametrize("type_", [dict[str, str], {"type": "object"}])
def test_outcomes_have_sessions_whose_rows_are_in_the_log(tmp_path: Path, type_: Any) -> None:
    with lakehouse.open(configured(tmp_path)) as lake:
        found = list(lake.create_many(type_, [f"notice {number}" for number in range(20)]))

    assert [one.unwrap() for one in found] == [{"airport": "BCN", "city": "Barcelona"}] * 20
    rows = {row["row_id"]: row["prompt"] for row in rows_in(tmp_path)}
    assert [rows[one.session.row_id] for one in found if one.session] == [
        f"notice {number}" for number in range(20)
    ]
