"""Joins the sessions of one conversation: a request that carries a call of ours goes on with it."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.core.errors import LakehouseError
from lakehouse.core.ids import created_at
from lakehouse.sessionlog.forgotten import forgotten_sessions
from lakehouse.sessionlog.reading.outcome import outcome_of

_LOG = logging.getLogger(__name__)
_KNOWN_MAX: Final = 10_000
_SEARCHED_MAX: Final = 3  # rows of one request that are searched in the log


class _Named(msgspec.Struct):
    session_id: str
    conversation_id: str | None


class ConversationLinks:
    """Which conversation a row belongs to: remembered for recent ones, else read in the log.

    A conversation's id is what its first request gave, or its first session's id.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._known: OrderedDict[str, str] = OrderedDict()

    async def conversation(self, row_ids: Sequence[str]) -> str | None:
        """Return the conversation of the first row that is known; None if none is.

        Cost: if this process wrote none of them, a search of the log's files since then for each of
        the newest, up to `_SEARCHED_MAX`: callers can make ids up.
        """
        known = next(filter(None, map(self._known.get, row_ids)), None)
        if known is not None:
            return known
        dated = [row_id for row_id in row_ids if created_at(row_id) is not None]
        for row_id in sorted(dated, reverse=True)[:_SEARCHED_MAX]:
            found = await asyncio.to_thread(self._logged, row_id)
            if found is not None:
                self.learn(row_id, found)
                return found
        return None

    def learn(self, row_id: str, conversation_id: str) -> None:
        """Remember which conversation a row belongs to."""
        self._known[row_id] = conversation_id
        if len(self._known) > _KNOWN_MAX:
            self._known.popitem(last=False)

    def _logged(self, row_id: str) -> str | None:
        try:
            row = outcome_of(self._log, row_id).row
            hidden = forgotten_sessions(self._log)
        except LakehouseError as error:  # the request itself needs no older row
            _LOG.warning("a session is not joined to its conversation: %s", error)
            row = None
        if row is None:
            return None
        named = msgspec.json.decode(row, type=_Named)
        if named.session_id in hidden:
            return None
        return named.conversation_id or named.session_id
