"""The signals of a daemon: SIGTERM and Ctrl-C end it, SIGHUP reloads.

Where SIGHUP says that the terminal of the daemon is gone, it ends it, too. One that `nohup` made
ignored stays ignored.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterator

Reload = Callable[[], Awaitable[object]]
"""Reads the configuration anew. It tells of its failures itself, before it raises them."""


class HangUp:
    """What SIGHUP asks for: a reload, or the end, where the terminal of the daemon is gone."""

    def __init__(self, reload: Reload | None, stop: Callable[[], None]) -> None:
        self._reload = reload
        self._stop = stop
        self._in_terminal = _has_terminal()
        self.reloads: set[asyncio.Task[None]] = set()

    def __call__(self) -> None:
        if self._reload is None or (self._in_terminal and not _has_terminal()):
            self._stop()
            return
        task = asyncio.create_task(self._reloaded(self._reload))
        self.reloads.add(task)
        task.add_done_callback(self.reloads.discard)

    @staticmethod
    async def _reloaded(reload: Reload) -> None:
        with contextlib.suppress(Exception):  # it has been told, and nobody waits for it
            await reload()


@contextlib.contextmanager
def handled_signals(
    loop: asyncio.AbstractEventLoop, stop: Callable[[], None], hang_up: Callable[[], None]
) -> Iterator[None]:
    """Have signals call what they ask for."""
    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        handlers[signal.SIGHUP] = hang_up
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


def _has_terminal() -> bool:
    """Whether a terminal controls this process: one that was closed cannot be opened."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
