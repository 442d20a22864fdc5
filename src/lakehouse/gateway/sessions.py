"""`GET /v1/sessions` and `/v1/sessions/{id}`: the log, read while it is written."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.core.errors import Refusal
from lakehouse.core.ids import is_session_id
from lakehouse.core.limits import SESSIONS_LIMIT_DEFAULT, SESSIONS_LIMIT_MAX
from lakehouse.core.suggestion import did_you_mean
from lakehouse.sessionlog.filters import SessionFilter, moment
from lakehouse.sessionlog.reader import find_rows
from lakehouse.sessionlog.sessions import list_sessions
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
        wanted = call.path["id"]
        rows = await asyncio.to_thread(find_rows, log, wanted) if is_session_id(wanted) else []
        if not rows:
            raise Refusal(
                "not_found",
                f"There is no session or row {wanted!r} in the log.",
                hint="GET /v1/sessions lists the sessions, newest first.",
            )
        session_id = msgspec.json.decode(rows[0], type=dict[str, msgspec.Raw])["session_id"]
        return json_response({"session_id": session_id, "rows": [msgspec.Raw(row) for row in rows]})

    return {"/v1/sessions": {"GET": sessions}, "/v1/sessions/{id}": {"GET": session}}


def _criteria(query: Mapping[str, str]) -> tuple[SessionFilter, int, str | None]:
    values = dict(query)
    limit = _limit(values.pop("limit", str(SESSIONS_LIMIT_DEFAULT)))
    cursor = values.pop("cursor", None)
    for name in values:
        if name not in FILTERS:
            names = sorted([*FILTERS, "limit", "cursor"])
            raise Refusal(
                "invalid_request",
                f"Unknown parameter {name!r}{did_you_mean(name, names)}; "
                f"allowed are {', '.join(names)}.",
            )
    for name in ("since", "until"):
        if name in values:
            values[name] = moment(values[name], name=name)
    return SessionFilter(**values), limit, cursor


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= SESSIONS_LIMIT_MAX:
        raise Refusal(
            "invalid_request", f"`limit` is {text!r}; allowed is 1 to {SESSIONS_LIMIT_MAX}."
        )
    return int(text)
