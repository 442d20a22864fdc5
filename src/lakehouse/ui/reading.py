"""Asks the log without delaying sessions: a process of its own reads it, and pages wait here.

Equal questions of several browsers are one question, and an answer is shared for some seconds.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from lakehouse.core.errors import Refusal
from lakehouse.sessionlog.index.reader import LogReader, stopping

_SHARED_S: Final = 2.0  # so that a session just ended is seen on the next load
_WAITING_MAX: Final = 64
_KEPT_MAX: Final = 64

_Answer = TypeVar("_Answer")


class LogReadings:
    """Questions about one log, from the pages of one process. Start and stop cost nothing."""

    def __init__(self, root: Path, *, shared_s: float = _SHARED_S) -> None:
        """Read the log at `root`; equal questions within `shared_s` seconds get one answer."""
        self.root: Final = root
        self._reader = LogReader(root)
        self._shared_s = shared_s
        self._asker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="log-reader")
        self._answers: dict[bytes, asyncio.Future[Any]] = {}
        self._waiting = 0
        self._stopped = False

    async def ask(self, question: Callable[[LogReader], _Answer], *named: object) -> _Answer:
        """Ask one question; `named` says what is asked, for sharing its answer.

        Without `named` the answer is not shared.

        Raises:
            Refusal: As the question; or `rate_limited`: too many questions wait.
            ReadFailed: As every question.
        """
        if not named:
            return await self._run(question)
        key = msgspec.json.encode(named)
        shared = self._answers.get(key)
        if shared is None:
            while len(self._answers) >= _KEPT_MAX:
                del self._answers[next(iter(self._answers))]
            shared = self._answers[key] = asyncio.ensure_future(self._run(question))
            shared.add_done_callback(lambda done: self._keep(key, done))
        answer: _Answer = await asyncio.shield(shared)
        return answer

    @property
    def is_busy(self) -> bool:
        """Whether a question is under way or waits."""
        return self._waiting > 0

    def forget(self) -> None:
        """Share no answer from before: the log has changed, and who changed it looks at it."""
        self._answers.clear()

    def stop(self) -> None:
        """End the question under way; it, those that wait and later ones get `shutdown`."""
        self._stopped = True
        self._reader.stop()

    def close(self) -> None:
        """Stop, and wait until the process that reads has ended."""
        self.stop()
        self._asker.shutdown()  # what waits ends at once
        self._reader.close()

    async def _run(self, question: Callable[[LogReader], _Answer]) -> _Answer:
        if self._stopped:
            raise stopping()
        if self._waiting >= _WAITING_MAX:
            raise Refusal(
                "rate_limited",
                f"{_WAITING_MAX} questions about the log are waiting.",
                hint="Load the page again shortly.",
                retry_after_s=1,
            )
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._asker, question, self._reader)
        finally:
            self._waiting -= 1

    def _keep(self, key: bytes, asked: asyncio.Future[Any]) -> None:
        """Share an answer for its time, and no failure; then nothing holds its memory."""

        def drop() -> None:
            if self._answers.get(key) is asked:  # not forgotten meanwhile
                del self._answers[key]

        if asked.cancelled() or asked.exception() is not None:
            drop()
        else:
            asked.get_loop().call_later(self._shared_s, drop)
