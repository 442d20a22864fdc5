"""The `lakehouse` command: who reads its arguments, and how it ends.

The usual line that starts a daemon is read here, without Typer: see `daemon_line.py`.
"""

import errno
import gc
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from lakehouse.cli.daemon_line import daemon_line
from lakehouse.cli.terminal import say
from lakehouse.core.errors import LakehouseError, Refusal, SetupError
from lakehouse.core.redaction import redact


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 negative result, 2 usage, 3 could not run."""

    def run() -> None:
        _check_arguments(sys.argv[1:])
        _run(sys.argv[1:])

    run_and_report(run)


def run_and_report(run: Callable[[], None]) -> None:
    """Run, say of an error what a user can do, and end the process with its exit code."""
    try:
        run()
    except LakehouseError as error:
        say(f"error: {error.public}", err=True)
        if error.internal != error.public:
            say(f"cause: {redact(error.internal)}", err=True)
        if error.hint:
            say(f"hint: {error.hint}", err=True)
        sys.exit(_exit_code(error))
    except BrokenPipeError:
        # Who read our output has gone; Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except UnicodeEncodeError as error:  # the working directory's own name, for one
        say(f"error: {error.object[:200]!r} is not valid UTF-8.", err=True)
        say("hint: Look for a file or directory whose name is not valid UTF-8.", err=True)
        sys.exit(2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say(f"error: {where}{error.strerror or error}", err=True)
        say(f"hint: {_SYSTEM_HINTS.get(error.errno or 0, _SYSTEM_HINT)}", err=True)
        sys.exit(3)


_SYSTEM_HINTS: Final = {
    errno.ENOSPC: "The disk is full. Free some space and run the command again: what was written "
    "is kept.",
    errno.EDQUOT: "The quota is used up. Free some space and run the command again.",
    errno.EROFS: "The file system is read-only.",
    errno.EMFILE: "Too many files are open: raise `ulimit -n`.",
}
_INTERRUPTED: Final = 130
_SYSTEM_HINT: Final = "The operating system reported this; check the path and its permissions."


def _run(arguments: Sequence[str]) -> None:
    line = daemon_line(arguments)
    if line is None:
        from lakehouse.cli.commands import app  # noqa: PLC0415  Typer, which no daemon needs

        app(prog_name="lakehouse")
        return
    gc.disable()  # what a start makes stays: looking through it finds nothing, and takes a tenth
    try:
        from lakehouse.cli.daemon import run_daemon  # noqa: PLC0415  only these commands need it

        run_daemon(line)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)  # as Typer ends
    finally:
        gc.enable()


def _check_arguments(arguments: Sequence[str]) -> None:
    """Refuse what could not be written to a row, a request or the screen."""
    for number, argument in enumerate(arguments, start=1):
        try:
            argument.encode("utf-8")
        except UnicodeEncodeError:
            raise SetupError(f"Argument {number} ({argument!r}) is not valid UTF-8.") from None


def _exit_code(error: LakehouseError) -> int:
    """1: it is not there; 2: the command or its input is wrong; 3: it could not be run."""
    if isinstance(error, Refusal) and error.code == "unauthorized":
        return 3  # of a gateway that wants a key: nothing was asked, and nothing answered
    if isinstance(error, Refusal) and not error.retryable:
        return 1 if error.code == "not_found" else 2
    return 2 if isinstance(error, SetupError) else 3
