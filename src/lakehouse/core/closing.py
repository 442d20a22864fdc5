"""Closes several resources: each is tried even if another fails, and each failure is logged."""

import logging
from collections.abc import Awaitable, Callable, Mapping

_LOG = logging.getLogger(__name__)

Step = Callable[[], Awaitable[object]]


async def close_all(steps: Mapping[str, Step]) -> bool:
    """Close everything in order, by name.

    Returns whether all succeeded. A failure is logged, and the other steps still run. Cancellation
    and interrupts are raised again after the last step.
    """
    well = True
    interruption: BaseException | None = None
    for name, step in steps.items():
        try:
            await step()
        except Exception:  # noqa: BLE001  the boundary: the next ones must still be closed
            _LOG.exception("%s could not be closed", name)
            well = False
        except BaseException as error:  # noqa: BLE001  likewise; raised below
            interruption = error
    if interruption is not None:
        raise interruption
    return well
