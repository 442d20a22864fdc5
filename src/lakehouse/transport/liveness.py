"""Waits for an inner daemon beyond a call's deadline, but only while the daemon is alive.

Only the daemon that runs a session knows how long it may take: a loading model has a budget of its
own. So the caller waits for the deadline, and after that polls the daemon's `/livez`. A stopped or
hanging daemon does not answer, and the wait ends.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from lakehouse.core.limits import ALIVE_MS, ALIVE_PAUSE_MS
from lakehouse.transport.client import HttpClient, HttpLimits, HttpReply, TransportFault


class Silent(TransportFault):
    """A daemon that accepted the call did not answer the liveness check in time."""

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
    """Return the answer of a call to the daemon at `url`, waiting as long as the daemon is alive.

    Liveness is checked only after `patience_ms`, then repeatedly with a timeout of `alive_ms`.
    Cancelling ends the call.

    Raises:
        Silent: The daemon neither answered nor passed a liveness check.
        TransportFault: As the call raises it.
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
        # A daemon that shuts down accepts no connections but answers running requests; if it has
        # exited, the call's own connection is closed too. Neither counts as silent.
        return not fault.kind.startswith("timeout")
    return True
