"""Answers one question after another about one log, each from the log as it is then."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
import pyarrow as pa

from lakehouse.core.errors import LakehouseError, Refusal
from lakehouse.files.disk import reason
from lakehouse.sessionlog.index import questions as ask
from lakehouse.sessionlog.index.answers import Answers
from lakehouse.sessionlog.index.facets import Facets
from lakehouse.sessionlog.index.filters import folded
from lakehouse.sessionlog.index.labels import LabelAnswers
from lakehouse.sessionlog.index.lookup import Lookup
from lakehouse.sessionlog.index.names import AskKinds, AskNames
from lakehouse.sessionlog.index.shelf import Shelf
from lakehouse.sessionlog.index.tasks import ReaderTask
from lakehouse.sessionlog.reading.compacted import read_identity
from lakehouse.sql.database import open_database
from lakehouse.sql.gate import one_line

_TRIES_MAX: Final = 4  # a pack may be merged, or a file go, between listing and reading


class Desk:
    """One shelf and what answers from it."""

    def __init__(self, task: ReaderTask, *, spills: bool, on_moved: Callable[[], object]) -> None:
        """Begin; `on_moved` is called when the log gets a compacted table, or another one."""
        self._on_moved = on_moved
        pa.set_cpu_count(1)
        root = Path(task.root)
        self._root = root
        self._identity = read_identity(root)
        self._connection = _open(task, spills=spills)
        self.shelf = Shelf(self._connection, root, Path(task.place))
        self._answers = Answers(self._connection)
        lookup = Lookup(self._connection, root, self.shelf)
        labels = LabelAnswers(self._connection)
        facets = Facets(self._connection)
        self._by_question: dict[type, Callable[[Any], Any]] = {
            ask.AskSessions: self._answers.sessions,
            ask.AskRows: lookup.rows,
            ask.AskNeighbours: self._answers.neighbours,
            ask.AskSession: lookup.session,
            ask.AskRates: self._answers.rates,
            ask.AskFindings: self._answers.findings,
            ask.AskValues: self._answers.values,
            ask.AskLatency: self._answers.latency,
            ask.AskOverview: self._answers.overview,
            ask.AskLabels: labels.labels,
            ask.AskUnlabelled: labels.unlabelled,
            AskNames: facets.names,
            AskKinds: facets.kinds,
        }

    def answer(self, question: ask.Question) -> Any:
        """Answer, or say why not.

        Raises:
            MemoryError: There is not enough of it.
        """
        for last in (False,) * (_TRIES_MAX - 1) + (True,):
            try:
                return self._try(question)
            except Refusal as error:
                return ask.Failed(message=error.public, hint=error.hint, refused=True)
            except LakehouseError as error:
                return ask.Failed(message=error.public, hint=error.hint)
            except duckdb.OutOfMemoryException as error:
                raise MemoryError from error
            except duckdb.Error as error:
                text = str(error)
                gone = "No such file" in text or "No files found" in text
                if last or not (self.shelf.distrust() or gone):
                    return ask.Failed(message=f"The session log cannot be read: {one_line(error)}")
            except OSError as error:
                return ask.Failed(message=f"The session log cannot be read: {reason(error)}.")
        raise AssertionError("the last try returns")

    def _try(self, question: ask.Question) -> Any:
        identity = read_identity(self._root)
        if identity != self._identity:
            self._identity = identity
            self._on_moved()
        self.shelf.refresh()
        if question.where.text:
            self.shelf.search(folded(question.where.text))
        answer = self._by_question[type(question)](question)
        return msgspec.structs.replace(answer, progress=self._progress())

    def _progress(self) -> ask.Progress:
        missing, unreadable = self.shelf.missing, self.shelf.unreadable
        most = sorted(unreadable.items(), key=lambda one: (-one[1], one[0]))
        return ask.Progress(
            rows=self._answers.rows(),
            files_missing=missing.files,
            bytes_missing=missing.bytes,
            lines_unreadable=sum(unreadable.values()),
            files_unreadable=len(unreadable),
            unreadable=tuple(
                ask.UnreadableFile(self.shelf.files[name].label, lines)
                for name, lines in most[: ask.UNREADABLE_FILES_MAX]
            ),
            compacted_elsewhere=self._identity is not None and self._identity.is_remote,
        )


def _open(task: ReaderTask, *, spills: bool) -> duckdb.DuckDBPyConnection:
    connection = open_database(
        threads=str(task.threads),
        memory_limit=f"{task.memory_bytes >> 21}MiB",
        temp_directory=task.spill_directory if spills else "",
        max_temp_directory_size="2GiB",
        python_enable_replacements="false",
    )
    connection.execute("SET parquet_metadata_cache = true")
    return connection
