"""Asks a log of any size, in a process of its own: no question delays a session.

One question at a time, each bounded in time and memory. A question that takes too long ends the
process, and the next one gets a new one. What the index lacks is built in the background, and
answers say what they could not take into account. Blocks: call it from a thread.
"""

import contextlib
import hashlib
import logging
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar, get_args

import msgspec

from lakehouse.core.errors import InfraError, LakehouseError, Refusal
from lakehouse.core.limits import SESSIONS_LIMIT_DEFAULT
from lakehouse.core.suggestion import did_you_mean
from lakehouse.files.disk import reason
from lakehouse.process.children import LAST_WORDS, Child
from lakehouse.sessionlog.index import questions as ask
from lakehouse.sessionlog.index.background_builder import BackgroundBuilder, command, environment
from lakehouse.sessionlog.index.exchange import Reply
from lakehouse.sessionlog.index.filters import LogFilter
from lakehouse.sessionlog.index.names import AskKinds, AskNames, KindDigests, Names
from lakehouse.sessionlog.index.packs import INDEX
from lakehouse.sessionlog.index.pipe import OutOfTime, PipeEnded, receive, send
from lakehouse.sessionlog.index.root_watch import RootWatch
from lakehouse.sessionlog.index.tasks import EXIT_STALE, ReaderTask

TIMEOUT_MS_DEFAULT: Final = 10_000
MEMORY_BYTES_DEFAULT: Final = 1 << 30  # of address space; DuckDB gets half and spills to disk
FINDINGS_LIMIT_DEFAULT: Final = 100
PAGE_ROWS_MAX: Final = 2_000
_THREADS: Final = 2
_EVERYTHING: Final = LogFilter()

_Answer = TypeVar("_Answer", bound=ask.ReaderAnswer)
_log = logging.getLogger(__name__)


class ReadFailed(LakehouseError):
    """A question that may be asked and was not answered: time or memory ran out, or the log."""


