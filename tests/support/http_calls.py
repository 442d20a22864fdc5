"""Calls of the HTTP client to a raw server."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from lakehouse.transport.client import (
    HttpClient,
    HttpLimits,
    HttpReply,
    TransportFault,
)
from support.raw_server import Exchange

Run = Callable[[Coroutine[Any, Any, None]], None]
AMPLE = HttpLimits(60_000, 60_000, 60_000, 60_000, 1_000_000)


async def fine(exchange: Exchange) -> None:
    await exchange.reply({"fine": True})


async def post(
    client: HttpClient, url: str, limits: HttpLimits = AMPLE, **headers: str
) -> HttpReply:
    return await client.post(url, headers=headers, body=b'{"a":1}', limits=limits)


async def fault_of(client: HttpClient, url: str, limits: HttpLimits = AMPLE) -> TransportFault:
    with pytest.raises(TransportFault) as caught:
        await post(client, url, limits)
    return caught.value


def limited(**changes: int) -> HttpLimits:
    """Ample limits but for one, so that only that one can end the call."""
    members = {name: getattr(AMPLE, name) for name in AMPLE.__struct_fields__}
    return HttpLimits(**(members | changes))
