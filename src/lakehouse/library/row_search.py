"""The search for the row of a session whose connection was lost before its answer arrived.

The session goes on without its caller, and its row is the answer. Its id was chosen here, so the
row is found by it, and nothing is sent a second time.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from lakehouse.core.context import CallContext
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.ids import new_id
from lakehouse.core.limits import DEADLINE_MS_DEFAULT, LOAD_BUDGET_MS_DEFAULT
from lakehouse.core.metadata import CALL_MEMBER
from lakehouse.core.row import Row
from lakehouse.core.row_codec import RowError, decode_row
from lakehouse.core.session import IterateRequest
from lakehouse.core.trace_context import RANDOM

GRACE_MS: Final = 10_000  # for a gateway that restarts, and writes the rows of what it lost
_PAUSE_S: Final = 0.1
_PAUSE_S_MAX: Final = 2.0

Look = Callable[[str], Awaitable[Sequence[msgspec.Raw]]]
"""Returns the rows of a session, as they were written; raises `InfraError` or `Refusal`."""


class _Marked(msgspec.Struct):
    metadata: dict[str, str]


class RowSearch:
    """Finds the row of one call. Make it before the call, whose time counts from then.

    `request` is to be sent in place of the caller's: other calls may have a session id that the
    caller gave, so the row is then known by a member of its metadata.
    """

    def __init__(self, request: IterateRequest, context: CallContext) -> None:
        self.request = request
        self._session_id = context.session_id
        self._mark: str | None = None
        if not context.flags & RANDOM:  # an id that was created for this call is random
            self._mark = new_id()
            marked = {**request.metadata, CALL_MEMBER: self._mark}
            self.request = msgspec.structs.replace(request, metadata=marked)
        most_ms = (request.deadline_ms or DEADLINE_MS_DEFAULT) + LOAD_BUDGET_MS_DEFAULT + GRACE_MS
        self._until_s = time.monotonic() + most_ms / 1000

    async def row(self, look: Look, closed: asyncio.Event) -> Row | None:
        """Look until the row is there, at least for the grace; a look that fails is repeated.

        None: the time is over, the client was closed, or it is not certain which row it is.
        Pauses grow, and each is at least as long as the look before it: a look reads the log.
        """
        until_s = max(self._until_s, time.monotonic() + GRACE_MS / 1000)
        pause_s = _PAUSE_S
        while not closed.is_set():
            began_s = time.monotonic()
            found: list[msgspec.Raw] = []
            with contextlib.suppress(InfraError, Refusal):
                found = [row for row in await look(self._session_id) if self._is_of_call(row)]
            if found:
                return _read(found)
            now_s = time.monotonic()
            if now_s >= until_s:
                break
            wait_s = min(max(pause_s, now_s - began_s), until_s - now_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await closed.wait()
            pause_s = min(2 * pause_s, _PAUSE_S_MAX)
        return None

    def _is_of_call(self, row: msgspec.Raw) -> bool:
        if self._mark is None:
            return True
        try:
            metadata = msgspec.json.decode(row, type=_Marked).metadata
        except msgspec.MsgspecError:
            return False  # somebody else wrote it into the log
        return metadata.get(CALL_MEMBER) == self._mark


def _read(found: list[msgspec.Raw]) -> Row | None:
    """Read the only row there is; None if there are more, or a later version wrote it."""
    if len(found) > 1:
        return None
    try:
        return decode_row(bytes(found[0]))
    except RowError:
        return None
