"""Bodies sent in pieces: what becomes of one that fails while the daemon stops."""

import asyncio
import gc
from collections.abc import AsyncGenerator
from typing import Any

from lakehouse.transport.stream import ToldFailure, send_pieces
from support.asgi_exchange import bare_exchange


def test_a_failure_at_the_moment_of_the_stop_is_no_ones_complaint():
    """The request is cancelled when its last piece has just failed: nothing is left unread."""
    complaints: list[dict[str, Any]] = []

    async def scenario() -> int | None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, about: complaints.append(about))
        gate, sent = asyncio.Event(), asyncio.Event()

        async def pieces() -> AsyncGenerator[bytes]:
            yield b"begun"
            await gate.wait()
            raise ToldFailure("it failed", 503)

        async def send(_: Any) -> None:
            sent.set()

        async def receive() -> Any:
            await asyncio.Event().wait()

        sending = asyncio.ensure_future(send_pieces(pieces(), bare_exchange(receive, send)))
        await sent.wait()
        await asyncio.sleep(0)  # it waits for the next piece
        await asyncio.sleep(0)
        gate.set()
        await asyncio.sleep(0)  # the piece fails
        sending.cancel()
        return await sending

    status = asyncio.run(scenario())
    gc.collect()

    assert status == 503
    assert complaints == []
