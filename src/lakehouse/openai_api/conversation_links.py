"""Joins the sessions of one conversation: a request that carries a call of ours goes on with it."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.core.context import CallContext
from lakehouse.core.errors import LakehouseError
from lakehouse.core.session import IterateRequest
from lakehouse.sessionlog.reading.outcome import outcome_of

_LOG = logging.getLogger(__name__)
_KNOWN_MAX: Final = 10_000


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

    def learn(self, row_id: str, request: IterateRequest, context: CallContext) -> None:
        """Remember a session that has ended."""
        self._known[row_id] = request.conversation_id or context.session_id
        if len(self._known) > _KNOWN_MAX:
            self._known.popitem(last=False)

    async def conversation(self, row_ids: Sequence[str]) -> str | None:
        """Return the conversation of the first row that is known; None if none is.

        Cost: for rows that this process did not write, a search of the log's files since then.
        """
        for row_id in row_ids:
            found = self._known.get(row_id) or await asyncio.to_thread(self._logged, row_id)
            if found is not None:
                return found
        return None

    def _logged(self, row_id: str) -> str | None:
        try:
            row = outcome_of(self._log, row_id).row
        except LakehouseError as error:  # the request itself needs no older row
            _LOG.warning("a session is not joined to its conversation: %s", error)
            row = None
        if row is None:
            return None
        named = msgspec.json.decode(row, type=_Named)
        return named.conversation_id or named.session_id
