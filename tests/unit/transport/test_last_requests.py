"""A daemon that stops answers what was sent before its caller could know."""

import asyncio
import contextlib
import signal

import pytest

from lakehouse.transport import daemon
from support.door import NEVER_MS, REQUEST, Served, ended, limits, with_limits


async def stop_accepting(served: Served) -> None:
    """Have it stopped; returns when nobody is let in any more."""
    signal.raise_signal(signal.SIGTERM)
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            _, writer = await served.connect()
            writer.close()
            await asyncio.sleep(0)


def test_what_was_sent_before_the_stop_was_known_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a connection that was idle, and on one that had not sent anything; then each closes."""
    monkeypatch.setattr(daemon, "LAST_REQUESTS_MS", NEVER_MS)

    async def use(served: Served) -> None:
        idle, to_idle = await served.connect()
        with contextlib.closing(to_idle):
            to_idle.write(REQUEST)
            first = await idle.readuntil(b"\r\n\r\n{}")
            fresh, to_fresh = await served.connect()
            with contextlib.closing(to_fresh):
                await stop_accepting(served)
                to_idle.write(REQUEST)
                to_fresh.write(REQUEST)
                last = [await ended(idle), await ended(fresh)]
        assert b"connection: close" not in first.lower()
        for answer in last:
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close" in answer.lower()

    with_limits(limits(), use)


def test_who_sends_nothing_does_not_hold_up_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "LAST_REQUESTS_MS", 50)

    async def use(served: Served) -> None:
        silent, writer = await served.connect()
        with contextlib.closing(writer):
            signal.raise_signal(signal.SIGTERM)
            assert await ended(silent) == b""

    with_limits(limits(), use)
