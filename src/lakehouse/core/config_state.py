"""Which configuration a daemon serves, and why no newer one."""

from typing import Literal

import msgspec

ConfigWord = Literal["current", "stale"]
"""`stale`: a newer one could not be read."""


class ConfigState(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration that is served.

    `digest` is that of its rows, `loaded_at` when it was read, in UTC. `stale`: a reload failed,
    and `reason` says why; what was served before still is.
    """

    config: ConfigWord = "current"
    digest: str
    loaded_at: str
    reason: str | None = None
