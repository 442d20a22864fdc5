"""Bugs to plant in a process of the fault suite, each of which some scenario must catch."""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lakehouse.files import disk
from lakehouse.sessionlog import keyed, manifest
from lakehouse.sessionlog.keeping import reaper, sealing
from lakehouse.sessionlog.layout import ACTIVE, log_files
from lakehouse.sessionlog.writing import row_queue, segments, writer

_MUTATIONS: dict[str, Callable[[], None]] = {}


def apply_mutation(name: str) -> None:
    """Plant a bug in this process, or the fault that some need to show."""
    (_MUTATIONS.get(name) or _FAULTS[name])()


def _mutation(plant: Callable[[], None]) -> Callable[[], None]:
    _MUTATIONS[plant.__name__] = plant
    return plant


def names() -> list[str]:
    """List the bugs."""
    return sorted(_MUTATIONS)


def _replace(owner: Any, name: str, value: Any) -> None:
    assert hasattr(owner, name), f"{owner} has no {name}: the bug would not be planted"
    setattr(owner, name, value)


def short_write() -> None:
    """Have the fifth write of this process be cut short, as a full disk does: a fault, no bug."""
    calls = iter(range(1, 6))
    _cut_once(lambda _: next(calls, None) == 5)


def short_write_of_rows() -> None:
    """Have the first write of more than two rows be cut short, in one of them: a fault, no bug."""
    _cut_once(lambda data: data.count(b"\n\n") >= 2)


_FAULTS = {fault.__name__: fault for fault in (short_write, short_write_of_rows)}


def _cut_once(due: Callable[[bytes], bool]) -> None:
    real = disk.Disk.write
    fired: list[bytes] = []

    def write(self: disk.Disk, descriptor: int, data: bytes) -> int:
        if not fired and due(data):
            fired.append(data)
            os.write(2, b"cut short\n")
            # Half of it would end between two rows where all are of one size.
            return real(self, descriptor, data[: len(data) // 2 - 9])
        return real(self, descriptor, data)

    _replace(disk.Disk, "write", write)


@_mutation
def no_newline_first() -> None:
    real = disk.Disk.write

    def write(self: disk.Disk, descriptor: int, data: bytes) -> int:
        return real(self, descriptor, data.lstrip(b"\n")) + (len(data) - len(data.lstrip(b"\n")))

    _replace(disk.Disk, "write", write)


@_mutation
def short_write_taken_for_whole() -> None:
    real = disk.Disk.write

    def write(self: disk.Disk, descriptor: int, data: bytes) -> int:
        real(self, descriptor, data)
        return len(data)

    _replace(disk.Disk, "write", write)


@_mutation
def acknowledged_before_written() -> None:
    """A row is answered for while it waits for the thread."""
    real = row_queue.RowQueue.add

    def add(self: row_queue.RowQueue, line: bytes, row_id: str) -> Any:
        future = real(self, line, row_id)
        future.set_result(None)
        return future

    _replace(row_queue.RowQueue, "add", add)


@_mutation
def acknowledged_before_sync() -> None:
    def sync(self: writer.SessionLogWriter, segment: Any) -> None:
        pass

    _replace(writer.SessionLogWriter, "_sync", sync)


@_mutation
def no_directory_sync() -> None:
    _replace(disk.Disk, "sync_directory", lambda self, path: None)


@_mutation
def failed_sync_tried_again() -> None:
    """The kernel has dropped the pages; the second sync says that all is well."""
    real = disk.Disk.sync

    def sync(self: disk.Disk, descriptor: int) -> None:
        try:
            real(self, descriptor)
        except OSError:
            real(self, descriptor)

    _replace(disk.Disk, "sync", sync)


@_mutation
def sealed_before_synced() -> None:
    """Neither the segment nor its manifest is on the disk when the rename is."""
    _replace(disk.Disk, "sync", lambda self, descriptor: None)

    def write_durably(path: Path, data: bytes) -> None:
        path.write_bytes(data)

    _replace(sealing, "write_durably", write_durably)


@_mutation
def living_writer_reaped() -> None:
    def all_writers(root: Path) -> frozenset[str]:
        active = (file for file in log_files(root) if file.directory == ACTIVE)
        return frozenset(file.writer_id for file in active if file.writer_id is not None)

    _replace(sealing, "dead_writers", all_writers)
    _replace(sealing, "lock_held", lambda path: False)


@_mutation
def no_reap_lock() -> None:
    """Two of them find the same session, and each writes its row."""
    _replace(sealing, "exclusively", lambda path, wait_s: contextlib.nullcontext())


@_mutation
def sealed_without_reaping() -> None:
    nothing = reaper.Reaped((), (), frozenset())
    _replace(sealing, "reap_dead", lambda root, dead, **_: nothing)


@_mutation
def reaped_without_looking_elsewhere() -> None:
    _replace(reaper, "_rows_among", lambda root, row_ids, since, dead: set())


@_mutation
def key_claimed_without_its_lock() -> None:
    """Two callers of one key run a session each."""
    _replace(keyed, "try_lock", lambda descriptor: True)


@_mutation
def crashed_row_beside_a_takeover() -> None:
    """The reaper writes a row of a session that somebody else runs by now."""
    _replace(keyed.KeyStore, "keeps_from_claims", lambda self, name, row_id, held: True)


@_mutation
def running_sessions_left_behind() -> None:
    """A new segment does not carry the started lines of sessions that still run."""
    real = segments.Segments.write

    def write(self: segments.Segments, records: Sequence[segments.Record]) -> None:
        real(self, records)
        self.running.clear()

    _replace(segments.Segments, "write", write)


@_mutation
def bad_lines_not_listed() -> None:
    real = manifest.examine

    def examine(*arguments: Any) -> Any:
        found, _ = real(*arguments)
        return msgspec.structs.replace(found, bad_lines=()), []

    _replace(sealing, "examine", examine)


@_mutation
def manifest_after_the_rename() -> None:
    real = sealing._seal_one

    def seal_one(file: Any, the_disk: disk.Disk) -> None:
        moved = msgspec.structs.replace(file, directory="sealed")
        file.path.rename(moved.path)
        the_disk.sync_directory(moved.path.parent)
        real(moved, the_disk)

    _replace(sealing, "_seal_one", seal_one)
