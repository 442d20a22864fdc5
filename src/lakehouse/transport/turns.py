"""Accepts the connections of a socket that several workers listen on, so that each has as many.

The system alone would wake any of them, and mostly the same one.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final, Protocol

_LOG = logging.getLogger(__name__)

_AT_ONCE_MAX: Final = 16
_PASS_S: Final = 0.002
_TROUBLE_S: Final = 0.1  # until descriptors may be free again


class Sharing(Protocol):
    """The other processes that accept connections of the same socket."""

    def tell_connections(self, count: int) -> None:
        """Tell them how many connections this process has open."""
        ...

    def is_turn(self, accepted: int) -> bool:
        """Return whether this process takes the next one; `accepted` have not been told yet."""
        ...


class Turns:
    """Accepts while it is this worker's turn. Closes the socket at the end, here only."""

    def __init__(
        self,
        listener: socket.socket,
        make: Callable[[], asyncio.Protocol],
        is_turn: Callable[[int], bool],
    ) -> None:
        """Begin to accept.

        Args:
            listener: It listens already, and does not block.
            make: Makes the protocol of a connection.
            is_turn: Returns whether this worker takes the next connection; it is given how many
                were accepted that `make` has not been asked for.
        """
        self._listener = listener
        self._make = make
        self._is_turn = is_turn
        self._loop = asyncio.get_running_loop()
        self._accepted: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._loop.add_reader(listener.fileno(), self._look)

    def close(self) -> None:
        """Accept no more; connections accepted just before are served."""
        if self._listener.fileno() < 0:
            return
        if self._pause is None:
            self._loop.remove_reader(self._listener.fileno())
        else:
            self._pause.cancel()
        self._listener.close()

    async def settled(self) -> None:
        """Wait until each connection that was accepted has its protocol."""
        if self._accepted:
            await asyncio.wait(self._accepted)

    def _look(self) -> None:
        for _ in range(_AT_ONCE_MAX):
            if not self._is_turn(len(self._accepted)):
                self._rest(_PASS_S)
                return
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                _LOG.error("no connection can be accepted: %s", error.strerror)
                self._rest(_TROUBLE_S)
                return
            task = self._loop.create_task(self._begin(connection))
            self._accepted.add(task)
            task.add_done_callback(self._accepted.discard)

    async def _begin(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(self._make, connection)
        except OSError:  # it is gone already
            connection.close()

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._pause = self._loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener.fileno(), self._look)
