"""How many processors this process may use."""

import contextlib
import math
import os
from pathlib import Path
from typing import Final

_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def usable_cpus() -> int:
    """Count the processors that the system gives this process, at least 1.

    A container's quota of processor time counts, too, rounded up.
    """
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # no such limit
        quota_us, period_us = _QUOTA.read_text("ascii").split()
        count = min(count, math.ceil(int(quota_us) / int(period_us)))
    return max(1, count)
