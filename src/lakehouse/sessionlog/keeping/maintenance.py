"""Reaps, seals and lets keys expire once a minute, in every daemon with a session log.

It never waits for another process that does the same, and never ends the daemon when the disk
fails: the next round tries again.
"""

import logging
import threading
from pathlib import Path
from typing import Final

from lakehouse.core.clock import SystemClock
from lakehouse.core.errors import LakehouseError
from lakehouse.files.locks import Busy
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.keyed import KeyStore
from lakehouse.sessionlog.writing.writer import SessionLogWriter

INTERVAL_S: Final = 60.0
KEYED_AGE_S: Final = 60.0  # a caller that lost its session comes again sooner
_STOP_S_MAX: Final = 5.0

_log = logging.getLogger(__name__)


class Maintenance:
    """A thread that maintains one writer and its log; the first round starts at once."""

    def __init__(
        self,
        root: Path,
        writer: SessionLogWriter,
        *,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._root = root
        self._writer = writer
        self._interval_s = interval_s
        self._keys = KeyStore(root)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="session-log-tend", daemon=True)

    def start(self) -> None:
        """Begin with a first round; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the round under way, which is waited for a few seconds: it can be killed."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_S_MAX)

    def _run(self) -> None:
        while True:
            self._round()
            if self._stopped.wait(self._interval_s):
                return

    def _round(self) -> None:
        try:
            done = seal(
                self._root,
                wait_s=0,
                own=self._writer.tend(),
                keyed_age_s=KEYED_AGE_S,
                on_sealed=self._writer.sealed,
            )
            self._keys.expire(SystemClock().now())
        except Busy:
            return
        except (OSError, LakehouseError) as error:
            _log.warning("maintenance of the session log failed: %s", error)
            return
        except Exception:  # noqa: BLE001  the thread's boundary: the next round must come
            _log.exception("maintenance of the session log failed")
            return
        if done.reaped:
            _log.warning("%d crashed sessions now have their row", len(done.reaped))
