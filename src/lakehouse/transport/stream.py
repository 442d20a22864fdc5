"""Sends a body in pieces while it is produced, until it ends, fails, or the caller disconnects."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Literal

from lakehouse.transport.asgi import Receive, Send

_LOG = logging.getLogger(__name__)

StreamEnd = Literal["whole", "gone", "failed", "stopped"]
"""How a body ended: sent, the caller disconnected, its generator failed, the daemon stops."""


async def send_pieces(pieces: AsyncGenerator[bytes], receive: Receive, send: Send) -> StreamEnd:
    """Send pieces as they arrive, and close the generator; the request has been read completely.

    A caller that only closes its side is noticed with the next pieces. Unless the body is whole no
    end is sent: the server closes the connection, so that the caller sees that it is incomplete.
    """
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        while not gone.done():
            coming = asyncio.ensure_future(anext(pieces, None))
            try:
                await asyncio.wait({coming, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not coming.done():  # cancelling closes the generator and frees what it holds
                    coming.cancel()
                    await asyncio.wait({coming})
            if coming.cancelled():
                break
            piece = coming.result()
            if piece is None:
                await send({"type": "http.response.body", "body": b""})
                return "whole"
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except asyncio.CancelledError:
        _LOG.warning("an answer was cut off, since the daemon stops")
        return "stopped"
    except Exception:  # noqa: BLE001  the boundary: the status is sent already
        _LOG.exception("an answer failed while it was sent")
        return "failed"
    finally:
        gone.cancel()
        await pieces.aclose()
    return "gone"


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
