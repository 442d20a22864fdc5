"""The child process of `query`: restricts itself, then runs one SELECT and answers.

It accepts only one SELECT. Before it looks at the SQL, it gives up all ways to write, and to read
outside the log; if the operating system cannot do that, it runs nothing.
"""

import os
import re
import resource
import sys
from pathlib import Path
from typing import Final

import duckdb
import msgspec

from lakehouse.core.errors import LakehouseError
from lakehouse.files.disk import reason
from lakehouse.process.confinement import Bounds, confine
from lakehouse.sessionlog.layout import ACTIVE, SEALED, log_files
from lakehouse.sessionlog.reading.compacted import is_remote, read_identity, table_uri
from lakehouse.sessionlog.reading.query import QueryAnswer, QueryColumn, QueryTask
from lakehouse.sessionlog.reading.sources import Sources, find_sources, is_damage
from lakehouse.sessionlog.reading.views import open_views
from lakehouse.sql.database import open_database
from lakehouse.sql.gate import NotAQuery, ReadQuery, one_line, read_query
from lakehouse.sql.quoting import quoted_texts

_TRIES_MAX: Final = 4  # a segment may be sealed, or a file go, between listing and reading
_BATCH_ROWS: Final = 10_000
_TRIED_MAX: Final = 8  # files that writing is tried on; the rest lie in the same directories
_STRING_OR_NOT_JSON: Final = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN')
# What libraries look up when they load or count the machine's memory and time zones.
_SYSTEM: Final = (
    *("/usr", "/lib", "/lib64", "/bin", "/opt", "/nix", "/proc", "/sys"),
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/dev/null", "/dev/urandom"),
)


