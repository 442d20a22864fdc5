"""A project with a written model, and a log of sessions to replay."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lakehouse.config.catalog import catalog
from lakehouse.config.load import load_config
from lakehouse.config.settings import Config
from lakehouse.core.clock import SystemClock
from lakehouse.core.context import call_context
from lakehouse.core.row import Row
from lakehouse.core.session import IterateRequest
from lakehouse.replay.books import Books
from lakehouse.replay.candidate import Candidate
from lakehouse.replay.corpus import read_corpus
from lakehouse.replay.progress import RunTally
from lakehouse.replay.run import RunPlan, begin_run, find_replays, read_lines
from lakehouse.replay.runner import LocalEngine, run_corpus
from lakehouse.replay.selection import Selection
from lakehouse.replay.session import ModelReplay, Replayed
from lakehouse.stack import Stack

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
# Of ten notices in a row the old model is right at once about seven, later about two, never about
# one of them.
OLD = {
    "matches": {r"[05]\.": ["no", '{"city":"Oslo"}'], r"7\.": ["no"]},
    "steps": ['{"city":"Oslo"}'],
}
NEW = ['{"city":"Bergen"}']
CONFIG = """
[log]
path = "log"
durability = "os"
[models.old]
provider = "scripted"
model = "old-1"
script = "old.json"
[models.new]
provider = "scripted"
model = "new-1"
script = "new.json"
[kinds.city]
schema = "city.json"
system = "Name the city."
model = "old"
"""


def write_project(directory: Path, *, new: Any = NEW, more: str = "") -> Config:
    """Write a configuration of one kind and two scripted models, and read it."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "city.json").write_text(json.dumps(CITY))
    (directory / "old.json").write_text(json.dumps(OLD))
    (directory / "new.json").write_text(json.dumps(new))
    (directory / "lakehouse.toml").write_text(CONFIG + more)
    return read_project(directory)


def read_project(directory: Path) -> Config:
    """Read the configuration as it is now."""
    return load_config(directory / "lakehouse.toml", {})


def log_sessions(config: Config, count: int, **fields: Any) -> None:
    """Run sessions over the old model, 64 at once; the first says `Notice 0.`"""

    async def run() -> None:
        stack = Stack(config, os.environ, "up")
        numbers = iter(range(count))

        async def work() -> None:
            for number in numbers:
                members = {"kind": "city", "prompt": f"Notice {number}.", **fields}
                await stack.validator.iterate(IterateRequest(**members), call_context((), ()))

        await asyncio.gather(*(work() for _ in range(64)))
        await stack.close()

    asyncio.run(run())


def begin_replay(config: Config, candidate: Candidate | None = None, **members: Any) -> RunPlan:
    """Choose sessions and write the plan; nothing is replayed yet."""
    return begin_run(
        config.path(config.log.path),
        Selection(**members),
        candidate or Candidate(model="new"),
        mode="replay",
        catalog=catalog(config),
        clock=SystemClock(),
    )


def run_replay(
    config: Config,
    plan: RunPlan,
    *,
    before: Callable[[Row], None] | None = None,
    pauses_s: tuple[float, ...] = (0.0, 0.0),
    patience_s: float = 0.0,
) -> RunTally:
    """Run what is left of a plan in this process; `before` is called for each session first."""
    root = config.path(config.log.path)

    async def whole() -> RunTally:
        stack = Stack(config, os.environ, "replay")
        entries = read_corpus(root, plan.corpus)
        tally = RunTally(total=len(entries))
        known = set()
        for line in read_lines(root, plan.run_id):
            entries.pop(line.row_id)
            known.add(line.replay_row_id)
            tally.before += 1
        model = ModelReplay(
            stack.validator, plan.candidate, kinds=stack.catalog.kinds, in_force=plan.in_force
        )

        async def replay(row: Row, replay_row_id: str) -> Replayed:
            if before is not None:
                before(row)
            return await model(row, replay_row_id)

        books = Books(root, plan, tally=tally, stop=asyncio.Event(), clock=SystemClock())
        left = await books.recover(entries, find_replays(root, plan.run_id, known))
        try:
            engine = LocalEngine(replay, concurrency=4, patience_s=patience_s)
            await run_corpus(engine, books, left, pauses_s=pauses_s)
        finally:
            await stack.close()
        return tally

    return asyncio.run(whole())
