"""The one way to wait in tests: for the event itself, for a bounded time that no machine needs."""

import time
from collections.abc import Callable

WAIT_S = 60.0  # far more than it takes: a busy machine must not fail a test


def wait_until(
    condition: Callable[[], object],
    what: str | Callable[[], object],
    *,
    within_s: float = WAIT_S,
    every_s: float = 0.01,
) -> None:
    """Wait for something that must come; `what` names it, or tells how far it got.

    Raises:
        AssertionError: It did not come in time.
    """
    until = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"never came: {what() if callable(what) else what}")
        time.sleep(every_s)
