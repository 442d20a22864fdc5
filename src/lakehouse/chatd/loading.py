"""One load of a model, shared by all waiting callers.

A load is not cancelled when a caller disconnects or its budget ends: aborting it would waste the
work, and with Ollama start it over. Only closing the service ends it.
"""

import asyncio
import contextlib
from collections.abc import Callable

from lakehouse.core.errors import InfraError
from lakehouse.providers.provider import Provider, ProviderFault


class ModelLoad:
    """Whether a model is loaded, and the task that loads it.

    `on_fault` is called once per failed load, however many callers wait for it.
    """

    def __init__(self, provider: Provider, on_fault: Callable[[ProviderFault], None]) -> None:
        self._provider = provider
        self._on_fault = on_fault
        self._task: asyncio.Task[None] | None = None
        self.loaded = False

    @property
    def loading(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self) -> asyncio.Task[None]:
        """Start loading, or join the running load."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._load())
            # Nothing awaits a preload; reading the exception marks it as retrieved.
            self._task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._task

    def forget(self) -> None:
        """Mark the model as not loaded: its server said so, or may have restarted."""
        self.loaded = False

    async def wait(self, budget_ms: float) -> bool:
        """Wait until the model is loaded; returns False if the budget ends first.

        Raises:
            ProviderFault: The load failed.
        """
        task = self.start()
        # `asyncio.wait` never cancels the task, neither on timeout nor when we are cancelled.
        # At least one millisecond lets a load that has nothing to do finish.
        await asyncio.wait({task}, timeout=max(1.0, budget_ms) / 1000)
        if not task.done():
            return False
        if task.cancelled():
            raise InfraError("shutdown", "The daemon stopped while the model was loading.")
        task.result()
        return True

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, InfraError):
                await self._task

    async def _load(self) -> None:
        try:
            await self._provider.load()
        except ProviderFault as fault:
            self._on_fault(fault)
            raise
        self.loaded = True
