"""`GET /v1/sessions` and `/v1/sessions/{id}`: read the log while it is being written."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec

from lakehouse.core.errors import Refusal
from lakehouse.core.ids import is_session_id
from lakehouse.core.integers import whole_number
from lakehouse.core.limits import SESSIONS_LIMIT_DEFAULT, SESSIONS_LIMIT_MAX
from lakehouse.sessionlog.reading.filters import SessionFilter, moment
from lakehouse.sessionlog.reading.sessions import SessionsPage, list_sessions, session_rows
from lakehouse.transport.response import Response, json_response
from lakehouse.transport.route import Call, Parameter, Route, Routes

FILTERS: Final = tuple(SessionFilter.__struct_fields__)
_CURSOR: Final = Parameter("cursor")
_LIMIT: Final = Parameter(
    "limit",
    {
        "type": "integer",
        "minimum": 1,
        "maximum": SESSIONS_LIMIT_MAX,
        "default": SESSIONS_LIMIT_DEFAULT,
    },
)
# The log's own bytes, not decoded here.
_Brief = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})]
_Whole = Annotated[
    msgspec.Raw, msgspec.Meta(extra_json_schema={"$ref": "#/components/schemas/Row"})
]


class SessionList(msgspec.Struct, frozen=True):
    """The body of `GET /v1/sessions`: rows without attempts, newest first."""

    sessions: tuple[_Brief, ...]
    next: str | None


class SessionRows(msgspec.Struct, frozen=True):
    """The body of `GET /v1/sessions/{id}`: rows as they were written, newest first."""

    session_id: str
    rows: tuple[_Whole, ...]
    next: str | None


class _Named(msgspec.Struct):
    session_id: str


def session_routes(log: Path) -> Routes:
    """Return the routes over the log directory. Reads block on disk, so they run in a thread."""

    async def sessions(call: Call[None]) -> Response:
        criteria, limit, cursor = _criteria(call.query)
        page = await asyncio.to_thread(list_sessions, log, criteria, limit=limit, cursor=cursor)
        return json_response(SessionList(tuple(map(msgspec.Raw, page.rows)), page.next))

    async def session(call: Call[None]) -> Response:
        wanted, cursor = call.path["id"], call.query.get("cursor")
        page = SessionsPage((), None)
        if is_session_id(wanted):
            page = await asyncio.to_thread(session_rows, log, wanted, cursor=cursor)
        if not page.rows:
            raise Refusal(
                "not_found",
                f"There is no session or row {wanted!r} in the log.",
                hint="GET /v1/sessions lists the sessions, newest first.",
            )
        session_id = msgspec.json.decode(page.rows[0], type=_Named).session_id
        return json_response(SessionRows(session_id, tuple(map(msgspec.Raw, page.rows)), page.next))

    return (
        Route(
            method="GET",
            path="/v1/sessions",
            handler=sessions,
            summary="List sessions, newest first, without their attempts.",
            reply=SessionList,
            query=(*map(Parameter, FILTERS), _CURSOR, _LIMIT),
        ),
        Route(
            method="GET",
            path="/v1/sessions/{id}",
            handler=session,
            summary="Every row of a session, or the row of a row id.",
            reply=SessionRows,
            query=(_CURSOR,),
            problems=frozenset({404}),
        ),
    )


def _criteria(query: Mapping[str, str]) -> tuple[SessionFilter, int, str | None]:
    values = dict(query)
    limit = _limit(values.pop("limit", str(SESSIONS_LIMIT_DEFAULT)))
    cursor = values.pop("cursor", None)
    for name in ("since", "until"):
        if name in values:
            values[name] = moment(values[name], name=name)
    return SessionFilter(**values), limit, cursor


def _limit(text: str) -> int:
    limit = whole_number(text, SESSIONS_LIMIT_MAX)
    if not limit:
        raise Refusal(
            "invalid_request", f"`limit` is {text!r}; allowed is 1 to {SESSIONS_LIMIT_MAX}."
        )
    return limit
