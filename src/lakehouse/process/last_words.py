"""Why a child ended, for the operator: its exit code or signal, and the end of its stderr."""

import os
import signal
import threading
from typing import IO, Final

_KEPT_BYTES: Final = 4_096
_PIECE_BYTES: Final = 1 << 16
_WAIT_S: Final = 1.0  # what the child left running may hold its stderr open


class LastWords:
    """The end of what one child says on stderr.

    A thread reads, so that the child is never held up, and what is kept stays small.
    """

    def __init__(self, stderr: IO[bytes]) -> None:
        """Listen to `stderr`, and close it at its end."""
        self._stderr = stderr
        self._said = b""
        self._listener = threading.Thread(target=self._listen, name="last-words", daemon=True)
        self._listener.start()

    def ending(self, code: int) -> str:
        """Say how the child ended, as a sentence without its subject.

        Args:
            code: Its exit code, negative for a signal. It has ended.
        """
        self._listener.join(_WAIT_S)
        said = self._said.decode("utf-8", "replace").strip()
        return f"{_how(code)}; it said: {said}" if said else f"{_how(code)}; it said nothing"

    def _listen(self) -> None:
        with self._stderr as stderr:
            while piece := os.read(stderr.fileno(), _PIECE_BYTES):
                self._said = (self._said + piece)[-_KEPT_BYTES:]


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    memory = ", maybe because the system had no memory left" if -code == signal.SIGKILL else ""
    return f"ended by signal {-code} ({name}){memory}"
