"""Linux system calls that Python does not wrap. Errors are returned as they are."""

import ctypes
import os
import platform
import struct
import sys
from typing import Final

_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITY_VERSION_3: Final = 0x20080522
_CAP_DAC_OVERRIDE: Final = 1 << 1
_CAP_DAC_READ_SEARCH: Final = 1 << 2

MACHINE: Final = platform.machine() if sys.platform == "linux" else ""
"""`x86_64`, `aarch64`, or another that we know no numbers of; empty elsewhere than on Linux."""


def call(number: int, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make one system call."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result: int = libc.syscall(ctypes.c_long(number), *words)
    return _checked(result)


def bind_or_change(source: bytes, target: bytes, flags: int) -> None:
    """Bind a directory to a place, or change how the mounts below it propagate."""
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.mount(source, target, None, ctypes.c_ulong(flags), None))


def unshare(flags: int) -> None:
    """Leave the namespaces that the flags name."""
    _checked(ctypes.CDLL(None, use_errno=True).unshare(ctypes.c_int(flags)))


def forbid_new_privileges() -> None:
    """Permanently forbid that started programs gain privileges (no_new_privs)."""
    _checked(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def drop_capabilities() -> None:
    """Drop all capabilities of root except reading other users' files."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    data = ctypes.create_string_buffer(24)
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.capget(header, data))
    _, permitted, _, _, _, _ = struct.unpack("=6I", data.raw)
    kept = permitted & (_CAP_DAC_READ_SEARCH | _CAP_DAC_OVERRIDE)
    if kept & _CAP_DAC_READ_SEARCH:
        kept = _CAP_DAC_READ_SEARCH
    _checked(libc.capset(header, struct.pack("=6I", kept, kept, 0, 0, 0, 0)))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
