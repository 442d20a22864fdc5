"""Child processes that end with this process, even if it is killed."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

_SUPERVISOR: Final = Path(__file__).with_name("supervisor.py")
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
            stderr: See `stdin`.
            env: Its whole environment; ours if None.
            pass_fds: Descriptors that it inherits under the same numbers.
            grace_s: How long it may take to end after SIGTERM before it is killed.
            remove: A directory that is removed when we end before the child does.

        Raises:
            OSError: No process can be started. A command that does not exist is exit code 127.
        """
        lifeline, self._own_end = os.pipe()
        program = [sys.executable, "-I", "-S", str(_SUPERVISOR), str(lifeline), str(grace_s)]
        try:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - our own program
                [*program, str(remove or ""), "--", *command],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=env,
                pass_fds=(lifeline, *pass_fds),
                start_new_session=True,
            )
        except BaseException:
            os.close(self._own_end)
            raise
        finally:
            os.close(lifeline)
        self._grace_s = grace_s

    def end(self) -> int:
        """End it, if it is running, and wait; returns its exit code, negative for a signal.

        Call once.
        """
        os.close(self._own_end)
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
