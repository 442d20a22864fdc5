"""Hands listening sockets to a program, as systemd does, and hears what the program tells.

As a program: `python handed_socket.py DESCRIPTOR[,DESCRIPTOR] COMMAND…` becomes the command, with
the descriptors at 3 and up.
"""

import os
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path


def handing_over(*listeners: socket.socket) -> list[str]:
    """Give what comes before a command that gets these sockets, which it must inherit."""
    return [sys.executable, __file__, ",".join(str(each.fileno()) for each in listeners)]


class Heard:
    """A service manager that keeps what it is told. `address` is for `NOTIFY_SOCKET`."""

    def __init__(self, directory: Path) -> None:
        self.address = str(directory / "notify")
        self.told: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        threading.Thread(target=self._hear, daemon=True).start()

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(b"", self.address)

    def _hear(self) -> None:
        with self._socket:
            while data := self._socket.recv(4096):
                self.told.append(data.decode())


def _become(descriptors: Sequence[int], command: Sequence[str]) -> None:
    # Out of the way first: one may lie where another must go.
    away = [os.dup2(each, 200 + at) for at, each in enumerate(descriptors)]
    for at, each in enumerate(away):
        os.dup2(each, 3 + at)
        os.close(each)
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(descriptors))}
    os.execvp(command[0], list(command))


if __name__ == "__main__":
    _become([int(each) for each in sys.argv[1].split(",")], sys.argv[2:])