class LogReader:
    """Reads one log. Thread-safe: questions wait for each other. Use it in a `with`."""

    def __init__(
        self,
        root: Path,
        *,
        place: Path | None = None,
        timeout_ms: int = TIMEOUT_MS_DEFAULT,
        memory_bytes: int = MEMORY_BYTES_DEFAULT,
        builds: bool = True,
    ) -> None:
        """Begin with no process; the first question starts it, in 0.5 s.

        Args:
            root: The log directory; one that is not there has no sessions.
            place: The index's directory; by default `index_place`.
            timeout_ms: Of one question, waiting for others aside.
            memory_bytes: Address space of the process, beside what its libraries take.
            builds: Whether to build what the index lacks, in the background.
        """
        self._root = root.expanduser().resolve()
        self._place = place or index_place(self._root)
        self._timeout_s = timeout_ms / 1_000
        self._memory_bytes = memory_bytes
        self._builds = builds
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._spill: tempfile.TemporaryDirectory[str] | None = None
        self._builder = BackgroundBuilder(self._root, self._place)
        self._stopped = False
        self._watch = RootWatch(self._root)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def process_id(self) -> int | None:
        """The process that ends the one that answers; None while there is none."""
        return self._child.process.pid if self._child is not None else None

    def stop(self) -> None:
        """End the question under way; it and later ones get `shutdown`. Does not wait."""
        self._stopped = True
        if (child := self._child) is not None:
            child.cut()

    def close(self) -> None:
        """End both processes; a later question starts them again."""
        with self._lock:
            self._end()
            self._builder.end()

    def sessions(
        self,
        where: LogFilter = _EVERYTHING,
        *,
        limit: int = SESSIONS_LIMIT_DEFAULT,
        cursor: str | None = None,
        oldest_first: bool = False,
        count: bool = False,
    ) -> ask.Sessions:
        """Return a page of sessions; see `AskSessions`.

        Raises:
            Refusal: `invalid_request`; the limit is out of range, the cursor or a filter invalid.
            ReadFailed: As every question.
        """
        _check_limit(limit, PAGE_ROWS_MAX)
        asked = ask.AskSessions(
            where=where, limit=limit, cursor=cursor, oldest_first=oldest_first, count=count
        )
        return self._ask(asked, ask.Sessions)

    def rows(
        self,
        where: LogFilter = _EVERYTHING,
        *,
        limit: int = SESSIONS_LIMIT_DEFAULT,
        cursor: str | None = None,
        oldest_first: bool = False,
    ) -> ask.RowPage:
        """Return a page of rows as the log has them, 8 MiB of them or one; see `AskRows`.

        Raises:
            Refusal: As `sessions`, whose cursors these are.
            ReadFailed: As every question.
        """
        _check_limit(limit, PAGE_ROWS_MAX)
        asked = ask.AskRows(where=where, limit=limit, cursor=cursor, oldest_first=oldest_first)
        return self._ask(asked, ask.RowPage)

    def neighbours(self, row_id: str, where: LogFilter = _EVERYTHING) -> ask.Neighbours:
        """Return the rows beside one in a filtered list."""
        return self._ask(ask.AskNeighbours(where=where, row_id=row_id), ask.Neighbours)

    def session(self, identity: str) -> ask.FoundSession:
        """Return the rows with an id, from their own lines. Replays too."""
        return self._ask(ask.AskSession(identity=identity), ask.FoundSession)

    def rates(
        self,
        where: LogFilter = _EVERYTHING,
        *,
        by: tuple[str, ...] = (),
        bucket: ask.Bucket | None = None,
    ) -> ask.Rates:
        """Return counts, rates and their intervals, by groups and over time.

        `by` are words of `GroupBy`, or `metadata.NAME` for a member of the metadata.
        """
        _check_groups(by)
        _check_words("bucket", [bucket] if bucket is not None else [], ask.Bucket)
        return self._ask(ask.AskRates(where=where, by=by, bucket=bucket), ask.Rates)

    def latency(
        self,
        where: LogFilter = _EVERYTHING,
        *,
        by: tuple[str, ...] = (),
        bucket: ask.Bucket | None = None,
    ) -> ask.Latency:
        """Return quantiles of durations and tokens, by groups and over time; `by` as in `rates`."""
        _check_groups(by)
        _check_words("bucket", [bucket] if bucket is not None else [], ask.Bucket)
        return self._ask(ask.AskLatency(where=where, by=by, bucket=bucket), ask.Latency)

    def findings(
        self,
        where: LogFilter = _EVERYTHING,
        *,
        by: tuple[ask.FindingBy, ...] = ("code", "path"),
        limit: int = FINDINGS_LIMIT_DEFAULT,
        bucket: ask.Bucket | None = None,
    ) -> ask.Findings:
        """Return findings of all attempts in groups, the most frequent first, and over time.

        If the filter names a code, a path or a value, only these findings are counted.
        """
        _check_limit(limit, ask.PARTS_MAX)
        _check_words("by", by, ask.FindingBy)
        _check_words("bucket", [bucket] if bucket is not None else [], ask.Bucket)
        asked = ask.AskFindings(where=where, by=by, limit=limit, bucket=bucket)
        return self._ask(asked, ask.Findings)

    def values(
        self,
        where: LogFilter = _EVERYTHING,
        *,
        path: str | None = None,
        limit: int = FINDINGS_LIMIT_DEFAULT,
    ) -> ask.Findings:
        """Return the values that were not in the tables, by path and value, with what was nearest.

        A value over 256 bytes is not in its row: the group's `value` is None.
        """
        _check_limit(limit, ask.PARTS_MAX)
        return self._ask(ask.AskValues(where=where, path=path, limit=limit), ask.Findings)

    def overview(
        self, where: LogFilter = _EVERYTHING, *, bucket: ask.Bucket = "day"
    ) -> ask.Overview:
        """Return the numbers of the start page."""
        _check_words("bucket", [bucket], ask.Bucket)
        return self._ask(ask.AskOverview(where=where, bucket=bucket), ask.Overview)

    def labels(
        self,
        where: LogFilter = _EVERYTHING,
        *,
        limit: int = SESSIONS_LIMIT_DEFAULT,
        cursor: str | None = None,
    ) -> ask.Labels:
        """Return a page of what people said of sessions, newest first, and how often each."""
        _check_limit(limit, PAGE_ROWS_MAX)
        return self._ask(ask.AskLabels(where=where, limit=limit, cursor=cursor), ask.Labels)

    def unlabelled(
        self, where: LogFilter = _EVERYTHING, *, after: str | None = None
    ) -> ask.Unlabelled:
        """Return which session to label next: the next older than the row `after`."""
        return self._ask(ask.AskUnlabelled(where=where, after=after), ask.Unlabelled)

    def names(self, where: LogFilter = _EVERYTHING) -> Names:
        """Return the names that sessions have, each with its count, for forms."""
        return self._ask(AskNames(where=where), Names)

    def kinds(self, where: LogFilter = _EVERYTHING) -> KindDigests:
        """Return the digests of each kind, with rates and since when, the last used first."""
        return self._ask(AskKinds(where=where), KindDigests)

    def _ask(self, question: ask.Question, kind: type[_Answer]) -> _Answer:
        with self._lock:
            reply = self._reply(msgspec.json.encode(question))
            answer: Any = reply.answer
            if self._builds and (answer.progress.files_missing or reply.distrusts):
                self._builder.start()
                known = msgspec.structs.replace(
                    answer.progress, index_trouble=self._builder.trouble
                )
                answer = msgspec.structs.replace(answer, progress=known)
        if isinstance(answer, ask.Failed):
            if answer.refused:
                raise Refusal("invalid_request", answer.message, hint=answer.hint or "")
            raise ReadFailed(answer.message, hint=answer.hint or _VERIFY)
        assert isinstance(answer, kind), "each question has its answer"
        return answer

    def _reply(self, data: bytes) -> Reply:
        until_s = time.monotonic() + self._timeout_s
        if self._watch.changed():
            self._end()  # it may read only the directory that was there when it began
        for last in (False, True):
            idle = self._child is not None
            child = self._started()
            process = child.process
            if self._stopped:
                raise stopping()
            assert process.stdin is not None, "it was opened with pipes"
            assert process.stdout is not None, "likewise"
            try:
                send(process.stdin.fileno(), data)
                reply = receive(process.stdout.fileno(), until_s=until_s)
                found = msgspec.json.decode(reply, type=Reply)
                if not isinstance(found.answer, ask.Failed) or found.answer.refused:
                    return found
                # It may read only what was there when it began: the log, or its table, came later.
                self._end()
                if last or not (self._watch.changed() or idle):
                    return found
            except OutOfTime as error:
                self._end()
                raise ReadFailed(
                    f"The log was not read within {self._timeout_s:g} s.",
                    hint="Narrow the filter, in time say, or ask again.",
                ) from error
            except PipeEnded as error:
                code = self._end()
                if self._stopped:
                    raise stopping() from error
                if code != EXIT_STALE:
                    _log.warning("the process that reads the session log %s", child.ending)
                # One that was there before may have ended before the question came.
                if last or not (idle or code == EXIT_STALE):
                    raise ReadFailed(
                        "The process that reads the log ended without an answer.",
                        hint="Narrow the filter, in time say, or ask again.",
                        internal=f"exit code {code}",
                    ) from error
            except BaseException:  # Ctrl-C, say: its answer must not be taken for the next one's
                self._end()
                raise
        raise AssertionError("the second try returns or raises")

    def _started(self) -> Child:
        if self._child is not None:
            return self._child
        try:
            self._spill = tempfile.TemporaryDirectory(prefix="lakehouse-reader-")
            spill = Path(self._spill.name).resolve()
            self._child = Child(
                command("reader_child"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=LAST_WORDS,
                env=environment(),
                remove=spill,
            )
        except OSError as error:
            raise ReadFailed(
                f"The process that reads the log cannot be started: {reason(error)}.",
                hint="Ask again when the machine has room on its disk and for processes.",
                internal=f"the process that reads the session log cannot be started: {error}",
            ) from error
        task = ReaderTask(
            root=str(self._root),
            place=str(self._place),
            spill_directory=str(spill),
            memory_bytes=self._memory_bytes,
            threads=min(_THREADS, os.cpu_count() or 1),
        )
        stdin = self._child.process.stdin
        assert stdin is not None, "it was opened with a pipe"
        with contextlib.suppress(PipeEnded):  # seen by its silence
            send(stdin.fileno(), msgspec.json.encode(task))
        return self._child

    def _end(self) -> int | None:
        code = self._child.end() if self._child is not None else None
        self._child = None
        if self._spill is not None:
            self._spill.cleanup()
            self._spill = None
        return code


def stopping() -> InfraError:
    """Say to one who waits that no answer comes any more."""
    return InfraError("shutdown", "The server is stopping.", hint="Ask again when it runs again.")


_VERIFY: Final = "`lakehouse log verify` checks the log; `lakehouse doctor` the rest."


def index_place(root: Path) -> Path:
    """Return where a log's index is: in the log, or in the cache if that cannot be written."""
    inside = root / INDEX
    if os.access(inside if inside.is_dir() else root, os.W_OK) or not root.is_dir():
        return inside
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(cache) if cache.startswith("/") else Path.home() / ".cache"
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    return base / "lakehouse" / INDEX / name


def _check_limit(limit: int, most: int) -> None:
    if not 1 <= limit <= most:
        message = f"`limit` is {limit}; it must be between 1 and {most}."
        raise Refusal("invalid_request", message)


def _check_groups(by: Iterable[str]) -> None:
    _check_words(
        "by", [name for name in by if not name.startswith(ask.METADATA_GROUP)], ask.GroupBy
    )


def _check_words(name: str, words: Iterable[str], allowed: object) -> None:
    known = get_args(allowed)
    for word in words:
        if word not in known:
            near = did_you_mean(word, known)
            message = f"`{name}` is {word!r}{near}; allowed: {', '.join(known)}."
            raise Refusal("invalid_request", message)
