"""The names that forms offer: asked while nobody else asks, so that no page waits for them."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Final

from lakehouse.core.errors import LakehouseError
from lakehouse.sessionlog.index.names import Name, Names
from lakehouse.ui.reading import LogReadings

Offers = Mapping[str, tuple[str, ...]]
"""The names to offer, by the member of the filter that they are values of."""

_KEPT_S: Final = 30.0
_WAIT_S: Final = 0.15  # of the page that asks first; a large log takes longer, and offers later
_OFFERED_MAX: Final = 50
_CHARS_MAX: Final = 200
_LISTS: Final = {
    "kind": "kinds",
    "model": "models",
    "provider": "providers",
    "daemon": "daemons",
    "api_key": "api_keys",
    "code": "codes",
    "path": "paths",
    "kind_digest": "kind_digests",
}


class OfferedNames:
    """The names of one log, some seconds old."""

    def __init__(self, readings: LogReadings) -> None:
        self._readings = readings
        self._known: Offers = {}
        self._old_at_s = 0.0
        self._asking: asyncio.Future[None] | None = None

    async def offers(self) -> Offers:
        """Return the names as they are known; the first page waits a moment for them."""
        now_s = asyncio.get_running_loop().time()
        idle = self._asking is None or self._asking.done()
        if idle and now_s >= self._old_at_s and not self._readings.is_busy:
            self._asking = asyncio.ensure_future(self._ask())
        if not self._known and self._asking is not None:
            await asyncio.wait([self._asking], timeout=_WAIT_S)
        return self._known

    async def _ask(self) -> None:
        self._old_at_s = asyncio.get_running_loop().time() + _KEPT_S
        # A log that cannot be read is told by the page itself.
        with contextlib.suppress(LakehouseError):
            names = await self._readings.ask(lambda reader: reader.names(), "names")
            self._known = _offers(names)


def _offers(names: Names) -> Offers:
    found: dict[str, tuple[str, ...]] = {}
    for member, listed in _LISTS.items():
        given: tuple[Name, ...] = getattr(names, listed)
        short = [one.name for one in given if 0 < len(one.name) <= _CHARS_MAX]
        if short:
            found[member] = tuple(short[:_OFFERED_MAX])
    return found
