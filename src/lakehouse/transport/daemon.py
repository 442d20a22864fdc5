"""Serves one application on one socket: start, signals, reload, drain, stop.

On SIGTERM or Ctrl-C: stop accepting, answer what open connections still send for a moment, let
running work finish, cancel the rest shortly before the drain limit so that it can still be answered
and written, then stop. A second signal cancels at once. SIGHUP reloads.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from lakehouse.core.limits import DRAIN_MARGIN_MS, LAST_REQUESTS_MS
from lakehouse.transport.door import Door, DoorLimits
from lakehouse.transport.inbound import Answer, Inbound
from lakehouse.transport.listening import BACKLOG
from lakehouse.transport.service_manager import ServiceManager
from lakehouse.transport.signals import HangUp, Reload, handled_signals
from lakehouse.transport.turns import Sharing, Turns

Drain = Callable[[int], Coroutine[Any, Any, None]]
"""Drains a daemon; the argument is the wait before cancelling, in milliseconds."""


async def serve(
    answer: Answer,
    listener: socket.socket,
    *,
    drain: Drain,
    drain_ms: int,
    on_ready: Callable[[], None],
    reload: Reload | None = None,
    limits: DoorLimits | None = None,
    manager: ServiceManager | None = None,
    sharing: Sharing | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain; returns when every answer has been sent.

    Args:
        answer: Answers each request.
        listener: It listens already; closed at the end, here only: another process may go on.
        drain: Called with its time limit after the first signal, with 0 on the second.
        drain_ms: From the signal to the exit.
        on_ready: Called once connections are accepted.
        reload: Called on SIGHUP, which otherwise ends the daemon.
        limits: Of connections; by default those of `core.limits`.
        manager: Told when requests are served, that the loop runs, and that it ends.
        sharing: With whom the socket is shared; without, this process accepts all.
    """
    loop = asyncio.get_running_loop()
    door = Door(limits or DoorLimits(), None if sharing is None else sharing.tell_connections)
    stopped = asyncio.Event()
    drains: list[asyncio.Task[None]] = []
    manager = manager or ServiceManager()

    def begin_drain(patience_ms: float) -> None:
        drains.append(asyncio.create_task(drain(max(0, int(patience_ms)))))

    def stop() -> None:
        if stopped.is_set():
            begin_drain(0)
        stopped.set()

    hang_up = HangUp(reload, stop)
    accepting = await _accepting(listener, lambda: Inbound(answer, door, loop), sharing)
    watches = [asyncio.create_task(each) for each in (door.keep_watch(), manager.keep_alive())]
    try:
        with handled_signals(loop, stop, hang_up):
            on_ready()
            manager.ready()
            await stopped.wait()
            drained_at = loop.time() + (drain_ms - DRAIN_MARGIN_MS) / 1000
            manager.stopping()
            await _accept_no_more(accepting)
            await door.hear_out(min(LAST_REQUESTS_MS, drain_ms - DRAIN_MARGIN_MS))
            begin_drain((drained_at - loop.time()) * 1000)
            await door.shut(drain_ms + DRAIN_MARGIN_MS)
            await asyncio.gather(*drains, *hang_up.reloads)
    finally:
        accepting.close()
        for watch in watches:
            watch.cancel()


async def _accepting(
    listener: socket.socket,
    make: Callable[[], Inbound],
    sharing: Sharing | None,
) -> Turns | asyncio.Server:
    if sharing is not None:
        sharing.tell_connections(0)
        return Turns(listener, make, sharing.is_turn)
    loop = asyncio.get_running_loop()
    return await loop.create_server(make, sock=listener, backlog=BACKLOG)


async def _accept_no_more(accepting: Turns | asyncio.Server) -> None:
    accepting.close()
    if isinstance(accepting, Turns):
        await accepting.settled()
