"""Waiting for a daemon of ours beyond a call's deadline, but only while it lives.

How long a session may take is known where it runs: a model that loads has a budget of its own. So
the daemon that waits for it keeps to the deadline, and from then on asks the daemon whether it
lives. A stopped or hanging one does not say so, and holds nobody.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from lakehouse.core.limits import ALIVE_MS, ALIVE_PAUSE_MS
from lakehouse.transport.client import HttpClient, HttpLimits, HttpReply, TransportFault


class Silent(TransportFault):
    """A daemon that took the call did not say in time that it lives."""

    def __init__(self, url: str, patience_ms: int, alive_ms: int) -> None:
        super().__init__(
            "timeout_total",
            f"{url}: no answer to the call within {patience_ms} ms, and then none to /livez "
            f"within {alive_ms} ms",
        )


async def while_alive(
    call: Coroutine[Any, Any, HttpReply],
    *,
    http: HttpClient,
    url: str,
    patience_ms: int,
    alive_ms: int = ALIVE_MS,
) -> HttpReply:
    """Give the answer of a call to the daemon at `url`, whenever it comes while the daemon lives.

    Within `patience_ms` it is not asked whether it does; then it has `alive_ms` to say so, again
    and again. Cancelling ends the call.

    Raises:
        Silent: The daemon neither answered nor lives.
        TransportFault: As the call does.
    """
    task = asyncio.ensure_future(call)
    try:
        await asyncio.wait({task}, timeout=patience_ms / 1000)
        while not task.done():
            question = asyncio.ensure_future(_lives(http, url, alive_ms))
            try:
                await asyncio.wait({task, question}, return_when=asyncio.FIRST_COMPLETED)
                if not task.done() and not question.result():
                    raise Silent(url, patience_ms, alive_ms)
            finally:
                question.cancel()
            await asyncio.wait({task}, timeout=ALIVE_PAUSE_MS / 1000)
        return task.result()
    finally:
        task.cancel()


async def _lives(http: HttpClient, url: str, alive_ms: int) -> bool:
    limits = HttpLimits(alive_ms, alive_ms, alive_ms, alive_ms, 1 << 16)
    try:
        await http.get(url + "/livez", headers={}, limits=limits)
    except TransportFault as fault:
        # A daemon that ends takes no new connections, and answers what is under way; one that is
        # gone has closed the call's own connection too. Neither is silent.
        return not fault.kind.startswith("timeout")
    return True
