"""The child process of `query`: restricts itself, then runs one SELECT and answers.

It accepts only one SELECT. Before it looks at the SQL, it gives up all ways to write, and to read
outside the log; if the operating system cannot do that, it runs nothing.
"""

import os
import re
import resource
import sys
from itertools import accumulate, islice
from pathlib import Path
from typing import Final

import duckdb
import msgspec

from lakehouse.core.errors import LakehouseError
from lakehouse.files.disk import reason
from lakehouse.sessionlog.layout import unreadable_parts
from lakehouse.sessionlog.reading.query import QueryAnswer, QueryColumn, QueryTask
from lakehouse.sessionlog.reading.restriction import limit, limit_memory, restrict
from lakehouse.sessionlog.reading.sources import Sources, find_sources, is_damage
from lakehouse.sessionlog.reading.views import open_views
from lakehouse.sql.database import open_database
from lakehouse.sql.gate import NotAQuery, ReadQuery, one_line, read_query
from lakehouse.sql.places import place_of
from lakehouse.sql.quoting import quoted_texts
from lakehouse.tabular.csv_export import csv_lines

_TRIES_MAX: Final = 4  # a segment may be sealed, or a file go, between listing and reading
_BATCH_ROWS: Final = 10_000
_LINES_AT_ONCE: Final = 500
_NICE: Final = 10  # sessions come first
_STRING_OR_NOT_JSON: Final = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN')


def main() -> None:
    """Read the task from stdin, write the answer to stdout."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=QueryTask)
    limit(resource.RLIMIT_CPU, task.cpu_s)
    limit(resource.RLIMIT_CORE, 0)
    os.nice(_NICE)
    try:
        answer = _answer(task, spills=_confine(task))
    except MemoryError:
        answer = QueryAnswer(error="The query used more memory than allowed.")
    except LakehouseError as error:
        answer = QueryAnswer(error=error.public, hint=error.hint, internal=error.internal)
    except OSError as error:
        hint = "Free some space, or choose another place for the result."
        answer = QueryAnswer(error=f"The query could not be run: {reason(error)}.", hint=hint)
    sys.stdout.buffer.write(msgspec.json.encode(answer))


def _confine(task: QueryTask) -> bool:
    """Return up all rights but reading; returns whether there is a place to spill to.

    Raises:
        NotConfined: The system cannot hold us to it.
    """
    return restrict(Path(task.root), Path(task.spill_directory))


def _answer(task: QueryTask, *, spills: bool) -> QueryAnswer:
    try:
        with open_database() as connection:
            read = read_query(connection, task.sql)
    except NotAQuery as error:
        place = place_of(error.__cause__, task.sql) if error.__cause__ is not None else None
        return QueryAnswer(error=str(error), refused=True, place=place)
    root = Path(task.root)
    damaged: str | None = None
    unread = [*unreadable_parts(root)]
    for last in (False,) * (_TRIES_MAX - 1) + (True,):
        try:
            answer = _run(task, read, trusting=damaged is None, spills=spills)
        except LakehouseError as error:
            return QueryAnswer(error=error.public, hint=error.hint, internal=error.internal)
        except duckdb.Error as error:
            text = one_line(error)
            if damaged is None and is_damage(root, error):
                damaged = f"Damaged lines were skipped (lakehouse log verify): {text}"
            elif last or not _file_is_gone(error):
                refused = not _is_ours(root, error)
                place = place_of(error, task.sql) if refused else None
                return QueryAnswer(error=text, refused=refused, place=place)
        else:
            parts = [f"{one} Its rows are missing (lakehouse log verify)." for one in unread]
            told = " ".join(filter(None, (*parts, damaged or answer.warning)))
            return msgspec.structs.replace(answer, warning=told or None)
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
    if task.file is not None and task.form == "parquet":
        import pyarrow.parquet  # noqa: F401, PLC0415 - half a second, for the one that needs it
    limit_memory(task.memory_bytes)
    with open_views(root, sources, bad="log_bad_lines" in task.sql.lower()) as connection:
        _lock_down(connection, task, sources.paths, spills=spills)
        relation = _bound(connection, read.sql)
        columns = tuple(
            QueryColumn(name, str(kind))
            for name, kind in zip(_unique(relation.columns), relation.types, strict=True)
        )
        if task.file is not None:
            if task.form == "parquet":
                written = _write_parquet(relation, columns, task, task.file)
            else:
                written = _write_lines(relation, columns, task, task.file)
            if written > task.rows_max:
                return _too_many(task)
            return QueryAnswer(columns, warning=_left_out(sources))
        # DuckDB writes the JSON: Python would need a package more for times with a zone.
        rows = _as_json(relation).limit(task.rows_max + 1).fetchall()
    more = len(rows) > task.rows_max
    if more and task.first_bytes is None:
        return _too_many(task)
    cells = tuple(tuple(_raw(cell) for cell in row) for row in rows[: task.rows_max])
    if task.first_bytes is not None:
        sizes = accumulate(sum(len(bytes(cell)) for cell in row) for row in cells)
        fitting = max(1, sum(size <= task.first_bytes for size in sizes))
        more, cells = more or fitting < len(cells), cells[:fitting]
    return QueryAnswer(columns, cells, warning=_left_out(sources), more=more)


def _bound(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation:
    try:
        relation = connection.sql(sql)
    except (duckdb.BinderException, duckdb.CatalogException):
        connection.execute(sql)  # fails too, and its message says where
        raise
    assert relation is not None, "a SELECT gives a relation"
    return relation


def _too_many(task: QueryTask) -> QueryAnswer:
    return QueryAnswer(error=f"The result has more than {task.rows_max} rows.")


def _as_json(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    return relation.project("to_json(COLUMNS(*))::VARCHAR")


def _write_lines(
    relation: duckdb.DuckDBPyRelation,
    columns: tuple[QueryColumn, ...],
    task: QueryTask,
    descriptor: int,
) -> int:
    """Write the rows as CSV or as JSON lines; returns how many there were."""
    names = [column.name for column in columns]
    texts = _as_json(relation).limit(task.rows_max + 1).iter_rows()
    count = 0
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        if task.form == "csv":
            file.writelines(csv_lines(names, [], raw=False))
        while found := list(islice(texts, _LINES_AT_ONCE)):
            count += len(found)
            rows = [[_raw(cell) for cell in row] for row in found]
            if task.form == "csv":
                file.writelines(islice(csv_lines(names, rows, raw=False), 1, None))
            else:
                lines = (dict(zip(names, row, strict=True)) for row in rows)
                file.writelines(msgspec.json.encode(line).decode() + "\n" for line in lines)
    return count


def _left_out(sources: Sources) -> str | None:
    if not sources.damaged:
        return None
    return f"Damaged lines were skipped (lakehouse log verify): {', '.join(sources.damaged)}"


def _write_parquet(
    relation: duckdb.DuckDBPyRelation,
    columns: tuple[QueryColumn, ...],
    task: QueryTask,
    descriptor: int,
) -> int:
    """Write the rows as Parquet: by pyarrow, because SQL is left no way to write a file.

    Returns how many there were.
    """
    import pyarrow as pa  # noqa: PLC0415 - half a second, for the one format that needs it
    import pyarrow.parquet as pq  # noqa: PLC0415 - likewise

    reader = relation.limit(task.rows_max + 1).to_arrow_reader(_BATCH_ROWS)
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
            arrays = [
                column.storage if isinstance(column, pa.ExtensionArray) else column
                for column in batch.columns
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    return written


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


if __name__ == "__main__":
    main()
