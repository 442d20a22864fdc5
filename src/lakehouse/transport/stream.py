"""Sends a body in pieces while it is produced, until it ends, fails, or the caller disconnects."""

import asyncio
import logging
from collections.abc import AsyncIterator

from lakehouse.transport.asgi import Receive, Send

_LOG = logging.getLogger(__name__)


async def send_pieces(pieces: AsyncIterator[bytes], receive: Receive, send: Send) -> None:
    """Send pieces as they arrive; the request has been read completely.

    If the caller disconnects, the iterator is closed; if it only closes its side, that is noticed
    with the next pieces. If the iterator fails, or the daemon stops, no end is sent: the server
    closes the connection, so that the caller sees that the body is incomplete.
    """
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        while True:
            coming = asyncio.ensure_future(anext(pieces, None))
            try:
                await asyncio.wait({coming, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not coming.done():  # cancelling closes the iterator and frees what it holds
                    coming.cancel()
                    await asyncio.wait({coming})
            if coming.cancelled():
                return
            piece = coming.result()
            if piece is None:
                break
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except asyncio.CancelledError:
        _LOG.warning("an answer was cut off, since the daemon stops")
        return
    except Exception:  # noqa: BLE001  the boundary: the status is sent already
        _LOG.exception("an answer failed while it was sent")
        return
    finally:
        gone.cancel()
    await send({"type": "http.response.body", "body": b""})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
