"""Runs one SELECT over the log's views, in a child process that the operating system restricts.

DuckDB's own limits are not a sandbox: a scalar can use any amount of memory, and some functions
ignore interrupts. The operating system lets the child write only into its spill directory (decision
0020), and it ends with us. It gets none of our environment but, for a table in an object store, the
variables that open it, which SQL cannot read. It does not run more than one statement, one that
writes, and any where the system cannot keep it from writing. Blocks: call it from a thread.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

import lakehouse
from lakehouse.core.errors import LakehouseError, SetupError
from lakehouse.files.disk import replacing
from lakehouse.process.children import LAST_WORDS, Child
from lakehouse.sessionlog.reading.compacted import is_remote
from lakehouse.sql.places import SqlPlace

TIMEOUT_MS_DEFAULT: Final = 30_000
MEMORY_BYTES_DEFAULT: Final = 2 << 30  # of address space; DuckDB gets half and spills to disk
ROWS_MAX_DEFAULT: Final = 100_000
_RESULT_BYTES_MAX: Final = 256 << 20
_LOOK_S: Final = 0.1

FileForm = Literal["parquet", "csv", "jsonl"]


class QueryColumn(msgspec.Struct, frozen=True):
    """A column of a result; names are made unique, `type` is DuckDB's."""

    name: str
    type: str


class QueryResult(msgspec.Struct, frozen=True):
    """A result; each cell is JSON. Values without a form in JSON are strings, times are UTC.

    `warning` says that damaged lines, or whole parts of the log, were left out. `more`: these are
    only its first rows.
    """

    columns: tuple[QueryColumn, ...]
    rows: tuple[tuple[msgspec.Raw, ...], ...]
    warning: str | None = None
    more: bool = False

    def json(self) -> bytes:
        """Write the result as a list of objects, as `lakehouse query --json` prints it."""
        names = [msgspec.json.encode(column.name) for column in self.columns]
        objects = (
            b",".join(b"%b:%b" % (name, cell) for name, cell in zip(names, row, strict=True))
            for row in ([bytes(cell) for cell in row] for row in self.rows)
        )
        return b"[%b]" % b",".join(b"{%b}" % members for members in objects)


class QueryTask(msgspec.Struct, frozen=True):
    """The child's input on stdin.

    `file`: a descriptor that the rows go to, instead of into the answer. `first_bytes`: how much
    of the first rows is enough; None if it must be all.
    """

    root: str
    sql: str
    rows_max: int
    memory_bytes: int
    cpu_s: int
    spill_directory: str
    file: int | None = None
    form: FileForm = "parquet"
    first_bytes: int | None = None


class QueryAnswer(msgspec.Struct, frozen=True):
    """The child's output on stdout. `refused`: the SQL is at fault, not a limit.

    `internal` is the cause, for the operator.
    """

    columns: tuple[QueryColumn, ...] = ()
    rows: tuple[tuple[msgspec.Raw, ...], ...] = ()
    warning: str | None = None
    error: str | None = None
    refused: bool = False
    hint: str | None = None
    internal: str = ""
    place: SqlPlace | None = None
    more: bool = False


class QueryRefused(SetupError):
    """The SQL is not one SELECT, or DuckDB refuses it. `place` is what is at fault, if known."""

    def __init__(self, public: str, *, hint: str, place: SqlPlace | None) -> None:
        super().__init__(public, hint=hint)
        self.place = place


class QueryFailed(LakehouseError):
    """A query that may be run and could not: a limit was reached, or the log could not be read."""


