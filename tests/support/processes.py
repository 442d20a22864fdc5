"""What tests must know of processes that are not their own children."""

import os
import select
import time
from pathlib import Path


def descendants(process: int) -> set[int]:
    """Give the ids of all processes below one, those that are zombies aside."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if stat[0] != "Z":
                parents[int(entry.name)] = int(stat[1])
    found = {process}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process}


def wait_ended(processes: set[int], *, within_s: float = 30.0) -> set[int]:
    """Wait until all have ended; those that have not in time."""
    until = time.monotonic() + within_s
    left = set()
    for process in processes:
        try:
            descriptor = os.pidfd_open(process)
        except ProcessLookupError:
            continue
        try:
            if not select.select([descriptor], [], [], max(0.0, until - time.monotonic()))[0]:
                left.add(process)
        finally:
            os.close(descriptor)
    return left


def children_of(pid: int) -> list[int]:
    """The children of all threads of a process, the oldest first."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return sorted(int(child) for each in lists for child in each.read_text().split())
