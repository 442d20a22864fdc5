"""SQL on the log: the views' columns, the first rows as a table and a chart, all rows as a file."""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from lakehouse.core.errors import LakehouseError, Refusal
from lakehouse.core.suggestion import did_you_mean
from lakehouse.sessionlog.reading.columns import (
    ATTEMPT_COLUMNS,
    BAD_LINE_COLUMNS,
    FEEDBACK_COLUMNS,
    FINDING_COLUMNS,
    REPLAY_COLUMNS,
    SESSION_COLUMNS,
)
from lakehouse.sessionlog.reading.query import FileForm, QueryFailed, QueryRefused, QueryResult
from lakehouse.sql.places import SqlPlace
from lakehouse.ui.faults import Fault, fault_of
from lakehouse.ui.filter_sql import filter_sql
from lakehouse.ui.page import WAIT, Download, Page, PageRequest, Section, Shown
from lakehouse.ui.queries import Queries

_LOG = logging.getLogger(__name__)
_SQL: Final = "sql"
_IDS: Final = {"session_id": "VARCHAR", "row_id": "VARCHAR"}
_VIEWS: Final[dict[str, Mapping[str, str]]] = {
    "sessions": SESSION_COLUMNS,
    "attempts": {**_IDS, **ATTEMPT_COLUMNS},
    "findings": {**_IDS, "iteration": "BIGINT", **FINDING_COLUMNS},
    "replays": REPLAY_COLUMNS,
    "feedback": FEEDBACK_COLUMNS,
    "log_bad_lines": {
        name.strip('"'): kind for name, kind in map(str.split, BAD_LINE_COLUMNS.split(", "))
    },
}
_MEDIA_TYPES: Final[dict[FileForm, str]] = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
_UNKNOWN: Final = re.compile(r'(?:named|column|key) "(\w+)"')


class Example(msgspec.Struct, frozen=True):
    """A query to begin with."""

    title: str
    sql: str


EXAMPLES: Final = (
    Example(
        "Sessions of each day, and how many were accepted",
        "SELECT timestamp::DATE AS day, count(*) AS sessions,\n"
        "  count(*) FILTER (verdict = 'accepted') AS accepted\n"
        "FROM sessions WHERE daemon <> 'replay' GROUP BY day ORDER BY day",
    ),
    Example(
        "Findings by code",
        "SELECT code, count(*) AS findings, count(DISTINCT row_id) AS sessions\n"
        "FROM findings GROUP BY code ORDER BY findings DESC",
    ),
    Example(
        "Values that are not in a table",
        "SELECT path, got ->> '$' AS value, mode(nearest) AS nearest, count(*) AS findings\n"
        "FROM findings WHERE code = 'ungrounded'\n"
        "GROUP BY path, value ORDER BY findings DESC LIMIT 100",
    ),
    Example(
        "Time and tokens of each model",
        "SELECT coalesce(model_alias, model) AS model, median(duration_ms) AS median_ms,\n"
        "  quantile_cont(duration_ms, 0.99) AS p99_ms,\n"
        "  median(usage.completion_tokens) AS completion_tokens\n"
        "FROM sessions WHERE daemon <> 'replay' GROUP BY 1 ORDER BY 1",
    ),
    Example(
        "The slowest sessions",
        "SELECT row_id, timestamp, kind, verdict, iterations, duration_ms\n"
        "FROM sessions ORDER BY duration_ms DESC LIMIT 20",
    ),
)


class ViewColumn(msgspec.Struct, frozen=True):
    """A column of a view; `type` is DuckDB's."""

    name: str
    type: str


class View(msgspec.Struct, frozen=True):
    """What can be queried."""

    name: str
    columns: tuple[ViewColumn, ...]


class QueryFault(msgspec.Struct, frozen=True):
    """Why there is no result. `place` is what is at fault in the SQL, `line` the line it is in."""

    fault: Fault
    place: SqlPlace | None = None
    line: str | None = None