def main() -> None:
    """Read the task from stdin, write the answer to stdout."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=QueryTask)
    _limit(resource.RLIMIT_CPU, task.cpu_s)
    _limit(resource.RLIMIT_CORE, 0)
    try:
        answer = _answer(task, spills=_confine(task))
    except MemoryError:
        answer = QueryAnswer(error="The query used more memory than allowed.")
    except LakehouseError as error:
        answer = QueryAnswer(error=error.public, hint=error.hint)
    except OSError as error:
        hint = "Free some space, or choose another place for the result."
        answer = QueryAnswer(error=f"The query could not be run: {reason(error)}.", hint=hint)
    sys.stdout.buffer.write(msgspec.json.encode(answer))


def _confine(task: QueryTask) -> bool:
    """Return up all rights but reading; returns whether there is a place to spill to.

    Raises:
        NotConfined: The system cannot hold us to it.
    """
    root = Path(task.root)
    files = [file.path for file in log_files(root)]
    never = [root, *(root / part for part in (ACTIVE, SEALED)), *files[:_TRIED_MAX]]
    remote = is_remote(root)
    bounds = Bounds(
        writable=Path(task.spill_directory),
        readable=None if remote else _readable(root),
        network=remote,
    )
    return confine(bounds, never).writable


def _readable(root: Path) -> tuple[Path, ...]:
    """List what may be read: the log, its table, and what the interpreter and libraries need."""
    identity = read_identity(root)
    table = [Path(table_uri(root, identity))] if identity is not None else []
    python = {sys.prefix, sys.base_prefix, sys.exec_prefix, *filter(None, sys.path)}
    return (root, *table, *map(Path, sorted(python)), *map(Path, _SYSTEM))


def _answer(task: QueryTask, *, spills: bool) -> QueryAnswer:
    try:
        with open_database() as connection:
            read = read_query(connection, task.sql)
    except NotAQuery as error:
        return QueryAnswer(error=str(error), refused=True)
    root = Path(task.root)
    damaged: str | None = None
    for last in (False,) * (_TRIES_MAX - 1) + (True,):
        try:
            answer = _run(task, read, trusting=damaged is None, spills=spills)
        except LakehouseError as error:
            return QueryAnswer(error=error.public, hint=error.hint)
        except duckdb.Error as error:
            text = one_line(error)
            if damaged is None and is_damage(root, error):
                damaged = f"Damaged lines were skipped (lakehouse log verify): {text}"
            elif last or not _file_is_gone(error):
                return QueryAnswer(error=text, refused=not _is_ours(root, error))
        else:
            return msgspec.structs.replace(answer, warning=damaged or answer.warning)
    raise AssertionError("the last try returns")


def _file_is_gone(error: duckdb.Error) -> bool:
    return "No such file" in str(error) or "No files found" in str(error)


def _is_ours(root: Path, error: duckdb.Error) -> bool:
    """Return whether the log or a limit caused it, not the SQL."""
    ours = (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.InternalException)
    if isinstance(error, ours):
        return True
    return isinstance(error, duckdb.InvalidInputException) and f"{root}/" in str(error)


def _run(task: QueryTask, read: ReadQuery, *, trusting: bool, spills: bool) -> QueryAnswer:
    root = Path(task.root)
    # The strict pass behind this view costs more than most queries: only for who names it.
    sources = find_sources(root, trusting=trusting, spill=Path(task.spill_directory))
    # Only now: the libraries that a compacted table needs map a good part of a gigabyte by
    # themselves, and the query shall have all that it was promised.
    if task.parquet is not None:
        import pyarrow.parquet  # noqa: F401, PLC0415 - half a second, for the one that needs it
    _limit(resource.RLIMIT_AS, _address_space_bytes() + task.memory_bytes)
    with open_views(root, sources, bad="log_bad_lines" in task.sql.lower()) as connection:
        _lock_down(connection, task, sources.paths, spills=spills)
        relation = connection.sql(read.sql)
        assert relation is not None, "a SELECT gives a relation"
        columns = tuple(
            QueryColumn(name, str(kind))
            for name, kind in zip(_unique(relation.columns), relation.types, strict=True)
        )
        if task.parquet is not None:
            return _write_parquet(
                relation, columns, task.parquet, task.rows_max, _left_out(sources)
            )
        # DuckDB writes the JSON: Python would need a package more for times with a zone.
        texts = relation.project("to_json(COLUMNS(*))::VARCHAR").limit(task.rows_max + 1)
        rows = texts.fetchall()
    if len(rows) > task.rows_max:
        return QueryAnswer(error=f"The result has more than {task.rows_max} rows.")
    cells = tuple(tuple(_raw(cell) for cell in row) for row in rows)
    return QueryAnswer(columns, cells, warning=_left_out(sources))


def _left_out(sources: Sources) -> str | None:
    if not sources.damaged:
        return None
    return f"Damaged lines were skipped (lakehouse log verify): {', '.join(sources.damaged)}"


def _write_parquet(
    relation: duckdb.DuckDBPyRelation,
    columns: tuple[QueryColumn, ...],
    descriptor: int,
    rows_max: int,
    warning: str | None,
) -> QueryAnswer:
    """Write the rows as Parquet: by pyarrow, because SQL is left no way to write a file."""
    import pyarrow as pa  # noqa: PLC0415 - half a second, for the one format that needs it
    import pyarrow.parquet as pq  # noqa: PLC0415 - likewise

    reader = relation.limit(rows_max + 1).to_arrow_reader(_BATCH_ROWS)
    names = [column.name for column in columns]
    written = 0
    # DuckDB marks JSON as a type of Arrow's that few readers of Parquet know; it is text.
    types = [
        kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
        for kind in reader.schema.types
    ]
    schema = pa.schema(list(zip(names, types, strict=True)))
    with os.fdopen(descriptor, "wb") as file, pq.ParquetWriter(file, schema) as writer:
        for batch in reader:
            written += batch.num_rows
            if written > rows_max:
                return QueryAnswer(error=f"The result has more than {rows_max} rows.")
            arrays = [
                column.storage if isinstance(column, pa.ExtensionArray) else column
                for column in batch.columns
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    return QueryAnswer(columns, warning=warning)


def _lock_down(
    connection: duckdb.DuckDBPyConnection, task: QueryTask, paths: list[str], *, spills: bool
) -> None:
    connection.execute("SET memory_limit = ?", [f"{task.memory_bytes >> 21}MiB"])
    connection.execute("SET temp_directory = ?", [task.spill_directory if spills else ""])
    connection.execute("SET max_temp_directory_size = '4GiB'")
    connection.execute("SET python_enable_replacements = false")
    connection.execute(f"SET allowed_paths = [{quoted_texts(paths)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _unique(names: list[str]) -> list[str]:
    unique: list[str] = []
    for name in names:
        candidate, number = name, 0
        while candidate in unique:
            number += 1
            candidate = f"{name}_{number}"
        unique.append(candidate)
    return unique


def _raw(cell: str | None) -> msgspec.Raw:
    """Make a cell JSON: DuckDB writes NaN and Infinity, also inside lists, as JSON cannot."""
    if cell is None:
        return msgspec.Raw(b"null")
    if "NaN" in cell or "Infinity" in cell:
        cell = _STRING_OR_NOT_JSON.sub(_quote, cell)
    return msgspec.Raw(cell)


def _quote(found: re.Match[str]) -> str:
    text = found.group()
    return text if text.startswith('"') else f'"{text}"'


def _address_space_bytes() -> int:
    """Return the memory that this process has mapped; 0 if the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(what, (value, value))


if __name__ == "__main__":
    main()
