"""A mount namespace in which everything but one directory is read-only.

Works on Linux since 5.12, for root or where users may create namespaces. The process also leaves
the network. Files opened earlier keep their old mount (through /proc), so open protected files
afterwards. After an error the process must not continue, so it is tried in the child that needs it.
"""

import os
import struct
from pathlib import Path
from typing import Final

from lakehouse.process.system_calls import bind_or_change, call, unshare

_NEW_MOUNTS: Final = 0x00020000
_NEW_USER: Final = 0x10000000
_NEW_NETWORK: Final = 0x40000000
_BIND: Final = 4096
_RECURSIVE: Final = 16384
_PRIVATE: Final = 1 << 18
_MOUNT_SETATTR: Final = 442  # the same on every machine
_AT_FDCWD: Final = -100
_AT_RECURSIVE: Final = 0x8000
_READ_ONLY: Final = 0x1


def enter(writable: Path, *, network: bool) -> None:
    """Leave for a view in which only `writable` can be written to.

    Raises:
        OSError: There is none to be had.
    """
    flags = _NEW_MOUNTS | (0 if network else _NEW_NETWORK)
    user, group = os.geteuid(), os.getegid()
    try:
        unshare(flags)
    except PermissionError:
        unshare(flags | _NEW_USER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    place = os.fsencode(writable)
    bind_or_change(b"none", b"/", _RECURSIVE | _PRIVATE)
    bind_or_change(place, place, _BIND)
    _set(b"/", set_=_READ_ONLY, flags=_AT_RECURSIVE)
    _set(place, clear=_READ_ONLY)
    os.chdir("/")  # through the old working directory the old mount could be reached


def _set(path: bytes, *, set_: int = 0, clear: int = 0, flags: int = 0) -> None:
    attributes = struct.pack("=QQQQ", set_, clear, 0, 0)
    call(_MOUNT_SETATTR, _AT_FDCWD, path + b"\0", flags, attributes, len(attributes))
