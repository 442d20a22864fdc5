"""The log as SQL views whose columns are the members of rows, declared and never inferred.

Every member is read as text or JSON and cast afterwards: a typed column would turn a cell of
another type into a silent NULL. A line that is no whole row gives NULLs (`ignore_errors` skips
nothing) and is dropped by its missing schema. It does not need any DuckDB extension.

What is a row is decided before (`sources.py`), by the rule that every reader has. The views show
numbers inside JSON as DuckDB writes them (1.10 as 1.1); the reader does not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb
import msgspec

from lakehouse.core.clock import TIME_PATTERN
from lakehouse.core.limits import ROW_BYTES_MAX
from lakehouse.sessionlog.layout import FEEDBACK, REPLAY_RUNS
from lakehouse.sessionlog.reading.columns import (
    ATTEMPT_COLUMNS,
    BAD_LINE_COLUMNS,
    FEEDBACK_COLUMNS,
    FINDING_COLUMNS,
    REPLAY_COLUMNS,
    SESSION_COLUMNS,
    TIME,
    Columns,
)
from lakehouse.sessionlog.reading.reader import bad_lines
from lakehouse.sessionlog.reading.sources import Sources, find_sources
from lakehouse.sql.database import open_database
from lakehouse.sql.quoting import quoted_name, quoted_text, quoted_texts

# DuckDB fails a query on a longer line, even one that is damage: none comes so far (`sources.py`).
_OBJECT_BYTES_MAX: Final = 2 * ROW_BYTES_MAX


_FIRST: Final = "TIMESTAMPTZ '0001-01-01 00:00:00+00'"
_LAST: Final = "TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'"


class _View(msgspec.Struct, frozen=True):
    """A view over lines: its columns, what names a line, and what only a whole line fulfils."""

    name: str
    columns: Columns
    identity: str
    whole: str


# Every member tested here is there in a row of any version. A time that is none is no reason to
# lose a row: it is shown as NULL, by the table too.
_SESSIONS: Final = _View(
    "sessions",
    SESSION_COLUMNS,
    "row_id",
    "schema = 'session.iterate.v1' AND row_id IS NOT NULL AND session_id IS NOT NULL "
    "AND verdict IN ('accepted', 'max_iter_exhausted', 'infra_error') "
    "AND timestamp IS NOT NULL AND TRY_CAST(iterations AS BIGINT) IS NOT NULL",
)
_REPLAYS: Final = _View(
    "replays",
    REPLAY_COLUMNS,
    "replay_row_id",
    "schema = 'replay.run.v1' AND replay_row_id IS NOT NULL",
)
_FEEDBACK: Final = _View(
    "feedback",
    FEEDBACK_COLUMNS,
    "feedback_id",
    "schema = 'feedback.v1' AND feedback_id IS NOT NULL",
)


@contextmanager
def open_views(
    root: Path, sources: Sources | None = None, *, bad: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the log's views on an in-memory database, for a `with`: the files that are there now.

    `sessions`, `attempts`, `findings`, `replays`, `feedback`, and `log_bad_lines` if `bad` asks
    for it, which costs a strict pass over the log. Rows that come into known files later are
    seen, new files are not, and damage that comes into them is not noticed. A row that was written
    twice is shown once. `sessions` holds replays too (`daemon = 'replay'`) and leaves out what was
    forgotten. Times are shown in UTC.

    Raises:
        LakehouseError: The log has a compacted table that cannot be read.

    Cost: 20 ms, and 1 GB/s for a query of lines; the compacted table is read by columns.
    """
    sources = sources or find_sources(root)
    connection = open_database()
    try:
        connection.execute(_sessions_view(connection, sources))
        connection.execute(_attempts_view())
        connection.execute(_findings_view())
        for name, view in ((REPLAY_RUNS, _REPLAYS), (FEEDBACK, _FEEDBACK)):
            paths = [path for called, path in sources.plain if called == name]
            lines = [_read(paths, view.columns, strict=False)] if paths else []
            connection.execute(
                f"CREATE VIEW {view.name} AS {_rows(view, lines, sources.forgotten)}"
            )
        if bad:
            _create_bad_lines(connection, root)
        yield connection
    finally:
        connection.close()
        sources.close()


def _sessions_view(connection: duckdb.DuckDBPyConnection, sources: Sources) -> str:
    """Union the lines with the table; a row that lies in both is taken from the table."""
    lines = [
        _read(list(paths), SESSION_COLUMNS, strict=strict)
        for paths, strict in ((sources.strict, True), (sources.tolerant, False))
        if paths
    ]
    parts = [_rows(_SESSIONS, lines, sources.forgotten)]
    if sources.compacted is not None:
        recent = sources.compacted.relation(connection, sources.live_since) if lines else None
        if recent is not None:
            # Written again after a failed sync, say: once into a segment that is compacted by now.
            parts[0] += f" ANTI JOIN (SELECT row_id FROM {recent}) USING (row_id)"  # noqa: S608 - quoted literals
        whole = sources.compacted.relation(connection)
        if whole is not None:
            casts = ", ".join(_table_cast(*column) for column in SESSION_COLUMNS.items())
            parts.append(f"SELECT {casts} FROM {whole}{_unless(sources.forgotten)}")  # noqa: S608 - quoted literals
    return f"CREATE VIEW sessions AS {' UNION ALL '.join(parts)}"


