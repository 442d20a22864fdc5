"""What the processes of an index are given when they start."""

from typing import Final

import msgspec

EXIT_STALE: Final = 75
"""The log has another table since it began, or its memory is used up: a new process is needed."""


class ReaderTask(msgspec.Struct, frozen=True):
    """The first message: the log, its index, and what the process may use."""

    root: str
    place: str
    spill_directory: str
    memory_bytes: int
    threads: int


class BuildTask(msgspec.Struct, frozen=True):
    """The input on stdin: the log, its index."""

    root: str
    place: str
