"""What runs now, sent to browsers as it changes (server-sent events)."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Final

import msgspec

from lakehouse.admission.admission import UnderWay
from lakehouse.core.chat import ModelStatus
from lakehouse.core.errors import LakehouseError, Refusal
from lakehouse.transport.asgi import HALF_CLOSED_STATE
from lakehouse.transport.health import log_state
from lakehouse.ui.address import Address
from lakehouse.ui.rendering import fragment
from lakehouse.ui.sources import PageSources, StackView

_EVERY_S: Final = 1.0
_MODELS_S: Final = 5.0
_ALIVE_S: Final = 15.0
_VIEWERS_MAX: Final = 64
_SHOWN_MAX: Final = 50


class Now(msgspec.Struct, frozen=True, kw_only=True):
    """The stack at this moment. `log` is `writable`, or why it is not.

    `sessions` are the oldest of those that run; `running` is how many there are.
    """

    models: tuple[ModelStatus, ...]
    models_fault: str | None
    log: str
    running: int
    sessions: tuple[UnderWay, ...]


class LiveFeed:
    """Watches the stack of this process, once for all viewers."""

    def __init__(self, sources: PageSources) -> None:
        self._sources = sources
        self._stopped = asyncio.Event()
        self._viewers = 0
        self._models: tuple[tuple[ModelStatus, ...], str | None] | None = None
        self._models_until_s = 0.0
        self._asking = asyncio.Lock()
        self._panel, self._panel_until_s = "", 0.0

    def stop(self) -> None:
        """End all streams."""
        self._stopped.set()

    def admit(self) -> None:
        """Accept one viewer more.

        Raises:
            Refusal: `not_found`: there is no stack; `rate_limited`: too many views are open.
        """
        if self._sources.stack is None:
            raise Refusal("not_found", "These pages show a log without its stack.")
        if self._viewers >= _VIEWERS_MAX:
            raise Refusal("rate_limited", f"{_VIEWERS_MAX} live views are open.", retry_after_s=5)

    async def now(self) -> Now | None:
        """Return the stack's state; None where there is no stack."""
        stack = self._sources.stack
        return None if stack is None else await self._state(stack)

    async def events(self, state: Mapping[str, object]) -> AsyncIterator[bytes]:
        """Yield the panel as HTML whenever it has changed, and a sign of life now and then.

        It ends once the viewer is gone, as the `state` of its request says.
        """
        if self._viewers >= _VIEWERS_MAX:  # they were admitted at the same moment
            return
        self._viewers += 1
        try:
            sent, sent_s = "", 0.0
            while not self._stopped.is_set() and HALF_CLOSED_STATE not in state:
                panel = await self._shown()
                now_s = time.monotonic()
                if panel != sent:
                    sent, sent_s = panel, now_s
                    lines = "".join(f"data: {line}\n" for line in panel.splitlines())
                    yield f"event: now\n{lines}\n".encode()
                elif now_s - sent_s > _ALIVE_S:
                    sent_s = now_s
                    yield b": alive\n\n"
                try:
                    async with asyncio.timeout(_EVERY_S):
                        await self._stopped.wait()
                except TimeoutError:
                    continue
        finally:
            self._viewers -= 1

    async def _shown(self) -> str:
        """Return the panel as HTML, at most `_EVERY_S` old: all viewers get the same one."""
        if time.monotonic() >= self._panel_until_s:
            self._panel_until_s = time.monotonic() + _EVERY_S / 2
            self._panel = fragment("now.html", await self.now(), Address(""))
        return self._panel

    async def _state(self, stack: StackView) -> Now:
        under_way = await stack.under_way()
        models, fault = await self._known_models(stack)
        return Now(
            models=models,
            models_fault=fault,
            log=log_state(stack.sink),
            running=len(under_way),
            sessions=tuple(under_way[:_SHOWN_MAX]),
        )

    async def _known_models(self, stack: StackView) -> tuple[tuple[ModelStatus, ...], str | None]:
        if self._models is not None and self._asking.locked():
            return self._models  # the new ones are not here yet
        async with self._asking:
            if self._models is None or time.monotonic() >= self._models_until_s:
                try:
                    self._models = (await stack.chat.models(), None)
                except LakehouseError as error:
                    self._models = ((), error.public)
                self._models_until_s = time.monotonic() + _MODELS_S
        return self._models
