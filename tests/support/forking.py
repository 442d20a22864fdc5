"""Forks of the tests' own process."""

import gc
import os


def fork() -> int:
    """Fork as `os.fork` does; the child collects no garbage.

    Objects of libraries that ran threads here cannot be taken down without these threads: a child
    that collects them crashes.
    """
    child = os.fork()
    if child == 0:
        gc.disable()
    return child
