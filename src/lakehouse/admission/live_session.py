"""A session that runs whether or not somebody waits for it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final

from lakehouse.core.context import CallContext
from lakehouse.core.session import Attempt, SessionReply


class LiveSession:
    """One session under way: its ids, the attempts judged so far, and its reply to come.

    Any number of callers may wait for it. `context` has its ids, which are another call's where the
    session was taken over.
    """

    def __init__(self, context: CallContext) -> None:
        self.context: Final = context
        self.attempts: Final[list[Attempt]] = []
        self.reply: asyncio.Future[SessionReply]
        self._changed = asyncio.Event()

    def runs_as(self, reply: asyncio.Future[SessionReply]) -> None:
        """Set what ends it; called once, before anybody waits."""
        self.reply = reply
        reply.add_done_callback(self._ended)

    def judged(self, attempt: Attempt) -> None:
        """Add an attempt; the validator calls this."""
        self.attempts.append(attempt)
        self._wake()

    async def changed(self, seen: int, timeout_s: float | None = None) -> None:
        """Return once there are more than `seen` attempts, or it has ended, or time has passed."""
        if len(self.attempts) > seen or self.reply.done():
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()

    async def rejections(self) -> AsyncGenerator[int]:
        """Yield the iteration of each rejected attempt as it is judged, until the session ends."""
        seen = 0
        while True:
            await self.changed(seen)
            news = self.attempts[seen:]
            seen += len(news)
            for attempt in news:
                if attempt.outcome == "rejected":
                    yield attempt.iteration
            if not news and self.reply.done():
                return

    def _ended(self, reply: asyncio.Future[SessionReply]) -> None:
        if not reply.cancelled():
            reply.exception()  # nobody may wait any more: this marks it as retrieved
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
