"""Counts of several processes in memory that all share.

Each name has one cell for each worker, and its count is the sum, so that the cells of a worker that
was killed can be set to zero. Only near its limit a name is locked for a change: far from it a
change is made and looked at again. The system releases the lock of a process that ends.
"""

import contextlib
import fcntl
import hashlib
import mmap
import os
import struct
import tempfile
from collections.abc import Iterator, Sequence
from typing import Final

WORKERS_MAX: Final = 64
NAMES_MAX: Final = 256

_DIGEST_BYTES: Final = 16
_CELL: Final = struct.Struct("<I")
_CELLS_BYTES: Final = WORKERS_MAX * _CELL.size
_ROW_BYTES: Final = _DIGEST_BYTES + 2 * _CELLS_BYTES  # held by each worker, waited for by each
_BYTES: Final = NAMES_MAX * _ROW_BYTES
_UNUSED: Final = bytes(_DIGEST_BYTES)


def new_memory() -> int:
    """Make the memory of a group of workers; returns its descriptor, which they inherit."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("lakehouse-workers")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, _BYTES)
    return descriptor


class SharedCounts:
    """The counts, as one worker sees them.

    Cost: about 1 µs for a change; near the limit two system calls more.
    """

    def __init__(self, descriptor: int, worker: int, wakes: Sequence[int]) -> None:
        """Map the memory.

        Args:
            descriptor: From `new_memory`.
            worker: The number of this process, from 0.
            wakes: One pipe's end for each worker: a byte wakes it to look again.
        """
        self._descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _BYTES)
        self._worker = worker
        self._wakes = wakes
        self._rows: dict[str, int] = {}

    def take(self, name: str, most: int, *, wait: bool = False) -> bool:
        """Add one to this worker's cell, if the sum stays within `most`.

        `wait`: if it does not, this worker is woken when another one gives back. All users of a
        name that wait must have the same `most`.
        """
        row = self._row(name)
        if self._is_far_from(row, most):
            self._add(row, 1)
            if sum(self._cells(row)) <= most:
                return True
            self._add(row, -1)  # this process was held up between the look and the change
        with self._lock(row):
            if sum(self._cells(row)) < most:
                self._add(row, 1)
                return True
            if wait:
                _CELL.pack_into(self._memory, self._waiting_at(row, self._worker), 1)
            return False

    def give_back(self, name: str, most: int) -> bool:
        """Take one from this worker's cell; returns whether other workers were woken for it.

        Far from the limit none waits: who does has seen it reached, and those that give back until
        it is far again take the lock and wake it.
        """
        row = self._row(name)
        if self._is_far_from(row, most):
            self._add(row, -1)
            return False
        with self._lock(row):
            self._add(row, -1)
            waiting = [
                worker
                for worker, flag in enumerate(self._cells(row + _CELLS_BYTES))
                if flag and worker != self._worker
            ]
        self._wake(waiting)
        return bool(waiting)

    def stop_waiting(self, name: str) -> None:
        """Say that nothing of this worker waits any more."""
        row = self._row(name)
        with self._lock(row):
            _CELL.pack_into(self._memory, self._waiting_at(row, self._worker), 0)

    def total(self, name: str) -> int:
        """Return the sum over all workers."""
        return sum(self._cells(self._row(name)))

    def publish(self, name: str, number: int) -> None:
        """Set this worker's cell, for `published`; do not mix with `take`."""
        start = self._row(name)
        _CELL.pack_into(self._memory, start + self._worker * _CELL.size, number + 1)

    def published(self, name: str) -> list[int]:
        """Return what the other workers that run have published."""
        cells = enumerate(self._cells(self._row(name)))
        return [cell - 1 for worker, cell in cells if cell and worker != self._worker]

    def bury(self, worker: int) -> None:
        """Give back all that a worker held that has ended, and wake the others."""
        for number in range(NAMES_MAX):
            row = number * _ROW_BYTES + _DIGEST_BYTES
            with self._lock(row):
                at = row + worker * _CELL.size
                _CELL.pack_into(self._memory, at, 0)
                _CELL.pack_into(self._memory, at + _CELLS_BYTES, 0)
        self._wake(range(len(self._wakes)))

    def close(self) -> None:
        self._memory.close()
        os.close(self._descriptor)

    def _wake(self, workers: Sequence[int]) -> None:
        for worker in workers:
            with contextlib.suppress(BlockingIOError):  # it has been woken, and has not looked yet
                os.write(self._wakes[worker], b"w")

    def _cells(self, start: int) -> tuple[int, ...]:
        count = len(self._wakes)
        return struct.unpack_from(f"<{count}I", self._memory, start)

    def _add(self, row: int, number: int) -> None:
        at = row + self._worker * _CELL.size
        [now] = _CELL.unpack_from(self._memory, at)
        _CELL.pack_into(self._memory, at, now + number)

    @staticmethod
    def _waiting_at(row: int, worker: int) -> int:
        return row + _CELLS_BYTES + worker * _CELL.size

    def _is_far_from(self, row: int, most: int) -> bool:
        """Return whether all workers could add two more at once."""
        return sum(self._cells(row)) + 2 * len(self._wakes) <= most

    def _row(self, name: str) -> int:
        """Return the place of a name's first cell."""
        row = self._rows.get(name)
        if row is None:
            row = self._rows[name] = self._found(name) + _DIGEST_BYTES
        return row

    @contextlib.contextmanager
    def _lock(self, start: int) -> Iterator[None]:
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1, start)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, start)

    def _found(self, name: str) -> int:
        """Find the row of a name, or take an unused one.

        Raises:
            RuntimeError: All are used.
        """
        digest = hashlib.blake2b(name.encode(), digest_size=_DIGEST_BYTES).digest()
        with self._lock(_BYTES):  # a byte of its own: one worker at a time looks for a row
            for number in range(NAMES_MAX):
                start = number * _ROW_BYTES
                there = self._memory[start : start + _DIGEST_BYTES]
                if there == _UNUSED:
                    self._memory[start : start + _DIGEST_BYTES] = digest
                if there in {_UNUSED, digest}:
                    return start
        raise RuntimeError(f"{NAMES_MAX} counts are shared already")
