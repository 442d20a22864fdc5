"""Letting go of several things when any of them may fail: each is tried, each failure is told."""

import logging
from collections.abc import Awaitable, Callable, Mapping

_LOG = logging.getLogger(__name__)

Step = Callable[[], Awaitable[object]]


async def close_all(steps: Mapping[str, Step]) -> bool:
    """Take steps in order, by what they close.

    Says whether all went well. A failure is logged, and the rest goes on. Being cancelled, or
    interrupted, is passed on once every step was tried.
    """
    well = True
    interruption: BaseException | None = None
    for name, step in steps.items():
        try:
            await step()
        except Exception:  # noqa: BLE001  the boundary: what comes after must be closed all the same
            _LOG.exception("%s could not be closed", name)
            well = False
        except BaseException as error:  # noqa: BLE001  likewise; raised below
            interruption = error
    if interruption is not None:
        raise interruption
    return well
