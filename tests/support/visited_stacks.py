"""Stacks that a browser visits: one with sessions of every verdict, and one over a given log."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support import city_stack
from support.hostile_log import HostileLog, write_hostile_log
from support.hostile_texts import TEXTS, twin
from support.replays import begin_replay, log_sessions, run_replay, write_project
from support.stack import SCRIPTED, call, free_port, running_stack
from support.waiting import wait_until

PROMPTS = (
    "first shot: BA 117 is delayed",
    "retry: the code is misread, and it is delayed",
    "prose, and no JSON at all",
    "malformed answer of the endpoint",
    "first shot: delayed once more",
)


@contextmanager
def running_cities(
    directory: Path, extra: str = "", environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Run a stack whose sessions were accepted, accepted late, rejected and not judged.

    Gives its port. With keys (`extra`), nobody has asked for a session yet.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "script.json").write_text(json.dumps(city_stack.SCRIPT))
    (directory / "event.schema.json").write_text(json.dumps(city_stack.SCHEMA))
    (directory / "airports.csv").write_text("iata,city\nLHR,London\nOSL,Oslo\n")
    config = city_stack.config(free_port()) + extra
    with running_stack(directory, config, apart=False, environment=environment) as processes:
        port = processes["gateway"].port
        if not environment:
            for prompt in PROMPTS:
                status = city_stack.iterate(port, kind="event", prompt=prompt).status
                assert status in {200, 422, 502}, status
        yield port


@contextmanager
def running_on_attacks(directory: Path, *, harmless: bool) -> Iterator[tuple[str, HostileLog]]:
    """Run a stack over the log of all attacks, or of their twins; its address, and the log."""
    directory.mkdir(parents=True)
    (directory / "script.json").write_text('{"matches": {"": ["{}"]}}')
    # Whole hours ago: the two logs' sessions stand in the same bars of a chart.
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    start = hour - timedelta(hours=2 + len(TEXTS) // 1_000)
    with ThreadPoolExecutor(1) as thread:  # this thread may have the browser's event loop
        written = thread.submit(
            write_hostile_log, directory / "log", start, twin if harmless else str
        )
        log = written.result()
    with running_stack(directory, SCRIPTED, apart=False) as processes:
        port = processes["gateway"].port
        wait_until(lambda: _indexed(port) == len(log.rows), "the index of the whole log")
        yield f"http://127.0.0.1:{port}", log


@contextmanager
def running_on_replayed_attacks(directory: Path, *, harmless: bool) -> Iterator[str]:
    """Run a stack over a replay whose new answers are all attacks; the address of its page."""
    texts = [twin(text) if harmless else text for text in TEXTS]
    answers = {
        rf"Notice {number}\.": [json.dumps({"city": text, text: [text]})]
        for number, text in enumerate(texts)
    }

    def replay() -> str:
        config = write_project(directory, new={"matches": answers})
        log_sessions(config, len(texts), metadata={"team": texts[0]})
        plan = begin_replay(config)
        run_replay(config, plan)
        return plan.run_id

    with ThreadPoolExecutor(1) as thread:
        path = f"/ui/replays/{thread.submit(replay).result()}"
    config = (directory / "lakehouse.toml").read_text()
    with running_stack(directory, config, apart=False) as processes:
        port = processes["gateway"].port
        wait_until(
            lambda: call(port, "GET", f"{path}.json").json()["report_state"] == "ready",
            "the report of the replay",
        )
        yield f"http://127.0.0.1:{port}{path}"


def _indexed(port: int) -> int:
    progress = call(port, "GET", "/ui/sessions.json").json()["sessions"]["progress"]
    return int(progress["rows"]) if not progress["files_missing"] else 0
