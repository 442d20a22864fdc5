"""Sends a body in pieces while it is produced, until it ends, fails, or the caller disconnects."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Final

from lakehouse.core.errors import infra_status
from lakehouse.transport.exchange import Exchange

_LOG = logging.getLogger(__name__)

_CRASHED: Final = infra_status("crashed")
_STOPPED: Final = infra_status("shutdown")


class ToldFailure(Exception):
    """Ends a body whose pieces tell a failure already: the caller must not take it for whole.

    `status` is the one that the failure would have had before the body began.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


async def send_pieces(pieces: AsyncGenerator[bytes], exchange: Exchange) -> int | None:
    """Send pieces as they arrive, and close the generator; the request has been read completely.

    A caller that only closes its side is noticed with the next pieces. Unless the body is whole no
    end is sent: the server closes the connection, so that the caller sees that it is incomplete.

    Returns:
        The status that a failed body counts as; None if the one that was sent holds.
    """
    gone = asyncio.ensure_future(_disconnected(exchange))
    try:
        while not gone.done():
            coming = asyncio.ensure_future(anext(pieces, None))
            try:
                await asyncio.wait({coming, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not coming.done():  # cancelling closes the generator and frees what it holds
                    coming.cancel()
                    await asyncio.wait({coming})
                if not coming.cancelled():
                    coming.exception()  # marks it as retrieved: this task may be cancelled as well
            if coming.cancelled():
                break
            piece = coming.result()
            if piece is None:
                await exchange.end()
                return None
            await exchange.send(piece)
    except asyncio.CancelledError:
        _LOG.warning("an answer was cut off, since the daemon stops")
        return _STOPPED
    except ToldFailure as told:
        _LOG.warning("an answer ended with a failure: %s", told)
        return told.status
    except Exception:  # noqa: BLE001  the boundary: the status is sent already
        _LOG.exception("an answer failed while it was sent")
        return _CRASHED
    finally:
        gone.cancel()
        await pieces.aclose()
    return None


async def _disconnected(exchange: Exchange) -> None:
    while not exchange.gone:
        await exchange.arrival()
