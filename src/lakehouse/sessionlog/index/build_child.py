"""The process that builds an index: restricts itself, builds once at the lowest priority, ends."""

import os
import resource
import sys
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.core.errors import LakehouseError
from lakehouse.files.locks import Busy
from lakehouse.sessionlog.index.tasks import BuildTask
from lakehouse.sessionlog.index.trouble import exit_code, trouble_code
from lakehouse.sessionlog.reading.restriction import limit, restrict

_NICE: Final = 19


def main() -> None:
    """Build; a failure is one line on stderr, and an exit code that says its kind."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=BuildTask)
    limit(resource.RLIMIT_CORE, 0)
    os.nice(_NICE)
    root, place = Path(task.root), Path(task.place)
    try:
        restrict(root, place)
        _build(root, place)
    except Busy:
        return  # another process does the same
    except (LakehouseError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(exit_code(trouble_code(error)))


def _build(root: Path, place: Path) -> None:
    # Only now: it starts threads, which the kernel's limits would not reach.
    import pyarrow as pa  # noqa: PLC0415 - it starts threads

    from lakehouse.sessionlog.index.builder import build  # noqa: PLC0415 - it starts threads

    pa.set_cpu_count(1)
    try:
        build(root, place)
    except pa.ArrowException as error:
        raise LakehouseError(f"A file of the compacted table cannot be read: {error}") from error


if __name__ == "__main__":
    main()
