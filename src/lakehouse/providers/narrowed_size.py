"""The size from which on a model refuses schemas that are narrowed to values of tables.

Narrowed schemas differ with every text, so that none is remembered by itself: only how many values
and bytes the smallest refused ones had. One that has fewer of either is still tried: the few long
sentences of one text must not switch off the short values of all others. It is forgotten after an
hour, and the operator is told of it once.
"""

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from lakehouse.core.schema_weight import SchemaWeight

_REMEMBER_S: Final = 3_600.0
_REFUSED_MAX: Final = 8  # sizes that are remembered, none of which is smaller than another
_LOST_S: Final = 60.0  # after an answer broke off: a large grammar may have stopped the server

_LOG = logging.getLogger(__name__)


_Size = tuple[int, int]
"""How many values and bytes a schema has."""


class NarrowedSize:
    """What one model refuses. Threads may share it: of two that learn at once, one wins."""

    def __init__(self, model: str, now_s: Callable[[], float]) -> None:
        """Know nothing yet; `now_s` is a clock that only goes on."""
        self._model = model
        self._now_s = now_s
        self._refused: tuple[_Size, ...] = ()
        self._until_s = 0.0
        self._lost_until_s = 0.0
        self._doubted: _Size | None = None
        self._told = False

    def takes(self, schema: msgspec.Raw) -> bool:
        """Return whether a narrowed schema may be sent. Parses it only if one was refused."""
        now_s = self._now_s()
        if now_s < self._lost_until_s:
            return False
        if now_s >= self._until_s:
            return True
        size = _size(schema)
        return not any(_reaches(size, one) for one in self._refused)

    def taken(self, schema: msgspec.Raw) -> None:
        """Note that a narrowed schema was accepted."""
        if self._doubted is not None and _reaches(_size(schema), self._doubted):
            self._doubted = None

    def lost(self) -> None:
        """Note that the answer to a narrowed schema broke off: none is sent for a minute."""
        self._lost_until_s = self._now_s() + _LOST_S

    def refused(self, schema: msgspec.Raw, reason: str, *, sure: bool) -> None:
        """Note that a narrowed schema was refused, and the same call without it accepted.

        If that is not sure to be the cause, it counts when it happens again.
        """
        size = _size(schema)
        if not sure and (self._doubted is None or not _reaches(size, self._doubted)):
            self._doubted = size
            return
        now_s = self._now_s()
        known = self._refused if now_s < self._until_s else ()
        smaller = (one for one in known if not _reaches(one, size))
        self._refused = (*smaller, size)[-_REFUSED_MAX:]
        self._until_s = now_s + _REMEMBER_S
        if not self._told:
            self._told = True
            _LOG.warning(
                "Model %r does not accept a schema of %d bytes with %d values of tables and of its "
                "own. For %d minutes, values of tables go into the prompt where their schema would "
                "have so many or more of both. To always do that, lower enum_values_max of the "
                'model, or write candidates = "hint" in the grounding rule. %s',
                self._model,
                *reversed(size),
                _REMEMBER_S // 60,
                reason,
            )


def _size(schema: msgspec.Raw) -> _Size:
    return SchemaWeight.of(msgspec.json.decode(schema)).values, len(bytes(schema))


def _reaches(one: _Size, limit: _Size) -> bool:
    return one[0] >= limit[0] and one[1] >= limit[1]
