"""A daemon that ends closes everything it has, whatever fails on the way."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from lakehouse.config.load import load_config
from lakehouse.daemon import Daemon

CONFIG = """
[log]
path = "log"
[models.small]
provider = "scripted"
model = "tiny"
script = "script.json"
[tables.t]
path = "t.csv"
"""
PARTS = ("_chat_service", "_tables", "http", "model_http", "_maintenance", "writer")


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    (tmp_path / "script.json").write_text(json.dumps(["{}"]))
    (tmp_path / "lakehouse.toml").write_text(CONFIG)
    return Daemon(load_config(tmp_path / "lakehouse.toml", {}), {}, "up")


class Failing:
    """Stands where a part stands: it ends the part, then fails."""

    def __init__(self, part: Any) -> None:
        self._part = part
        self.ended = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if name not in {"close", "stop"}:
            return found

        def fail() -> Any:
            ended = found()
            self.ended += 1
            if asyncio.iscoroutine(ended):
                return self._fail_later(ended)
            raise OSError("it does not close")

        return fail

    async def _fail_later(self, ended: Any) -> None:
        await ended
        raise OSError("it does not close")


@pytest.mark.parametrize("failing", PARTS)
def test_one_part_that_does_not_close_skips_no_other(
    daemon: Daemon, failing: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each part is closed once, and the daemon says that not all went well."""
    stack = daemon.stack
    owners = {name: stack if hasattr(stack, name) else stack.lasting for name in PARTS}
    parts = {name: getattr(owner, name) for name, owner in owners.items()}
    closed: list[str] = []
    for name, part in parts.items():
        method = "stop" if name == "_maintenance" else "close"
        _note(part, method, name, closed)
    broken = Failing(parts[failing])
    setattr(owners[failing], failing, broken)

    async def run() -> bool:
        await daemon.start()
        await daemon.drain(0)
        return await daemon.close()

    with caplog.at_level(logging.ERROR):
        assert asyncio.run(run()) is False
    assert broken.ended == 1
    assert sorted(closed) == sorted(PARTS)
    assert [text for text in caplog.messages if "could not be closed" in text]


def test_the_requests_are_drained_although_the_sessions_fail_to(daemon: Daemon) -> None:
    """Who waits for an answer gets it."""
    drained: list[int] = []

    class Broken:
        rows_written = sessions_taken = 0
        catalog = daemon.stack.catalog

        async def drain(self, *, patience_ms: int) -> None:
            raise OSError("no")

    class Calls:
        async def wait(self, patience_ms: int) -> None: ...

        async def drain(self, patience_ms: int) -> None:
            drained.append(patience_ms)

    daemon.stack._validator_service = Broken()  # type: ignore[assignment]
    daemon._calls = Calls()  # type: ignore[assignment]

    async def run() -> None:
        with pytest.raises(OSError, match="no"):
            await daemon.drain(10_000)
        await daemon.close()

    asyncio.run(run())
    assert drained == [500]


def _note(part: Any, method: str, name: str, closed: list[str]) -> None:
    """Note in `closed` that the part's own method was called."""
    own = getattr(part, method)

    def noted() -> Any:
        closed.append(name)
        return own()

    try:
        setattr(part, method, noted)
    except AttributeError:  # slots
        raise AssertionError(f"{name} cannot be watched") from None