class QueryPage(msgspec.Struct, frozen=True, kw_only=True):
    """The page. `waits`: the SQL came from elsewhere, and runs when the reader says so.

    `filter_sql` is the filter of the address as SQL; it is not applied to other SQL.
    """

    sql: str | None
    waits: bool
    result: QueryResult | None
    fault: QueryFault | None
    filter_sql: str
    views: tuple[View, ...]
    examples: tuple[Example, ...]


def query_section(queries: Queries) -> Section:
    """Return the page for SQL, and the files of its results."""

    async def show(request: PageRequest) -> msgspec.Struct:
        sql = _sql(request)
        waits = sql is not None and (not request.asked_here or request.own(WAIT) is not None)
        result: QueryResult | None = None
        fault: QueryFault | None = None
        if sql is not None and not waits:
            try:
                result = await queries.first_rows(sql, request.gone)
            except LakehouseError as error:
                fault = _fault(error, sql)
        page = QueryPage(
            sql=sql,
            waits=waits,
            result=result,
            fault=fault,
            filter_sql=await asyncio.to_thread(filter_sql, request.where),
            views=_views(),
            examples=EXAMPLES,
        )
        return Shown(page, fault.fault.status if fault is not None else HTTPStatus.OK)

    page = Page(
        entry="query",
        path="/query",
        title="Query",
        template="query.html",
        model=show,
        own=(_SQL, WAIT),
    )
    return Section(pages=(page,), downloads=tuple(_file(queries, form) for form in _MEDIA_TYPES))


def _file(queries: Queries, form: FileForm) -> Download:
    async def pieces(request: PageRequest) -> AsyncGenerator[bytes]:
        sql = _sql(request)
        if sql is None:
            raise Refusal("invalid_request", "`sql` is missing.", hint="/ui/query shows examples.")
        if not request.asked_here:
            raise Refusal(
                "invalid_request",
                "A link or an address does not run SQL by itself.",
                hint="Open /ui/query, run the SQL there, and take the file from its page.",
            )
        try:
            async for piece in queries.file(sql, form, request.gone):
                yield piece
        except QueryRefused as error:
            raise Refusal("invalid_request", error.public, hint=error.hint) from error

    return Download(
        path=f"/query.{form}",
        media_type=_MEDIA_TYPES[form],
        file_name=f"query.{form}",
        pieces=pieces,
        own=(_SQL,),
    )


def _sql(request: PageRequest) -> str | None:
    sql = request.own(_SQL)
    return sql.replace("\r\n", "\n") if sql is not None else None  # as forms send it


def _views() -> tuple[View, ...]:
    return tuple(
        View(name, tuple(ViewColumn(*column) for column in columns.items()))
        for name, columns in _VIEWS.items()
    )


def _fault(error: LakehouseError, sql: str) -> QueryFault:
    """Say why there is no result.

    Raises:
        LakehouseError: The error itself, where it is not the query's.
    """
    if isinstance(error, QueryRefused):
        refusal = Refusal("invalid_request", error.public + _nearest(error.public), hint=error.hint)
        place = error.place
        line = sql.split("\n")[place.line - 1] if place is not None else None
        return QueryFault(fault_of(refusal), place, line)
    if isinstance(error, QueryFailed):
        _LOG.warning("a query failed: %s", error.internal)
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return QueryFault(Fault(status.phrase, status, "query_failed", error.public, error.hint))
    if isinstance(error, Refusal):
        return QueryFault(fault_of(error))
    raise error


def _nearest(message: str) -> str:
    """Name what an unknown name is near to, where DuckDB does not."""
    found = _UNKNOWN.search(message)
    if found is None or "Candidate" in message or "Did you mean" in message:
        return ""
    known = [name for columns in _VIEWS.values() for name in columns]
    return did_you_mean(found[1], dict.fromkeys([*_VIEWS, *known]))
