"""A disk that fails, hangs and is full as it is told."""

import errno
import os
import threading
from collections import Counter
from pathlib import Path

from lakehouse.files.disk import Disk


class FaultyDisk(Disk):
    """The real disk, with faults that fire a number of times and are counted."""

    def __init__(self) -> None:
        self.fired: Counter[str] = Counter()
        self.short_writes = 0
        self.failing_syncs = 0
        self.writes_fail_with: int | None = None
        self.free_bytes: int | None = None
        self.syncs = 0
        self.writes: list[int] = []
        self.calls: list[str] = []
        self.gate: threading.Event | None = None
        self.in_sync = threading.Event()
        self.write_gate: threading.Event | None = None
        self.in_write = threading.Event()

    def write(self, descriptor: int, data: bytes) -> int:
        if self.writes_fail_with is not None:
            self.fired["write"] += 1
            raise OSError(self.writes_fail_with, os.strerror(self.writes_fail_with))
        self.writes.append(len(data))
        if self.write_gate is not None:
            self.in_write.set()
            assert self.write_gate.wait(60)
        if self.short_writes:
            self.short_writes -= 1
            self.fired["short"] += 1
            return super().write(descriptor, data[: len(data) // 2])
        return super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        self.calls.append("sync")
        self.in_sync.set()
        if self.gate is not None:
            assert self.gate.wait(60)
        if self.failing_syncs:
            self.failing_syncs -= 1
            self.fired["sync"] += 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync(descriptor)

    def sync_directory(self, path: Path) -> None:
        self.calls.append(f"sync {path.name}")
        super().sync_directory(path)

    def space(self, path: Path) -> tuple[int, int]:
        free_bytes, total_bytes = super().space(path)
        return (free_bytes if self.free_bytes is None else self.free_bytes), total_bytes
