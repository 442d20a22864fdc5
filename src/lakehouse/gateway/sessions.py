"""`GET /v1/sessions` and `/v1/sessions/{id}`: the log, read while it is written."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.core.errors import Refusal
from lakehouse.core.ids import is_session_id
from lakehouse.core.integers import whole_number
from lakehouse.core.limits import SESSIONS_LIMIT_DEFAULT, SESSIONS_LIMIT_MAX
from lakehouse.core.suggestion import did_you_mean
from lakehouse.sessionlog.filters import SessionFilter, moment
from lakehouse.sessionlog.sessions import SessionsPage, list_sessions, session_rows
from lakehouse.transport.server import Call, Response, Routes, json_response

FILTERS: Final = tuple(SessionFilter.__struct_fields__)


def session_routes(log: Path) -> Routes:
    """Serve the rows of the log directory. Reading blocks on the disk, so it runs on a thread."""

    async def sessions(call: Call) -> Response:
        criteria, limit, cursor = _criteria(call.query)
        page = await asyncio.to_thread(list_sessions, log, criteria, limit=limit, cursor=cursor)
        return json_response(
            {"sessions": [msgspec.Raw(row) for row in page.rows], "next": page.next}
        )

    async def session(call: Call) -> Response:
        wanted, cursor = call.path["id"], call.query.get("cursor")
        _refuse_others(call.query, ("cursor",))
        page = SessionsPage((), None)
        if is_session_id(wanted):
            page = await asyncio.to_thread(session_rows, log, wanted, cursor=cursor)
        if not page.rows:
            raise Refusal(
                "not_found",
                f"There is no session or row {wanted!r} in the log.",
                hint="GET /v1/sessions lists the sessions, newest first.",
            )
        session_id = msgspec.json.decode(page.rows[0], type=dict[str, msgspec.Raw])["session_id"]
        rows = [msgspec.Raw(row) for row in page.rows]
        return json_response({"session_id": session_id, "rows": rows, "next": page.next})

    return {"/v1/sessions": {"GET": sessions}, "/v1/sessions/{id}": {"GET": session}}


def _criteria(query: Mapping[str, str]) -> tuple[SessionFilter, int, str | None]:
    values = dict(query)
    limit = _limit(values.pop("limit", str(SESSIONS_LIMIT_DEFAULT)))
    cursor = values.pop("cursor", None)
    _refuse_others(query, (*FILTERS, "limit", "cursor"))
    for name in ("since", "until"):
        if name in values:
            values[name] = moment(values[name], name=name)
    return SessionFilter(**values), limit, cursor


def _refuse_others(query: Mapping[str, str], allowed: Sequence[str]) -> None:
    for name in query:
        if name not in allowed:
            names = sorted(allowed)
            raise Refusal(
                "invalid_request",
                f"Unknown parameter {name!r}{did_you_mean(name, names)}; "
                f"allowed are {', '.join(names)}.",
            )


def _limit(text: str) -> int:
    limit = whole_number(text, SESSIONS_LIMIT_MAX)
    if not limit:
        raise Refusal(
            "invalid_request", f"`limit` is {text!r}; allowed is 1 to {SESSIONS_LIMIT_MAX}."
        )
    return limit
