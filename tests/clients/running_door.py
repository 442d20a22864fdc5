"""The door of the matrix: real daemons with scripted models, one stack for each way it is set up.

All stacks write one log. A session is found there by the mark in its prompt.
"""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

from clients.situations import HELD, OBJECT, Situation
from lakehouse.core.limits import DEADLINE_MS_MAX
from lakehouse.core.row_codec import decode_row
from lakehouse.gateway.auth import new_key
from lakehouse.sessionlog.lines import LogLine
from lakehouse.sessionlog.reading.reader import read_rows
from support.log_counts import unfinished
from support.stack import Answer, Process, call, free_port, running_stack
from support.waiting import wait_until

HOUR_MS = 3_600_000
MARK = re.compile(rb"\[[^\[\]]+/\d+\]")
RIGHT = json.dumps(OBJECT, ensure_ascii=False)
WRONG = RIGHT.replace("Málaga", "Malaga")  # no such city in the table
SCRIPTS = {
    "accepted": {"steps": [RIGHT]},
    "second-try": {"steps": [WRONG, RIGHT]},
    "exhausted": {"steps": [WRONG]},
    # @ai-sdk/openai takes what fails within 50 ms of a stream's beginning for no stream, by a clock
    # that stands still while it is busy.
    "exhausted-slowly": {"steps": [{"text": WRONG, "delay_ms": 1_000}]},
    "loading": {"load_ms": HOUR_MS},
    "slow": {"steps": [{"text": RIGHT, "delay_ms": HOUR_MS}]},
}
SCHEMA = {
    "type": "object",
    "properties": {
        "flight": {"type": "string"},
        "city": {"type": "string"},
        "minutes": {"type": "integer"},
    },
    "required": ["flight", "city", "minutes"],
    "additionalProperties": False,
}
SETTINGS = {
    "default": {},
    "late": {"stream_wait_ms": 0, "load_budget_ms": 3_000},
    "hurried": {"deadline_ms": 1_000},
    "full": {"at_once_max": 1},
}


class RunningDoor:
    """The stacks that run. `key` is known to all of them."""

    def __init__(self, urls: dict[str, str], key: str) -> None:
        self.key = key
        self._urls = urls

    def base_url(self, situation: Situation) -> str:
        """Give what a client is told as its base URL."""
        return f"{self._urls[situation.stack]}/v1"


@contextlib.contextmanager
def running_door(directory: Path) -> Iterator[RunningDoor]:
    """Start every stack below a directory, which has their log as `log`; ends them on the way out.

    The stack `late` is three daemons, the others are one process each.

    Raises:
        AssertionError: One did not start, or what the limit counts did not run to the end.
    """
    caller, inner = new_key("caller"), new_key("inner")
    environment = {"KEYS": f"{caller.entry},{inner.entry}", "INNER": inner.secret}
    _write_files(directory)
    with contextlib.ExitStack() as stacks:
        urls = {}
        for name, settings in SETTINGS.items():
            running = running_stack(
                directory / name,
                _config(directory, **settings),
                apart=name == "late",
                environment=environment,
            )
            gateway = stacks.enter_context(running)["gateway"]
            urls[name] = gateway.url
            if name == "full":
                stacks.enter_context(_held_session(gateway, caller.secret, directory / "log"))
        yield RunningDoor(urls, caller.secret)


def rows_by_mark(log: Path) -> dict[str, list[dict[str, str]]]:
    """Give the metadata of each row of a log, by the mark in the row's prompt.

    Raises:
        AssertionError: A line is damaged, a session has no row, or a row is nobody's.
    """
    damaged: list[LogLine] = []
    rows: dict[str, list[dict[str, str]]] = {}
    for line in read_rows(log, on_damage=damaged.append):
        [mark] = {found.decode() for found in MARK.findall(line)} or {HELD}
        rows.setdefault(mark, []).append(decode_row(line).metadata)
    assert (damaged, unfinished(log)) == ([], [])
    assert len(rows.pop(HELD, ())) == 1, "a row without a mark, beside the session that was held"
    return rows


@contextlib.contextmanager
def _held_session(gateway: Process, key: str, log: Path) -> Iterator[None]:
    """Hold the only place of a stack, until the stack stops."""
    answers: list[Answer] = []
    asked = {"kind": "delay", "model": "slow", "prompt": HELD, "deadline_ms": DEADLINE_MS_MAX}
    headers = {"Authorization": f"Bearer {key}"}

    def hold() -> None:
        answers.append(call(gateway.port, "POST", "/v1/iterate", asked, headers, timeout_s=3_600))

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        wait_until(lambda: answers or unfinished(log), "the session that takes the place")
        yield
        assert not answers, f"the place was free: {answers[0].body.decode()}"
    finally:
        gateway.stop()
        thread.join()


def _write_files(directory: Path) -> None:
    for name, script in SCRIPTS.items():
        (directory / f"{name}.json").write_text(json.dumps(script), "utf-8")
    (directory / "delay.schema.json").write_text(json.dumps(SCHEMA), "utf-8")
    (directory / "cities.csv").write_text(f"name\n{OBJECT['city']}\nOslo\n", "utf-8")


def _config(
    directory: Path,
    *,
    stream_wait_ms: int = 20_000,
    deadline_ms: int = 120_000,
    load_budget_ms: int = 1_000,
    at_once_max: int = 1_000,
) -> str:
    models = "".join(
        f'[models.{name}]\nprovider = "scripted"\nmodel = "tiny"\nslots = 1000\npreload = true\n'
        f'load_timeout_ms = {HOUR_MS}\nscript = "../{name}.json"\n'
        for name in SCRIPTS
    )
    return f"""
[log]
path = "{directory / "log"}"
[gateway]
api_keys_env = "KEYS"
sessions_at_once_max = {at_once_max}
[gateway.openai]
stream_wait_ms = {stream_wait_ms}
[chatd]
api_key_env = "INNER"
[validatord]
api_key_env = "INNER"
[session]
deadline_ms = {deadline_ms}
load_budget_ms = {load_budget_ms}
drain_ms = 0
{models}
[models.down]
provider = "openai"
base_url = "http://127.0.0.1:{free_port()}/v1"
model = "gone"
[tables.cities]
path = "../cities.csv"
[kinds.delay]
schema = "../delay.schema.json"
[[kinds.delay.grounding]]
path = "/city"
column = "cities.name"
[[kinds.delay.grounding]]
path = "/flight"
match = "quote"
"""
