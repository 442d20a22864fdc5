"""Landlock: the kernel lets this process write in one directory, and read only listed paths.

Needs Linux 5.13 and no privilege; works in most containers. It does not cover a file's mode, owner,
times and attributes, nor, before Linux 6.2, truncating a file without opening it: the call filter
does. Numbers are those of landlock(7).
"""

import contextlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lakehouse.process.system_calls import call

_CREATE_RULESET: Final = 444  # the same on every machine
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_RULESET_VERSION: Final = 1
_PATH_BENEATH: Final = 1

_EXECUTE: Final = 1 << 0
_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_MAKE_AND_REMOVE: Final = 0b1_1111_1111 << 4  # remove and make each sort of file
_REFER: Final = 1 << 13
_TRUNCATE: Final = 1 << 14
_NET: Final = 0b11  # bind and connect of TCP
_SCOPED: Final = 0b11  # abstract sockets, and signals to processes outside


def landlock_version() -> int:
    """Return the version that the kernel offers; 0 if it offers none, or a container hides it."""
    try:
        return call(_CREATE_RULESET, None, 0, _RULESET_VERSION)
    except OSError:
        return 0


def restrict(writable: Path, readable: Sequence[Path] | None, *, network: bool) -> None:
    """Forbid writing outside `writable`, and starting programs.

    Args:
        writable: A directory. Files that are open already stay as they are.
        readable: What else may be read, with everything below it; everything if None. Missing paths
            are skipped.
        network: Whether TCP stays allowed; before Linux 6.7 it always does.

    Raises:
        OSError: The kernel has no Landlock, or rejected it.
    """
    version = landlock_version()
    if version < 1:
        raise OSError("the kernel offers no Landlock")
    writing = _WRITE_FILE | _MAKE_AND_REMOVE
    writing |= _REFER if version >= 2 else 0
    writing |= _TRUNCATE if version >= 3 else 0
    reading = _READ_FILE | _READ_DIR
    handled = writing | _EXECUTE | (reading if readable is not None else 0)
    net = _NET if version >= 4 and not network else 0
    scoped = _SCOPED if version >= 6 else 0
    attributes = struct.pack("=QQQ", handled, net, scoped)[
        : 8 * (1 + (version >= 4) + (version >= 6))
    ]
    ruleset = call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        _allow(ruleset, writable, handled & ~_EXECUTE)
        for path in readable or ():
            with contextlib.suppress(FileNotFoundError):
                _allow(ruleset, path, reading if path.is_dir() else _READ_FILE)
        call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)
