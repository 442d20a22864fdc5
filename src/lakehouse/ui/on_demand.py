"""The pages of a daemon, imported and built for the first request that asks for one.

Most daemons are asked for none. Starlette, Jinja and the pages would take a quarter of the start of
each, and 7 MB.
"""

import asyncio
import gc
from collections.abc import Callable
from typing import TYPE_CHECKING

from lakehouse.core.installed import check_installed
from lakehouse.transport.asgi import Receive, Scope, Send

if TYPE_CHECKING:
    from lakehouse.ui.application import Pages


class PagesOnDemand:
    """An ASGI application: the first request waits until the pages are there, 0.2 s."""

    def __init__(self, build: "Callable[[], Pages]") -> None:
        """Take what imports and builds the pages. It is called once, in a thread.

        If it raises, so does the request, and the next one tries again.

        Raises:
            SetupError: A package that pages need is not installed.
        """
        check_installed("The browser's pages", "jinja2", "markupsafe", "starlette")
        self._build = build
        self._building: asyncio.Task[Pages] | None = None
        self._pages: Pages | None = None
        self._stopped = False

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        pages = self._pages or await self._built()
        await pages.app(scope, receive, send)

    def stop(self) -> None:
        """Stop the pages, also those that are being built: see `Pages.stop`."""
        self._stopped = True
        if self._pages is not None:
            self._pages.stop()

    async def close(self) -> None:
        """Stop, and end the processes that read the log."""
        self.stop()
        if self._building is not None:
            await asyncio.wait({self._building})
        if self._pages is not None:
            await asyncio.to_thread(self._pages.close)

    async def _built(self) -> "Pages":
        if self._building is None or self._building.done():
            self._building = asyncio.create_task(self._load())
        return await asyncio.shield(self._building)  # others wait for it too

    async def _load(self) -> "Pages":
        pages = await asyncio.to_thread(self._build)
        if gc.get_freeze_count():
            gc.freeze()  # a process that keeps what its start made out of collections keeps these
        if self._stopped:
            pages.stop()
        self._pages = pages
        return pages
