"""What the process that starts the workers tells each of them."""

from typing import Final, Literal

import msgspec

from lakehouse.cli.daemon_line import LogLevel
from lakehouse.workers.siblings import Descriptors

MODELS_KEY: Final = "LAKEHOUSE_WORKERS_MODELS_KEY"
MODELS_KEYS: Final = "LAKEHOUSE_WORKERS_MODELS_KEYS"
"""Variables with the two halves of the key between workers and the process with their models."""


class WorkerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One member of a group of workers.

    `role`: `up` is a worker; `chatd` owns the models of all, at `models_url`, which is null where
    each worker calls them itself. `place` counts all members from 0, `wanted` only workers.
    """

    role: Literal["up", "chatd"]
    config: str | None
    log_level: LogLevel
    place: int
    wanted: int
    models_url: str | None
    descriptors: Descriptors