def query(
    root: Path,
    sql: str,
    *,
    timeout_ms: int = TIMEOUT_MS_DEFAULT,
    memory_bytes: int = MEMORY_BYTES_DEFAULT,
    rows_max: int = ROWS_MAX_DEFAULT,
    output: Path | None = None,
    form: FileForm = "parquet",
    first_bytes: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> QueryResult:
    """Run one SELECT over the views of `open_views`, `log_bad_lines` included.

    Args:
        root: The log directory; one that is not there gives empty views.
        sql: One statement that only reads.
        timeout_ms: Wall clock; the same is allowed as CPU time per core.
        memory_bytes: Address space of the child, beside what its libraries take.
        rows_max: More rows are an error, never cut silently; with `first_bytes` they are `more`.
        output: A file that takes the rows instead of the result; one that is there is replaced,
            once the new one is whole.
        form: What the file is: Parquet with DuckDB's types, CSV for spreadsheets, or JSON lines.
        first_bytes: Return the first rows, one at least, as far as they fit into so many bytes.
        stopped: Asked ten times a second; the query ends when it returns True.

    Raises:
        QueryRefused: The SQL is not one SELECT, or DuckDB refuses it; one line that says why.
        SetupError: `output` cannot be written.
        QueryFailed: Time, memory or the size of the result ran out, or it was stopped.

    Cost: 0.3 s to start the child, then 1 GB/s of log.
    """
    try:
        sql.encode("utf-8")
    except UnicodeEncodeError as error:  # a shell passed bytes on that are not UTF-8
        hint = "Send it as UTF-8."
        raise QueryRefused("The SQL is not valid Unicode.", hint=hint, place=None) from error
    with (
        tempfile.TemporaryDirectory(prefix="lakehouse-query-") as spill_directory,
        _beside(output) as file,
    ):
        task = QueryTask(
            root=str(root.expanduser().resolve()),
            sql=sql,
            rows_max=rows_max,
            memory_bytes=memory_bytes,
            cpu_s=-(-timeout_ms // 1000) * (os.cpu_count() or 1),
            spill_directory=str(Path(spill_directory).resolve()),
            file=file,
            form=form,
            first_bytes=first_bytes,
        )
        answer = _run(task, timeout_ms, stopped)
    return QueryResult(answer.columns, answer.rows, answer.warning, answer.more)


@contextlib.contextmanager
def _beside(target: Path | None) -> Iterator[int | None]:
    """Open a file that takes the place of `target` when all went well, for a `with`.

    Opened here, because the child can make none.
    """
    if target is None:
        yield None
        return
    opened = False
    try:
        with replacing(target, mode=0o666) as file:
            opened = True
            yield file.fileno()
    except OSError as error:
        if not opened:
            raise SetupError(
                f"Cannot write {target}: {error.strerror}.", hint="Choose another --output."
            ) from error
        raise QueryFailed(
            f"Cannot write {target}: {error.strerror}.",
            hint="Free some space there, or choose another --output.",
        ) from error


def _answer(output: bytes, code: int, child: Child) -> QueryAnswer:
    if not output and code >= 0:
        raise QueryFailed(
            "The query's process ended without an answer.",
            hint="`lakehouse log verify` checks the log; `lakehouse doctor` the rest.",
            internal=f"the query's process {child.ending}",
        )
    try:
        answer = msgspec.json.decode(output, type=QueryAnswer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise QueryFailed(
            "The operating system ended the query: it used too much memory or CPU time.",
            hint="Narrow it with WHERE or LIMIT.",
            internal=f"the query's process {child.ending}",
        ) from error
    if answer.error is not None:
        if answer.refused:
            hint = "The views: " + ", ".join(_VIEWS) + "."
            raise QueryRefused(answer.error, hint=hint, place=answer.place)
        hint = answer.hint or "Narrow the query with WHERE or LIMIT."
        raise QueryFailed(answer.error, hint=hint, internal=answer.internal)
    return answer


_VIEWS: Final = ("sessions", "attempts", "findings", "replays", "feedback", "log_bad_lines")


def _run(task: QueryTask, timeout_ms: int, stopped: Callable[[], bool]) -> QueryAnswer:
    """Run the child to its end, or kill it; its answer."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(Path(lakehouse.__file__).parent.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if is_remote(Path(task.root)):
        # Its library finds the object store, and the right to read it, in these.
        environment |= {
            name: value for name, value in os.environ.items() if name.startswith("AWS_")
        }
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output:
        given.write(msgspec.json.encode(task))
        given.seek(0)
        child = Child(
            # -P: a file of the working directory is no module of ours.
            [sys.executable, "-P", "-m", "lakehouse.sessionlog.reading.query_child"],
            stdin=given,
            stdout=output,
            stderr=LAST_WORDS,
            env=environment,
            pass_fds=() if task.file is None else (task.file,),
            remove=Path(task.spill_directory),
        )
        try:
            _wait(child.process, timeout_ms, stopped)
        finally:
            # Also on Ctrl-C: a query that nobody waits for must not go on.
            code = child.end()
        output.seek(0)
        return _answer(output.read(_RESULT_BYTES_MAX), code, child)


def _wait(process: subprocess.Popen[bytes], timeout_ms: int, stopped: Callable[[], bool]) -> None:
    until_s = time.monotonic() + timeout_ms / 1000
    while True:
        try:
            process.wait(min(_LOOK_S, max(0.0, until_s - time.monotonic())))
        except subprocess.TimeoutExpired as error:
            if stopped():
                raise QueryFailed("The query was stopped.") from error
            if time.monotonic() >= until_s:
                raise QueryFailed(
                    f"The query took longer than {timeout_ms / 1000:g} s.",
                    hint="Narrow it with WHERE, or allow it more time.",
                ) from error
        else:
            return
