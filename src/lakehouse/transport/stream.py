"""A body that is made while it is sent: in pieces, until it ends, fails, or nobody takes it."""

import asyncio
import logging
from collections.abc import AsyncIterator

from lakehouse.transport.asgi import Receive, Send

_LOG = logging.getLogger(__name__)


async def send_pieces(pieces: AsyncIterator[bytes], receive: Receive, send: Send) -> None:
    """Send pieces as they come; the caller's own request was read whole.

    A caller that goes away ends what makes them; one that only closes its side is noticed with
    the next pieces. Where they fail, or the daemon stops, no end is sent: the server cuts the
    connection, so that nobody takes the part for the whole.
    """
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        while True:
            coming = asyncio.ensure_future(anext(pieces, None))
            try:
                await asyncio.wait({coming, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not coming.done():  # it is closed from inside: what it holds is let go
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
    except Exception:  # noqa: BLE001  the boundary: the status is sent, only the end can be left out
        _LOG.exception("an answer failed while it was sent")
        return
    finally:
        gone.cancel()
    await send({"type": "http.response.body", "body": b""})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
