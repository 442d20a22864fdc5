"""What is closed last is closed also when something before it failed."""

import asyncio
import logging
from typing import Any

import pytest

from lakehouse.core.closing import close_all


class Steps:
    """Named steps that note that they were taken, and fail where they are told to."""

    def __init__(self, **failures: BaseException | None) -> None:
        self.taken: list[str] = []
        self._failures = failures

    def named(self) -> dict[str, Any]:
        return {name: self._step(name) for name in self._failures}

    def _step(self, name: str):
        async def step() -> None:
            await asyncio.sleep(0)
            self.taken.append(name)
            failure = self._failures[name]
            if failure is not None:
                raise failure

        return step


def test_every_step_is_tried_and_each_failure_told(caplog: pytest.LogCaptureFixture):
    steps = Steps(models=OSError("first"), tables=None, log=ValueError("last"))
    with caplog.at_level(logging.ERROR):
        assert asyncio.run(close_all(steps.named())) is False
    assert steps.taken == ["models", "tables", "log"]
    assert caplog.messages == ["models could not be closed", "log could not be closed"]


def test_all_well_says_so():
    steps = Steps(a=None, b=None)
    assert asyncio.run(close_all(steps.named())) is True


@pytest.mark.parametrize("interruption", [asyncio.CancelledError(), KeyboardInterrupt()])
def test_an_interruption_waits_until_all_was_tried(interruption: BaseException):
    steps = Steps(a=interruption, b=OSError("x"), c=None)
    with pytest.raises(type(interruption)):
        asyncio.run(close_all(steps.named()))
    assert steps.taken == ["a", "b", "c"]
