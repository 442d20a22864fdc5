"""Tells a service manager, such as systemd, when a daemon is ready, alive and stopping.

The protocol is that of `sd_notify(3)`: datagrams to the socket that `NOTIFY_SOCKET` names.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import MutableMapping
from typing import Final

from lakehouse.core.integers import whole_number

_LOG = logging.getLogger(__name__)

_VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_USEC_MAX: Final = 10**15


class ServiceManager:
    """What to tell, and whom; nobody if no service manager asks for it.

    A manager that cannot be told is no reason to stop: it decides itself what follows.
    """

    def __init__(self, address: str | None = None, *, watchdog_s: float | None = None) -> None:
        """Tell `address`; it ends the process after `watchdog_s` without a sign of life."""
        self._address = address
        self._watchdog_s = watchdog_s

    @classmethod
    def taken_from(cls, environment: MutableMapping[str, str]) -> "ServiceManager":
        """Take the manager's variables out of the environment, so that no child tells it."""
        address, usec, process = (environment.pop(name, None) for name in _VARIABLES)
        number = None if usec is None else whole_number(usec, _USEC_MAX)
        asked = number and process in (None, str(os.getpid()))
        return cls(address, watchdog_s=number / 1e6 if number and asked else None)

    def ready(self) -> None:
        """Say that requests are served."""
        self._tell("READY=1")

    def stopping(self) -> None:
        """Say that the daemon is about to end."""
        self._tell("STOPPING=1")

    async def keep_alive(self) -> None:
        """Say that the event loop runs, as often as the manager's watchdog asks for, for ever."""
        if self._watchdog_s is None:
            return
        while True:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_s / 2)

    def _tell(self, state: str) -> None:
        if self._address is None:
            return
        # "@" stands for the zero byte of Linux's abstract names.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as teller:
            teller.setblocking(False)
            try:
                teller.sendto(state.encode(), address)
            except OSError as error:
                _LOG.warning("the service manager was not told %s: %s", state, error.strerror)
