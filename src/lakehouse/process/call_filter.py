"""A system call filter (seccomp): no network, no programs, no way around other limits.

Needs no privileges and works in every container, but cannot see paths: with `read_only` no file at
all can be opened for writing. Supports x86_64 and arm64 only.
"""

import ctypes
import errno
import os
import struct
from typing import Final

from lakehouse.process.system_calls import MACHINE, call

_SECCOMP_FILTER: Final = 1  # SECCOMP_SET_MODE_FILTER
_KILL_PROCESS: Final = 0x80000000
_ERRNO: Final = 0x00050000
_ALLOW: Final = 0x7FFF0000
_LOAD: Final = 0x20
_EQUAL: Final = 0x15
_AT_LEAST: Final = 0x35
_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06
_NUMBER_AT: Final = 0  # in struct seccomp_data
_MACHINE_AT: Final = 4
_ARGUMENTS_AT: Final = 16
_X32: Final = 0x40000000

_WRITE_FLAGS: Final = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC

# For each machine: its AUDIT_ARCH, the number of seccomp(2), and its calls by number.
_MACHINES: Final = {
    "x86_64": (0xC000003E, 317),
    "aarch64": (0xC00000B7, 277),
}
# name → numbers on x86_64 and aarch64; None where there is no such call.
_NETWORK: Final = {"socket": (41, 198), "connect": (42, 203)}
_ALWAYS: Final = {
    "truncate": (76, 45),
    "creat": (85, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "open_by_handle_at": (304, 265),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "keyctl": (250, 219),
}
_MISSING: Final = {"openat2": (437, 437), "io_uring_setup": (425, 425)}  # libraries do without
_CHANGES: Final = {
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "mknod": (133, None),
    "mknodat": (259, 33),
}
_OPEN: Final = ((2, None), 1)  # and which argument holds the flags
_OPENAT: Final = ((257, 56), 2)


def known_machine() -> bool:
    """Return whether there is a filter for this machine."""
    return MACHINE in _MACHINES


def install(*, network: bool, read_only: bool) -> None:
    """Install the filter permanently, for this thread and the threads it starts.

    Args:
        network: Whether sockets stay allowed.
        read_only: Whether opening files for writing, creating, renaming and removing them is
            forbidden.

    Raises:
        OSError: There is no filter here. New privileges must be forbidden first.
    """
    if not known_machine():
        raise OSError(f"no call filter for {MACHINE or 'this system'}")
    machine, seccomp = _MACHINES[MACHINE]
    program = b"".join(_program(machine, network=network, read_only=read_only))
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    call(seccomp, _SECCOMP_FILTER, 0, header)


def _program(machine: int, *, network: bool, read_only: bool) -> list[bytes]:
    column = list(_MACHINES).index(MACHINE)
    refused = {**_ALWAYS, **({} if network else _NETWORK), **(_CHANGES if read_only else {})}
    lines = [
        _line(_LOAD, _MACHINE_AT),
        _line(_EQUAL, machine, 1, 0),
        _line(_RETURN, _KILL_PROCESS),
        _line(_LOAD, _NUMBER_AT),
    ]
    if MACHINE == "x86_64":
        lines += [_line(_AT_LEAST, _X32, 0, 1), _line(_RETURN, _KILL_PROCESS)]
    for calls, code in ((refused, errno.EPERM), (_MISSING, errno.ENOSYS)):
        for numbers in calls.values():
            if (number := numbers[column]) is not None:
                lines += [_line(_EQUAL, number, 0, 1), _line(_RETURN, _ERRNO | code)]
    for numbers, argument in (_OPEN, _OPENAT):
        if (number := numbers[column]) is not None:
            checks = _flag_checks(argument, read_only=read_only)
            lines += [_line(_EQUAL, number, 0, len(checks)), *checks]
    return [*lines, _line(_RETURN, _ALLOW)]


def _flag_checks(argument: int, *, read_only: bool) -> list[bytes]:
    load = _line(_LOAD, _ARGUMENTS_AT + 8 * argument)  # the low word: both machines are so
    refuse = _line(_RETURN, _ERRNO | errno.EACCES)
    allow = _line(_RETURN, _ALLOW)
    if read_only:
        return [load, _line(_ANY_BIT, _WRITE_FLAGS, 0, 1), refuse, allow]
    # Opened for reading and cut at once: Landlock did not see that before Linux 6.2.
    return [
        load,
        _line(_ANY_BIT, os.O_ACCMODE, 2, 0),
        _line(_ANY_BIT, os.O_TRUNC, 0, 1),
        refuse,
        allow,
    ]


def _line(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)
