"""What the operating system forbids this process: writing, the network, other programs.

There are several ways, tried best first; each alone prevents writing. Afterwards the process tries
to write where it must not, and raises if it can. Call it while there is only one thread: the
kernel's limits do not apply to threads that already exist.
"""

import errno
import os
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.core.errors import LakehouseError
from lakehouse.process import call_filter, landlock, mount_view, seatbelt
from lakehouse.process.system_calls import drop_capabilities, forbid_new_privileges

_REFUSALS: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class Bounds(msgspec.Struct, frozen=True):
    """What stays allowed.

    `writable`: one directory, with all below it. `readable`: further files and directories that may
    be read, where the way supports it; everything if None.
    """

    writable: Path
    readable: tuple[Path, ...] | None = None
    network: bool = False


class Confined(msgspec.Struct, frozen=True):
    """How it is done. `writable`: whether files can be created in the one directory."""

    by: str
    writable: bool


class NotConfined(LakehouseError):
    """The operating system offers no working way; nothing may be run."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"This system cannot prevent a query from writing: {cause}.",
            hint="Linux needs Landlock (5.13), a mount namespace, or seccomp on x86_64 or arm64; "
            "macOS its sandbox. A container must allow at least one of them.",
        )


def confine(bounds: Bounds, never: Sequence[Path]) -> Confined:
    """Permanently give up every right that a reader does not need.

    Args:
        bounds: What stays allowed.
        never: Directories and files that must not be writable. Each is tested.

    Raises:
        NotConfined: No way worked, or a test write succeeded.
    """
    if threading.active_count() > 1 or _kernel_threads() > 1:
        raise NotConfined("it has threads already")
    causes: list[str] = []
    for way in WAYS.get(sys.platform, ()):
        try:
            confined = way(bounds)
        except OSError as error:
            causes.append(f"{way.__name__.strip('_')}: {error.strerror or error}")
            continue
        _try_to_write(never)
        if not bounds.network and call_filter.known_machine():
            _try_to_reach()
        return confined
    raise NotConfined("; ".join(causes) or f"no way is known on {sys.platform}")


def _kernel_threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - names only
    except OSError:
        return 1  # not told here


def _landlock(bounds: Bounds) -> Confined:
    forbid_new_privileges()
    if landlock.landlock_version() < 3 and not call_filter.known_machine():
        raise OSError("it cannot see a file that is cut")
    landlock.restrict(bounds.writable, bounds.readable, network=bounds.network)
    _add_filter(bounds)
    return Confined("landlock", writable=True)


def _mount_view(bounds: Bounds) -> Confined:
    mount_view.enter(bounds.writable, network=bounds.network)
    forbid_new_privileges()
    _add_filter(bounds)
    return Confined("mount view", writable=True)


def _call_filter(bounds: Bounds) -> Confined:
    forbid_new_privileges()
    drop_capabilities()
    call_filter.install(network=bounds.network, read_only=True)
    return Confined("call filter", writable=False)


def _seatbelt(bounds: Bounds) -> Confined:
    seatbelt.restrict(bounds.writable, network=bounds.network)
    return Confined("seatbelt", writable=True)


def _add_filter(bounds: Bounds) -> None:
    drop_capabilities()
    if call_filter.known_machine():
        call_filter.install(network=bounds.network, read_only=False)


WAYS: Final[dict[str, tuple[Callable[[Bounds], Confined], ...]]] = {
    "linux": (_landlock, _mount_view, _call_filter),
    "darwin": (_seatbelt,),
}
"""By platform, the best first."""


def _try_to_write(never: Sequence[Path]) -> None:
    for path in never:
        directory = path.is_dir()
        probe = path / f".write-probe-{os.getpid()}" if directory else path
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            os.close(os.open(probe, flags | (os.O_CREAT | os.O_EXCL if directory else 0), 0o600))
        except OSError as error:
            if error.errno in _REFUSALS or (error.errno == errno.ENOENT and not path.exists()):
                continue
            raise NotConfined(f"trying it on {path} said {error.strerror}") from error
        if directory:
            probe.unlink(missing_ok=True)
        raise NotConfined(f"{path} could be opened for writing")


def _try_to_reach() -> None:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    except OSError:
        return
    raise NotConfined("a socket could be opened")
