"""A daemon serves on the socket that was handed over to it, or refuses it and says why."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.core.errors import SetupError
from lakehouse.transport import listening
from lakehouse.transport.listening import listening_socket


def tcp(host: str = "127.0.0.1") -> socket.socket:
    listener = socket.create_server((host, 0))
    listener.set_inheritable(True)
    return listener


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A listening socket that lies where the first handed-over one is looked for."""
    listener = tcp()
    monkeypatch.setattr(listening, "_FIRST_FD", listener.fileno())
    yield listener
    listener.close()


def hand(monkeypatch: pytest.MonkeyPatch, given: socket.socket, count: str = "1") -> dict[str, str]:
    monkeypatch.setattr(listening, "_FIRST_FD", given.detach())
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count, "LISTEN_FDNAMES": "x", "A": "b"}


def taken(environment: dict[str, str], port: int, host: str = "127.0.0.1") -> socket.socket:
    return listening_socket(host, port, environment, loopback_only=True)


def refusal(environment: dict[str, str], port: int, host: str = "127.0.0.1") -> str:
    with pytest.raises(SetupError) as raised:
        taken(environment, port, host).close()
    assert environment == {"A": "b"}
    return str(raised.value)


def test_the_socket_handed_over_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """No child inherits it, nor the variables; a connection reaches it."""
    given = tcp()
    port = given.getsockname()[1]
    environment = hand(monkeypatch, given)
    with taken(environment, port) as listener:
        assert environment == {"A": "b"}
        assert listener.getsockname() == ("127.0.0.1", port)
        assert (listener.get_inheritable(), listener.getblocking()) == (False, False)
        with socket.create_connection(("127.0.0.1", port)):
            listener.setblocking(True)
            listener.accept()[0].close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_any_port_fits_port_zero(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    taken(hand(monkeypatch, tcp()), 0, host).close()


def test_what_is_for_another_process_is_left_alone(handed: socket.socket) -> None:
    """A parent that did not take it passed its variables on: the daemon binds."""
    environment = {"LISTEN_PID": str(os.getppid()), "LISTEN_FDS": "1", "A": "b"}
    with taken(environment, 0) as listener:
        assert environment == {"A": "b"}
        assert listener.fileno() != handed.fileno()
        assert listener.getsockname()[1] != handed.getsockname()[1]


def test_another_address_is_refused_and_both_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    given = tcp()
    port = given.getsockname()[1]
    told = refusal(hand(monkeypatch, given), port, "127.0.0.2")
    assert f"listens at 127.0.0.1:{port}" in told
    assert f"the configured address is 127.0.0.2:{port}" in told


def test_an_address_of_the_other_family_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(hand(monkeypatch, tcp()), 4110, "::1")
    assert "the configured address is [::1]:4110" in told


def test_a_socket_that_does_not_listen_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    assert "does not listen" in refusal(hand(monkeypatch, bound), 0)


def test_udp_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(hand(monkeypatch, socket.socket(type=socket.SOCK_DGRAM)), 0)
    assert "AF_INET and SOCK_DGRAM" in told


def test_a_unix_socket_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    assert "AF_UNIX and SOCK_STREAM" in refusal(hand(monkeypatch, listener), 0)


def test_two_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the first is served: what was meant cannot be known."""
    given = tcp()
    environment = hand(monkeypatch, given, "2")
    assert "2 sockets were handed over" in refusal(environment, 0)
    os.close(listening._FIRST_FD)


def test_what_is_no_socket_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = os.open(tmp_path, os.O_RDONLY)
    monkeypatch.setattr(listening, "_FIRST_FD", file)
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "A": "b"}
    assert "is not a socket" in refusal(environment, 0)
    os.close(file)


@pytest.mark.parametrize("count", ["", "-1", "one", "1e3"])
def test_a_number_that_is_none_is_refused(count: str) -> None:
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count, "A": "b"}
    assert "must be the number of sockets" in refusal(environment, 0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_reachable_socket_needs_keys(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """The socket's own address counts: here the configuration agrees with it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    given = socket.create_server((host, 0), family=family)
    assert "that needs API keys" in refusal(hand(monkeypatch, given), 0, host)


def test_with_keys_a_reachable_socket_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = hand(monkeypatch, tcp("0.0.0.0"))
    listening_socket("0.0.0.0", 0, environment, loopback_only=False).close()


def test_a_name_that_is_bound_elsewhere_needs_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """`localhost` is no proof: what the system makes of it is."""
    real = listening.listen_on
    monkeypatch.setattr(listening, "listen_on", lambda host, port: real("0.0.0.0", port))
    with pytest.raises(SetupError, match=r"0\.0\.0\.0:\d+, which other machines can reach"):
        taken({}, 0, "localhost").close()
