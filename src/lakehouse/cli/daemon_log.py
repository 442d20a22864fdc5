"""A daemon's own log on stderr: the one place that configures `logging`.

Plain lines on a terminal, JSON lines elsewhere, each with its session id. Output never contains a
key or a control character, and logging never delays a session: lines go through a bounded queue to
a separate thread. If stderr is not read, the queue fills up, further lines are dropped, and their
number is logged when there is room again: a line is worth less than the answer that would wait for
it.
"""

import json
import logging
import queue
import sys
import threading
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Self, TextIO

from lakehouse.cli.daemon_line import LogLevel
from lakehouse.cli.terminal import on_one_line
from lakehouse.core.clock import timestamp
from lakehouse.core.context import current_session
from lakehouse.core.redaction import redact

LINES_WAITING_MAX: Final = 10_000  # some megabytes
_CLOSE_S: Final = 2.0  # for what is still waiting when the daemon ends
_TRACEBACK_LINES_MAX: Final = 200
# Libraries say much that is of use to nobody but their authors.
_LIBRARIES_LEVEL: Final = logging.WARNING


class DaemonLog:
    """The log of this process, from `__enter__` to `__exit__`. One at a time.

    `secrets` are removed from every line, besides anything that looks like a key. Cost: about 60 µs
    per line, in the writing thread.
    """

    def __init__(self, level: LogLevel, stream: TextIO | None = None) -> None:
        self.secrets: Sequence[str] = ()
        self._level = level.value.upper()
        self._stream = sys.stderr if stream is None else stream
        self.for_people = self._stream.isatty()
        self._handler: _QueuedHandler | None = None
        self._root_before: tuple[int, list[logging.Handler]] = (logging.WARNING, [])

    def __enter__(self) -> Self:
        """Begin to write."""
        formatter = (_HumanLines if self.for_people else _JsonLines)(self)
        self._handler = _QueuedHandler(self._stream, formatter)
        root = logging.getLogger()
        self._root_before = (root.level, root.handlers[:])
        root.handlers[:] = [self._handler]
        root.setLevel(_LIBRARIES_LEVEL)
        logging.getLogger("lakehouse").setLevel(self._level)
        return self

    def __exit__(self, *_: object) -> None:
        """Write what is waiting, for two seconds at most, and leave `logging` as it was."""
        root = logging.getLogger()
        root.level, root.handlers[:] = self._root_before[0], self._root_before[1]
        logging.getLogger("lakehouse").setLevel(logging.NOTSET)
        if self._handler is not None:
            self._handler.close()


class _QueuedHandler(logging.Handler):
    """Formats where the line is logged, and writes in a thread."""

    def __init__(self, stream: TextIO, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(LINES_WAITING_MAX)
        self._dropped = 0
        # A daemon thread: a reader who never reads must not keep the process from ending.
        self._thread = threading.Thread(target=self._write, name="lakehouse-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line over, or count it as dropped; never waits."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001  a line that cannot be made must not fail what it tells of
            line = f"a line of {record.name}:{record.lineno} could not be formatted"
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1  # under the handler's own lock

    def close(self) -> None:
        """Let the thread write what is waiting, for a while."""
        super().close()
        try:
            self._lines.put(None, timeout=_CLOSE_S)
        except queue.Full:
            return
        self._thread.join(_CLOSE_S)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._stream.write(line + "\n")
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):
                continue  # nobody reads any more, or the stream is closed: nowhere to say so
            if self._dropped and self._lines.qsize() < LINES_WAITING_MAX // 2:
                self._tell_dropped()

    def _tell_dropped(self) -> None:
        self.acquire()
        try:
            dropped, self._dropped = self._dropped, 0
        finally:
            self.release()
        logging.getLogger(__name__).warning(
            "%d log lines were dropped: stderr was not read fast enough", dropped
        )


class _Lines(logging.Formatter):
    """What both forms share: one line, no keys, no control characters."""

    def __init__(self, log: DaemonLog) -> None:
        super().__init__()
        self._log = log

    def _message(self, record: logging.LogRecord) -> str:
        return redact(record.getMessage(), self._log.secrets)

    def _traceback(self, record: logging.LogRecord) -> list[str]:
        if record.exc_info is None or record.exc_info[1] is None:
            return []
        text = "".join(traceback.format_exception(record.exc_info[1]))
        lines = text.splitlines()[-_TRACEBACK_LINES_MAX:]
        return [redact(line, self._log.secrets) for line in lines]


class _HumanLines(_Lines):
    """`10:00:01.123 WARNING chatd.service: text (session 0af7…)`, a traceback indented below."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).astimezone()
        session = current_session.get()
        line = (
            f"{moment:%H:%M:%S}.{int(record.msecs):03d} {record.levelname} "
            f"{record.name.removeprefix('lakehouse.')}: {self._message(record)}"
            + (f" (session {session})" if session else "")
        )
        return "\n  ".join(map(on_one_line, [line, *self._traceback(record)]))


class _JsonLines(_Lines):
    """One JSON object a line, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        found: dict[str, object] = {
            "timestamp": timestamp(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "session_id": current_session.get(),
            "message": self._message(record),
        }
        if lines := self._traceback(record):
            found["traceback"] = lines
        return json.dumps(found).replace("\x7f", "\\u007f")
