"""Runs one ASGI application on one socket: start, signals, drain, stop.

On SIGTERM, SIGHUP or Ctrl-C: stop accepting, let running work finish, cancel the rest shortly
before the drain limit so that it can still be answered and written, then stop. A second signal
cancels at once. A SIGHUP that `nohup` made ignored stays ignored.
"""

import asyncio
import contextlib
import functools
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvicorn

from lakehouse.core.errors import SetupError
from lakehouse.core.limits import ANSWER_SYSTEM_BYTES, DRAIN_MARGIN_MS
from lakehouse.transport.asgi import App
from lakehouse.transport.door import Door, DoorLimits
from lakehouse.transport.inbound import Inbound

Drain = Callable[[int], Awaitable[None]]
"""Drains a daemon; the argument is the wait before cancelling, in milliseconds."""

_BACKLOG = 2_048


def listen_on(host: str, port: int) -> socket.socket:
    """Bind a listening socket; port 0 picks a free one.

    Raises:
        SetupError: The address is in use, or does not belong to this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Connections inherit it. By default the system buffers megabytes for each slow caller.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ANSWER_SYSTEM_BYTES)
    try:
        listener.bind((host, port))
    except (OSError, UnicodeError) as error:  # UnicodeError: not a valid DNS name
        listener.close()
        raise SetupError(
            f"Cannot listen at {host}:{port}: {getattr(error, 'strerror', None) or error}.",
            hint="Stop what listens there, or set another `listen` address in the configuration.",
        ) from error
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


async def serve(
    app: App,
    listener: socket.socket,
    *,
    drain: Drain,
    drain_ms: int,
    on_ready: Callable[[], None],
    limits: DoorLimits | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP, then drain. Returns when every answer has been sent.

    Args:
        app: The application.
        listener: From `listen_on`; closed at the end.
        drain: Called with its time limit on the first signal, with 0 on the second.
        drain_ms: From the signal to the exit.
        on_ready: Called once connections are accepted.
        limits: Limits of connections; by default those of `core.limits`.
    """
    door = Door(limits or DoorLimits())
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    # uvicorn accepts any protocol factory, but its type asks for a class.
    protocol: Any = functools.partial(Inbound, door=door)
    server = _Server(
        uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=max(1, (drain_ms + DRAIN_MARGIN_MS) // 1000),
        ),
        on_ready,
    )
    drains: list[asyncio.Task[None]] = []

    def stop() -> None:
        patience_ms = 0 if server.should_exit else max(0, drain_ms - DRAIN_MARGIN_MS)
        server.should_exit = True
        drains.append(asyncio.create_task(_as_coroutine(drain(patience_ms))))

    loop = asyncio.get_running_loop()
    stops = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        stops.append(signal.SIGHUP)
    for number in stops:
        loop.add_signal_handler(number, stop)
    watch = asyncio.create_task(door.keep_watch())
    try:
        await server.serve(sockets=[listener])
        if drains:
            await asyncio.gather(*drains)
    finally:
        watch.cancel()
        for number in stops:
            loop.remove_signal_handler(number)


def _is_news(record: logging.LogRecord) -> bool:
    """Drop uvicorn's word on a body that was cut off: `stream.py` has logged why."""
    return "without completing response" not in record.msg


class _Server(uvicorn.Server):
    """uvicorn's server without its own signal handling, which would end the drain early."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()


async def _as_coroutine(awaitable: Awaitable[Any]) -> None:
    await awaitable
