"""A project with a written model, and a log of sessions to replay."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from lakehouse.config.load import load_config
from lakehouse.config.settings import Config
from lakehouse.core.context import call_context
from lakehouse.core.session import IterateRequest
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
