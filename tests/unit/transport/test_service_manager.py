"""What a daemon tells the service manager that started it."""

import asyncio
import contextlib
import logging
import os
import socket

import pytest

from lakehouse.transport.service_manager import ServiceManager


def test_it_is_told_what_it_asks_for(tmp_path) -> None:
    """And no child tells it in our name: the variables are taken."""
    address = str(tmp_path / "notify")
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000", "A": "b"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(address)
        manager = ServiceManager.taken_from(environment)
        assert environment == {"A": "b"}
        manager.ready()
        manager.stopping()

        async def twice_alive() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.015):  # a sign at once, and one each 10 ms
                    await manager.keep_alive()

        asyncio.run(twice_alive())
        told = [heard.recv(99) for _ in range(4)]
    assert told == [b"READY=1", b"STOPPING=1", b"WATCHDOG=1", b"WATCHDOG=1"]


def test_an_abstract_name_is_reached() -> None:
    name = f"lakehouse-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0{name}")
        ServiceManager.taken_from({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert heard.recv(99) == b"READY=1"


@pytest.mark.parametrize(
    "asked",
    [{}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}],
    ids=["no watchdog", "another's", "no number"],
)
def test_a_watchdog_that_is_not_ours_is_told_nothing(asked: dict[str, str]) -> None:
    """It ends at once."""
    asyncio.run(ServiceManager.taken_from(asked).keep_alive())


def test_a_manager_that_is_gone_stops_nothing(tmp_path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ServiceManager(str(tmp_path / "gone")).ready()
    assert "was not told READY=1: No such file" in caplog.text
