"""What a process that reads the log gives up before it begins: writing, and reading elsewhere."""

import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lakehouse.process.confinement import Bounds, confine
from lakehouse.sessionlog.layout import ACTIVE, SEALED, log_files
from lakehouse.sessionlog.reading.compacted import is_remote, read_identity, table_uri

_TRIED_MAX: Final = 8  # files that writing is tried on; the rest lie in the same directories
# What libraries look up when they load or count the machine's memory and time zones.
_SYSTEM: Final = (
    *("/usr", "/lib", "/lib64", "/bin", "/opt", "/nix", "/proc", "/sys"),
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/dev/null", "/dev/urandom"),
)


def restrict(root: Path, writable: Path, *, also: Sequence[Path] = ()) -> bool:
    """Give up all rights but reading the log, its table and `also`.

    Returns:
        Whether files can be created in `writable`.

    Raises:
        NotConfined: The system cannot hold us to it.
    """
    files = [file.path for file in log_files(root)]
    never = [root, *(root / part for part in (ACTIVE, SEALED)), *files[:_TRIED_MAX]]
    remote = is_remote(root)
    bounds = Bounds(
        writable=writable,
        readable=None if remote else (*_readable(root), *also),
        network=remote,
    )
    return confine(bounds, never).writable


def _readable(root: Path) -> tuple[Path, ...]:
    """List what may be read: the log, its table, and what the interpreter and libraries need."""
    identity = read_identity(root)
    table = [Path(table_uri(root, identity))] if identity is not None else []
    python = {sys.prefix, sys.base_prefix, sys.exec_prefix, *filter(None, sys.path)}
    return (root, *table, *map(Path, sorted(python)), *map(Path, _SYSTEM))


def limit_memory(more_bytes: int) -> None:
    """Allow so much address space beside what is mapped already."""
    limit(resource.RLIMIT_AS, _address_space_bytes() + more_bytes)


def limit(what: int, value: int) -> None:
    """Lower a limit of this process, for good."""
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(what, (value, value))


def _address_space_bytes() -> int:
    """Return the memory that this process has mapped; 0 if the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 0
    return pages * resource.getpagesize()
