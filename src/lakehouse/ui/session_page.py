"""One session: its story, the rows beside it in the filter, and the other rows with its id."""

import asyncio
from typing import Final

import msgspec

from lakehouse.core.errors import LakehouseError, Refusal
from lakehouse.core.ids import is_session_id
from lakehouse.core.row_codec import RowError, decode_row
from lakehouse.feedback.labels import feedback_of
from lakehouse.sessionlog.index.questions import FoundRow, Neighbours, Progress
from lakehouse.sessionlog.reading.filters import REPLAY_DAEMON
from lakehouse.ui.page import Page, PageRequest, Section
from lakehouse.ui.sources import PageSources
from lakehouse.ui.story import SessionStory, story_of

STORIES_MAX: Final = 3  # rows of one session that are told whole; the others are links
_GATEWAY_URL: Final = "http://127.0.0.1:4110"


class OtherRow(msgspec.Struct, frozen=True):
    """A further row with the same id. `timestamp` is its session's end."""

    row_id: str
    timestamp: str
    daemon: str
    verdict: str


class SessionPage(msgspec.Struct, frozen=True, kw_only=True):
    """What has the id `identity`: of a row, a session or a trace. Replays come last.

    `beside` are the rows before and after the first one, within the filter. `more`: there are even
    more rows than `others` has.
    """

    identity: str
    stories: tuple[SessionStory, ...]
    others: tuple[OtherRow, ...]
    more: bool
    beside: Neighbours
    progress: Progress


class _Head(msgspec.Struct):
    daemon: str
    timestamp: str
    verdict: str


def session_section(sources: PageSources) -> Section:
    """Return the page of one session."""

    async def session(request: PageRequest) -> SessionPage:
        identity, where = request.path["id"], request.where
        if not is_session_id(identity):
            raise _not_found(identity)
        found = await sources.readings.ask(lambda reader: reader.session(identity))
        if not found.rows:
            raise _not_found(identity, found.progress)
        heads = {row.row_id: msgspec.json.decode(row.line, type=_Head) for row in found.rows}
        rows = sorted(
            found.rows,
            key=lambda row: (row.row_id != identity, heads[row.row_id].daemon == REPLAY_DAEMON),
        )
        first = rows[0].row_id
        beside = await sources.readings.ask(lambda reader: reader.neighbours(first, where))
        stories = await asyncio.to_thread(_stories, sources, rows[:STORIES_MAX])
        return SessionPage(
            identity=identity,
            stories=stories,
            others=tuple(_other(row, heads[row.row_id]) for row in rows[STORIES_MAX:]),
            more=found.more,
            beside=beside,
            progress=found.progress,
        )

    page = Page(
        entry="sessions",
        path="/sessions/{id}",
        title="Session",
        template="session.html",
        model=session,
    )
    return Section(pages=(page,))


def _stories(sources: PageSources, rows: list[FoundRow]) -> tuple[SessionStory, ...]:
    return tuple(_story(sources, row) for row in rows)


def _story(sources: PageSources, found: FoundRow) -> SessionStory:
    line = bytes(found.line)
    try:
        row = decode_row(line)
    except RowError as error:
        raise LakehouseError(
            f"The row {found.row_id} cannot be read: {error}.",
            hint="`lakehouse log verify` checks the whole log.",
        ) from error
    return story_of(
        row,
        line,
        gateway_url=sources.gateway_url or _GATEWAY_URL,
        needs_key=sources.needs_key,
        label=None if found.label is None else feedback_of(sources.log, found.row_id),
        trace_page=sources.trace_page,
    )


def _other(row: FoundRow, head: _Head) -> OtherRow:
    return OtherRow(row.row_id, head.timestamp, head.daemon, head.verdict)


def _not_found(identity: str, progress: Progress | None = None) -> Refusal:
    if progress is not None and (progress.files_missing or progress.compacted_elsewhere):
        return Refusal(
            "not_found",
            f"There is no session, row or trace {identity!r} in what these pages read of the log.",
            hint=f"`lakehouse show {identity}` looks everywhere: also in files that have no index "
            "yet, and in an object store.",
        )
    return Refusal(
        "not_found",
        f"There is no session, row or trace {identity[:64]!r} in the log.",
        hint="The list of sessions has all of them, newest first.",
    )
