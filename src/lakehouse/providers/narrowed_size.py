"""The size from which on a model refuses schemas that are narrowed to values of tables.

Narrowed schemas differ with every text, so that none is remembered by itself: only how many values
the smallest refused one had. It is forgotten after an hour, and the operator is told of it once.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec

_REMEMBER_S: Final = 3_600.0
_LOST_S: Final = 60.0  # after an answer broke off: a large grammar may have stopped the server

_LOG = logging.getLogger(__name__)


class NarrowedSize:
    """What one model refuses. Threads may share it: of two that learn at once, one wins."""

    def __init__(self, model: str, now_s: Callable[[], float]) -> None:
        """Know nothing yet; `now_s` is a clock that only goes on."""
        self._model = model
        self._now_s = now_s
        self._values = 0
        self._until_s = 0.0
        self._lost_until_s = 0.0
        self._doubted: int | None = None
        self._told = False

    def takes(self, schema: msgspec.Raw) -> bool:
        """Return whether a narrowed schema may be sent. Parses it only if one was refused."""
        now_s = self._now_s()
        if now_s < self._lost_until_s:
            return False
        return now_s >= self._until_s or count_values(schema) < self._values

    def taken(self, schema: msgspec.Raw) -> None:
        """Note that a narrowed schema was accepted."""
        if self._doubted is not None and count_values(schema) >= self._doubted:
            self._doubted = None

    def lost(self) -> None:
        """Note that the answer to a narrowed schema broke off: none is sent for a minute."""
        self._lost_until_s = self._now_s() + _LOST_S

    def refused(self, schema: msgspec.Raw, reason: str, *, sure: bool) -> None:
        """Note that a narrowed schema was refused, and the same call without it accepted.

        If that is not sure to be the cause, it counts when it happens again.
        """
        values = count_values(schema)
        if not sure and (self._doubted is None or values < self._doubted):
            self._doubted = values
            return
        self._values = values
        self._until_s = self._now_s() + _REMEMBER_S
        if not self._told:
            self._told = True
            _LOG.warning(
                "Model %r does not accept a schema with %d values of tables and of its own. For "
                "%d minutes, values of tables go into the prompt where their schema would have "
                "so many or more. To always do that, lower enum_values_max of the model, or write "
                'candidates = "hint" in the grounding rule. %s',
                self._model,
                values,
                _REMEMBER_S // 60,
                reason,
            )


def count_values(schema: msgspec.Raw) -> int:
    """Count the values of every `enum` and `const`, as `SchemaLimits` does. About 10 µs for 1 KB.

    A property of such a name is counted by its schema: the limit of an endpoint is a guess as well.
    """
    pending: list[Any] = [msgspec.json.decode(schema)]
    values = 0
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            listed = node.get("enum")
            values += len(listed) if isinstance(listed, list) else 0
            values += "const" in node
            pending += node.values()
        elif isinstance(node, list):
            pending += [item for item in node if isinstance(item, dict | list)]
    return values
