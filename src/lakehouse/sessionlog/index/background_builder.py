"""The builder in a process of its own, and the commands of the processes of an index."""

import contextlib
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

import lakehouse
from lakehouse.files.disk import make_directories
from lakehouse.process.children import LAST_WORDS, Child
from lakehouse.sessionlog.index.tasks import BuildTask
from lakehouse.sessionlog.index.trouble import (
    IndexTrouble,
    trouble,
    trouble_code,
    trouble_of_exit,
)

_AGAIN_S: Final = 5.0
_log = logging.getLogger(__name__)


class BackgroundBuilder:
    """Builds the index of one log when it is told to. Not thread-safe."""

    def __init__(self, root: Path, place: Path) -> None:
        self.child: Child | None = None
        self.trouble: IndexTrouble | None = None  # of the last attempt that ended
        self._root = root
        self._place = place
        self._started_s = -_AGAIN_S

    def start(self) -> None:
        """Start the builder, unless it runs or has just run."""
        if self.child is not None and self.child.process.poll() is None:
            return
        self.end()
        if time.monotonic() - self._started_s < _AGAIN_S:
            return
        self._started_s = time.monotonic()
        try:
            make_directories(self._place)
            self.child = Child(
                command("build_child"),
                stdin=subprocess.PIPE,
                stderr=LAST_WORDS,
                env=environment(),
            )
        except OSError as error:
            _log.warning("the index of the session log cannot be built: %s", error)
            self.trouble = trouble(trouble_code(error))
            return
        stdin = self.child.process.stdin
        assert stdin is not None, "it was opened with a pipe"
        with contextlib.suppress(BrokenPipeError):
            stdin.write(msgspec.json.encode(BuildTask(str(self._root), str(self._place))))
            stdin.close()

    def end(self) -> None:
        """End the builder if it runs, and tell the operator what it said."""
        if self.child is None:
            return
        ended = self.child.process.poll() is not None
        child, self.child = self.child, None
        code = child.end()
        if ended:
            self.trouble = trouble_of_exit(code) if code else None
        if ended and code:
            _log.warning(
                "the index of the session log was not built (exit %d): its process %s",
                code,
                child.ending,
            )


def command(module: str) -> list[str]:
    """Return what runs a module of this package."""
    # -P: a file of the working directory is no module of ours.
    return [sys.executable, "-P", "-m", f"lakehouse.sessionlog.index.{module}"]


def environment() -> dict[str, str]:
    """Return all that these processes get of ours."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(Path(lakehouse.__file__).parent.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        # By default each thread reserves 64 MB of address space, which is what is limited.
        "MALLOC_ARENA_MAX": "2",
    }
