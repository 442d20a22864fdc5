"""Functions that a client calls with what happens: `lake.on("attempt" | "session", fn)`."""

import inspect
import logging
from collections.abc import Callable
from typing import Any, Literal, get_args

from lakehouse.core.errors import SetupError
from lakehouse.core.session import Attempt
from lakehouse.core.suggestion import did_you_mean
from lakehouse.library.session import Session, plain_attempt

Event = Literal["attempt", "session"]
Hook = Callable[[Any], object]

_LOG = logging.getLogger(__name__)


class Hooks:
    """The hooks of one client, in the order they were added. What they raise is only logged."""

    def __init__(self) -> None:
        self._of: dict[str, list[Hook]] = {event: [] for event in get_args(Event)}

    def add(self, event: str, hook: Hook) -> None:
        """Add a hook.

        Raises:
            SetupError: There is no such event, or the hook is no plain function.
        """
        if event not in self._of:
            allowed = ", ".join(map(repr, self._of))
            raise SetupError(
                f"on({event!r}): no such event{did_you_mean(event, self._of)}; there are {allowed}."
            )
        if not callable(hook) or inspect.iscoroutinefunction(hook):
            raise SetupError(
                f"on({event!r}): {hook!r} is no plain function.",
                hint="A hook is called in the client's event loop and must return at once; it may "
                "start a task of its own.",
            )
        self._of[event].append(hook)

    @property
    def see_attempts(self) -> bool:
        """Whether anybody wants to see attempts."""
        return bool(self._of["attempt"])

    def attempt(self, attempt: Attempt) -> None:
        self._tell("attempt", plain_attempt(attempt))

    def session(self, session: Session) -> None:
        if self._of["session"]:
            self._tell("session", session)

    def _tell(self, event: str, what: object) -> None:
        for hook in self._of[event]:
            try:
                hook(what)
            except KeyboardInterrupt:
                raise  # Ctrl-C, where the loop is the main thread's
            except BaseException:  # noqa: BLE001  the boundary: the session itself succeeded
                _LOG.exception("a hook of %r failed", event)