def _read(paths: list[str], columns: Columns, *, strict: bool) -> str:
    declared = ", ".join(
        f"{quoted_name(name)}: '{'JSON' if cast.startswith(('JSON', 'STRUCT')) else 'VARCHAR'}'"
        for name, cast in columns.items()
    )
    files = quoted_texts(paths)
    return (
        f"SELECT * FROM read_json([{files}], "  # noqa: S608 - quoted literals and constants
        f"format = 'newline_delimited', "
        f"compression = 'uncompressed', columns = {{{declared}}}, "
        f"maximum_object_size = {_OBJECT_BYTES_MAX}, ignore_errors = {not strict})"
    )


def _rows(view: _View, sources: list[str], forgotten: frozenset[str]) -> str:
    if not sources:
        columns = view.columns.items()
        nothing = ", ".join(f"NULL::{cast} AS {quoted_name(column)}" for column, cast in columns)
        return f"SELECT * FROM (SELECT {nothing} WHERE false)"  # noqa: S608 - constants only
    casts = ", ".join(_cast(column, cast) for column, cast in view.columns.items())
    lines = " UNION ALL ".join(sources)
    return (
        f"SELECT * FROM (SELECT {casts} FROM (SELECT DISTINCT ON ({view.identity}) * "  # noqa: S608 - paths are quoted literals
        f"FROM ({lines}) WHERE {view.whole}){_unless(forgotten)})"
    )


def _unless(forgotten: frozenset[str]) -> str:
    listed = quoted_texts(sorted(forgotten))
    return f" WHERE session_id NOT IN ({listed})" if listed else ""


def _table_cast(name: str, cast: str) -> str:
    column = quoted_name(name)
    if cast == TIME:
        return f"{column} AT TIME ZONE 'UTC' AS {column}"
    if cast.startswith("STRUCT"):
        return f"CAST({column} AS {cast}) AS {column}"  # a table of before lacks later members
    # As read_json gives it: numbers written anew, so that equal values stay equal.
    return f"json({column}) AS {column}" if cast == "JSON" else column


def _cast(name: str, cast: str) -> str:
    column = quoted_name(name)
    if cast == TIME:
        return f"{_moment(column)} AS {column}"
    return column if cast in {"VARCHAR", "JSON"} else f"TRY_CAST({column} AS {cast}) AS {column}"


def _moment(column: str) -> str:
    """Read a time as `core.clock.moment_of` does: no text is one to DuckDB alone, or to Python."""
    day = f"CAST(CAST(try_strptime({column}[1:10], '%G-W%V-%u') AS DATE) AS VARCHAR)"
    text = f"CASE WHEN {column}[6] = 'W' THEN {day} || {column}[11:] ELSE {column} END"
    # By way of TIMESTAMPTZ: a plain TIMESTAMP drops an offset that a foreign row may have.
    moment = f"TRY_CAST({text} AS TIMESTAMPTZ)"
    return (
        f"CASE WHEN regexp_full_match({column}, {quoted_text(TIME_PATTERN)}) "
        f"AND {moment} BETWEEN {_FIRST} AND {_LAST} THEN {moment} AT TIME ZONE 'UTC' END"
    )


def _member(source: str, name: str, cast: str) -> str:
    if cast == "VARCHAR":
        return f"{source} ->> '$.{name}' AS {quoted_name(name)}"
    raw = f"json_extract({source}, '$.{name}')"
    if cast == "JSON":
        # The JSON null of a member that is there is SQL's NULL, as it is in `sessions`.
        return (
            f"CASE WHEN json_type({raw}) = 'NULL' THEN NULL ELSE {raw} END AS {quoted_name(name)}"
        )
    return f"TRY_CAST({raw} AS {cast}) AS {quoted_name(name)}"


def _members(source: str, columns: Columns) -> str:
    return ", ".join(_member(source, name, cast) for name, cast in columns.items())


def _attempts_view() -> str:
    return (
        "CREATE VIEW attempts AS SELECT session_id, row_id, "  # noqa: S608 - constants only
        f"{_members('attempt', ATTEMPT_COLUMNS)} FROM "
        "(SELECT session_id, row_id, unnest(CAST(attempts AS JSON[])) AS attempt FROM sessions)"
    )


def _findings_view() -> str:
    return (
        "CREATE VIEW findings AS SELECT session_id, row_id, iteration, "  # noqa: S608 - constants only
        f"{_members('finding', FINDING_COLUMNS)} FROM (SELECT session_id, row_id, iteration, "
        "unnest(CAST(findings AS JSON[])) AS finding FROM attempts)"
    )


def _create_bad_lines(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    connection.execute(f"CREATE TABLE log_bad_lines ({BAD_LINE_COLUMNS})")
    rows = [
        (entry.file, entry.line.number, entry.line.offset, entry.line.bytes, entry.reason)
        for entry in bad_lines(root)
    ]
    if rows:
        connection.executemany("INSERT INTO log_bad_lines VALUES (?, ?, ?, ?, ?)", rows)
