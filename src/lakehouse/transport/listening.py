"""The listening socket of a daemon: handed over by what started it, or bound here.

A socket that another process keeps open outlives the daemon: while one daemon stops and the next
one starts, connections wait in the socket instead of being refused. It is handed over as systemd
does it (`sd_listen_fds(3)`): `LISTEN_FDS` descriptors, from 3 up, for the process `LISTEN_PID`.
"""

import contextlib
import os
import socket
from collections.abc import MutableMapping
from ipaddress import ip_address
from typing import Final

from lakehouse.core.errors import SetupError
from lakehouse.core.integers import whole_number
from lakehouse.core.limits import ANSWER_SYSTEM_BYTES

BACKLOG: Final = 2_048
_FIRST_FD: Final = 3
_FDS_MAX: Final = 1_024
_COUNT: Final = "LISTEN_FDS"
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_PIDFDID", _COUNT, "LISTEN_FDNAMES")
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
_HINT: Final = (
    "Hand over one listening TCP socket, at the address that the configuration names by `listen`: "
    "one ListenStream= in the socket unit."
)


def listening_socket(
    host: str, port: int, environment: MutableMapping[str, str], *, loopback_only: bool
) -> socket.socket:
    """Return the one socket that was handed over to this process, else bind one.

    Call it before any child is started: it takes the variables of the hand-over out of
    `environment`, and no child inherits the descriptors.

    Args:
        host: The configured address or name.
        port: The configured port; 0 is any.
        environment: The process's own.
        loopback_only: Whether a socket that other machines can reach is refused; it is judged by
            its own address, not by the configured one.

    Raises:
        SetupError: The address cannot be bound; or what was handed over is not exactly one
            listening TCP socket at this address; or other machines can reach it.
    """
    count = _handed_count(environment)
    listener = _handed(host, port, count) if count else listen_on(host, port)
    address = listener.getsockname()[0]
    if loopback_only and not ip_address(address.partition("%")[0]).is_loopback:
        shown = _shown(listener)
        listener.close()
        raise SetupError(
            f"The socket listens at {shown}, which other machines can reach: that needs API keys.",
            hint='Set `api_keys_env = "LAKEHOUSE_API_KEYS"` under [gateway], or listen at '
            "127.0.0.1.",
        )
    return listener


def listen_on(host: str, port: int) -> socket.socket:
    """Bind a listening socket; port 0 picks a free one.

    Raises:
        SetupError: The address is in use, or does not belong to this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, UnicodeError) as error:  # UnicodeError: not a valid DNS name
        listener.close()
        raise SetupError(
            f"Cannot listen at {host}:{port}: {getattr(error, 'strerror', None) or error}.",
            hint="Stop what listens there, or choose another address, by `listen` or --listen.",
        ) from error
    listener.listen(BACKLOG)
    return _prepared(listener)


def _handed_count(environment: MutableMapping[str, str]) -> int:
    """Take the hand-over's variables; return how many descriptors are for this process."""
    taken = {name: environment.pop(name, None) for name in _VARIABLES}
    process, count = taken["LISTEN_PID"], taken[_COUNT]
    if process != str(os.getpid()):  # for another process, which started us without taking them
        return 0
    number = None if count is None else whole_number(count, _FDS_MAX)
    if number is None:
        raise SetupError(
            f"${_COUNT} is {count!r}; it must be the number of sockets handed over.", hint=_HINT
        )
    for descriptor in range(_FIRST_FD, _FIRST_FD + number):
        with contextlib.suppress(OSError):  # not open: told where it is used
            os.set_inheritable(descriptor, False)
    return number


def _handed(host: str, port: int, count: int) -> socket.socket:
    """Return the socket that was handed over, if it is what the configuration asks for."""
    if count > 1:
        raise SetupError(f"{count} sockets were handed over; it must be one.", hint=_HINT)
    try:
        listener = socket.socket(fileno=_FIRST_FD)
    except OSError as error:
        raise SetupError(
            f"Descriptor {_FIRST_FD}, which was handed over, is not a socket: {error.strerror}.",
            hint=_HINT,
        ) from error
    fault = None
    if listener.family not in _FAMILIES or listener.type != socket.SOCK_STREAM:
        fault = f"is of {listener.family.name} and {listener.type.name}; it must be of TCP"
    elif not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        fault = "does not listen"
    elif not _is_at(listener, host, port):
        fault = f"listens at {_shown(listener)}, but the configured address is {_at(host, port)}"
    if fault is not None:
        listener.close()
        raise SetupError(f"The socket that was handed over {fault}.", hint=_HINT)
    return _prepared(listener)


def _is_at(listener: socket.socket, host: str, port: int) -> bool:
    try:
        found = socket.getaddrinfo(host, port, listener.family, socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # it has no address of this family
        return False
    own_host, own_port = listener.getsockname()[:2]
    return any(own_host == each[4][0] for each in found) and port in (0, own_port)


def _prepared(listener: socket.socket) -> socket.socket:
    # Connections inherit it. By default the system buffers megabytes for each slow caller.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ANSWER_SYSTEM_BYTES)
    listener.setblocking(False)
    return listener


def _shown(listener: socket.socket) -> str:
    return _at(*listener.getsockname()[:2])


def _at(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
