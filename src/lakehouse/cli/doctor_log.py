"""What `lakehouse doctor` says of the log's directory: its disk, and what lies in it."""

import shutil
from pathlib import Path
from typing import Final

from lakehouse.cli.doctor_check import Check
from lakehouse.sessionlog.reading.odd_entries import odd_entries
from lakehouse.sessionlog.writing.space import free_bytes_required

_ENTRIES_SHOWN_MAX: Final = 3
_SHARED_FILE_SYSTEMS: Final = ("nfs", "cifs", "smb", "fuse", "overlay", "tmpfs", "9p")


def log_checks(log: Path) -> list[Check]:
    """Check the space, the entries and the file system of a log, which need not be there yet."""
    return [_space(log), _entries(log), _file_system(log)]


def _space(log: Path) -> Check:
    usage = shutil.disk_usage(existing(log))
    needed = free_bytes_required(usage.total)
    detail = f"{usage.free >> 20} MiB free, {needed >> 20} MiB needed"
    if usage.free < needed:
        return Check("log space", "problem", detail, "free some space, or move log.path")
    return Check("log space", "ok", detail)


def _entries(log: Path) -> Check:
    """Report entries in the log's directory that do not belong there."""
    found = odd_entries(log)
    if not found:
        return Check("log entries", "ok", "every entry can be read")
    listed = "; ".join(f"{odd.file}: {odd.reason}" for odd in found[:_ENTRIES_SHOWN_MAX])
    more = len(found) - _ENTRIES_SHOWN_MAX
    detail = listed + (f"; and {more} more: lakehouse log verify" if more > 0 else "")
    return Check("log entries", "warning", detail, "move it out of the log: it is ignored")


def _file_system(log: Path) -> Check:
    """Name the file system: appends of several processes are only safe on a local one."""
    kind = file_system(log)
    if kind is None:
        return Check("log file system", "ok", "this system does not report it")
    if is_unsafe(kind):
        return Check(
            "log file system",
            "warning",
            f"{kind} at {log}",
            "put the log on a local disk: appends there are atomic, and survive a power cut",
        )
    return Check("log file system", "ok", kind)


def file_system(path: Path) -> str | None:
    """Name the kind of file system that a path is on, as mounts do; None if that is not told."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return None
    place = existing(path).resolve()
    found = [line.split()[1:3] for line in mounts.read_text("utf-8", "replace").splitlines()]
    around = [(len(point), kind) for point, kind in found if place.is_relative_to(point)]
    return max(around, default=(0, "unknown"))[1]


def is_unsafe(kind: str) -> bool:
    """Return whether a file system is in memory, layered, or on another machine."""
    return kind.startswith(_SHARED_FILE_SYSTEMS)


def existing(path: Path) -> Path:
    """Return the path, or the nearest directory above it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
