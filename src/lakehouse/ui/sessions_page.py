"""The list of sessions, newest first, within a filter."""

import msgspec

from lakehouse.core.errors import Refusal
from lakehouse.core.integers import whole_number
from lakehouse.sessionlog.index.questions import Sessions
from lakehouse.ui.page import Page, PageRequest, Section
from lakehouse.ui.sources import PageSources

_LIMIT_DEFAULT = 50
_LIMIT_MAX = 500


class SessionListPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of the list. `sessions.next` begins the rest."""

    sessions: Sessions
    limit: int


def sessions_section(sources: PageSources) -> Section:
    """Return the list of sessions."""

    async def sessions(request: PageRequest) -> SessionListPage:
        limit, where = _limit(request), request.where
        cursor, newer = request.own("cursor"), request.own("newer")
        if cursor is not None and newer is not None:
            raise Refusal("invalid_request", "Give `cursor` or `newer`, not both.")
        found = await sources.readings.ask(
            lambda reader: reader.sessions(
                where,
                limit=limit,
                cursor=newer or cursor,
                oldest_first=newer is not None,
                count=True,
            ),
            "sessions",
            where,
            limit,
            cursor,
            newer,
        )
        return SessionListPage(sessions=_newest_first(found) if newer else found, limit=limit)

    page = Page(
        entry="sessions",
        path="/sessions",
        title="Sessions",
        template="sessions.html",
        model=sessions,
        own=("cursor", "newer", "limit"),
    )
    return Section(pages=(page,))


def _newest_first(page: Sessions) -> Sessions:
    """Turn around a page that was asked oldest first, so that `next` is older again."""
    return msgspec.structs.replace(
        page, sessions=page.sessions[::-1], next=page.previous, previous=page.next
    )


def _limit(request: PageRequest) -> int:
    text = request.own("limit")
    if text is None:
        return _LIMIT_DEFAULT
    limit = whole_number(text, _LIMIT_MAX)
    if not limit:
        message = f"`limit` is {text[:64]!r}; it must be a whole number from 1 to {_LIMIT_MAX}."
        raise Refusal("invalid_request", message)
    return limit
