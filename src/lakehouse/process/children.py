"""Child processes that end with this process, even if it is killed."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from lakehouse.process.last_words import LastWords

_SUPERVISOR: Final = Path(__file__).with_name("supervisor.py")
LAST_WORDS: Final = -17
"""For `stderr`, beside what `subprocess` has."""

_END_S: Final = 5.0  # beyond a child's grace, for its supervisor to have ended it


class Child:
    """A running child. `process` is its supervisor: it ends as the child ends."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        stdin: int | IO[bytes] | None = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = subprocess.DEVNULL,
        stderr: int | IO[bytes] | None = subprocess.DEVNULL,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        grace_s: float = 0.0,
        remove: Path | None = None,
    ) -> None:
        """Start it in its own session: Ctrl-C reaches only us, and we end it.

        Args:
            command: The program and its arguments.
            stdin: As `subprocess.Popen` takes them; so are the two others.
            stdout: See `stdin`.
            stderr: See `stdin`; `LAST_WORDS` keeps the end of it for `ending`.
            env: Its whole environment; ours if None.
            pass_fds: Descriptors that it inherits under the same numbers.
            grace_s: How long it may take to end after SIGTERM before it is killed.
            remove: A directory that is removed when we end before the child does.

        Raises:
            OSError: No process can be started. A command that does not exist is exit code 127.
        """
        lifeline, own_end = os.pipe()
        self._own_ends = [own_end]  # until one thread takes it
        program = [sys.executable, "-I", "-S", str(_SUPERVISOR), str(lifeline), str(grace_s)]
        try:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - our own program
                [*program, str(remove or ""), "--", *command],
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE if stderr == LAST_WORDS else stderr,
                env=env,
                pass_fds=(lifeline, *pass_fds),
                start_new_session=True,
            )
        except BaseException:
            self.cut()
            raise
        finally:
            os.close(lifeline)
        self._grace_s = grace_s
        self._words: LastWords | None = None
        if stderr == LAST_WORDS and self.process.stderr is not None:
            self._words = LastWords(self.process.stderr)
            self.process.stderr = None  # it has one reader

    @property
    def ending(self) -> str:
        """How it ended, with the end of what it said. Only after `end`, and with `LAST_WORDS`."""
        assert self._words is not None, "it was started with `LAST_WORDS`"
        return self._words.ending(self.process.wait())

    def cut(self) -> None:
        """Have it ended, without waiting. From any thread, also while another waits for it."""
        with contextlib.suppress(IndexError):  # done before
            os.close(self._own_ends.pop())

    def end(self) -> int:
        """End it, if it is running, and wait; returns its exit code, negative for a signal.

        Call once.
        """
        self.cut()
        try:
            return self.process.wait(self._grace_s + _END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):  # what nobody read is lost either way
                        pipe.close()
