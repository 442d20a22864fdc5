"""The pages about replays: the list, and one replay with its report and its flips."""

import asyncio
import contextlib
from functools import partial
from typing import Final, get_args

from lakehouse.core.errors import LakehouseError, Refusal
from lakehouse.core.ids import is_id
from lakehouse.core.integers import whole_number
from lakehouse.core.row_codec import RowError, decode_row
from lakehouse.core.suggestion import did_you_mean
from lakehouse.reports.flips import Change
from lakehouse.sessionlog.index.reader import LogReader
from lakehouse.ui.page import Page, PageRequest, Section
from lakehouse.ui.replay_answers import ReplayState
from lakehouse.ui.replay_reading import ReplayReadFailed, ReplayReadings
from lakehouse.ui.replays import (
    FlipChoice,
    FlipSeen,
    ReplayPage,
    ReplaysPage,
    RowSeen,
    begin_commands,
    choose_flips,
    flip_seen,
    listed,
    page_with_report,
    page_without_report,
    row_seen,
)
from lakehouse.ui.sources import PageSources

_WAIT_S: Final = 0.8  # for a report that may be quick; then the page says that it is computed
_AHEAD_MAX: Final = 3  # reports that the list has computed: those of the newest replays
_FLIPS_MAX: Final = 1_000_000
_CONDITIONS_MAX: Final = 10
_EXTRA: Final = "pip install 'lakehouse-stack[replay]'"


def replays_section(sources: PageSources, readings: ReplayReadings) -> Section:
    """Return the list of replays and the page of one replay."""

    async def replays(request: PageRequest) -> ReplaysPage:
        found = await readings.replays(before=_before(request))
        needs = readings.report_needs
        if not needs:
            await _compute_ahead(readings, found.replays)
        return ReplaysPage(
            replays=tuple(listed(one, readings.known_metrics(one)) for one in found.replays),
            total=found.total,
            next=found.next,
            unreadable=found.unreadable,
            needs=needs,
            begin=() if found.total else begin_commands(),
        )

    async def replay(request: PageRequest) -> ReplayPage:
        change, start, gate = _change(request), _start(request), request.own("gate") or ""
        conditions = _conditions(gate)
        state = await readings.replay(request.path["id"])
        if needs := readings.report_needs:
            problem = f"A report needs {needs}, which is not installed here."
            return page_without_report(
                state, "extra_missing", gate=gate, problem=problem, hint=_EXTRA
            )
        if state.state == "running":  # a report would compete with the replay
            return page_without_report(state, "running", gate=gate)
        try:
            report = await readings.report(state, conditions, wait_s=_WAIT_S)
        except ReplayReadFailed as error:
            problem, hint = error.public, error.hint or ""
            return page_without_report(state, "failed", gate=gate, problem=problem, hint=hint)
        if report is None:
            return page_without_report(state, "computing", gate=gate)
        choice = choose_flips(report, change, start)
        flips = await _flips(sources, choice)
        return page_with_report(state, report, choice, flips, gate=gate, change=change)

    return Section(
        pages=(
            Page(
                entry="replays",
                path="/replays",
                title="Replays",
                template="replays.html",
                model=replays,
                own=("cursor",),
            ),
            Page(
                entry="replays",
                path="/replays/{id}",
                title="Replay",
                template="replay.html",
                model=replay,
                own=("change", "cursor", "gate"),
            ),
        )
    )


async def _compute_ahead(readings: ReplayReadings, replays: tuple[ReplayState, ...]) -> None:
    """Begin the reports of the newest whole replays, whose intervals the list shows."""
    whole = [one for one in replays if one.state == "whole"]
    unknown = [one for one in whole[:_AHEAD_MAX] if not readings.known_metrics(one)]
    for one in unknown:
        try:
            await readings.report(one)
        except LakehouseError:  # its own page says what is wrong
            continue


async def _flips(sources: PageSources, choice: FlipChoice) -> tuple[FlipSeen, ...]:
    """Read the rows of the flips of one page, and compare their artifacts off the event loop."""
    wanted = [row_id for held in choice.held for row_id in (held.flip.row_id, held.replay_row_id)]
    rows: dict[str, RowSeen] = {}
    for row_id in wanted:
        found = await sources.readings.ask(partial(_row, row_id=row_id), "flip", row_id)
        if found is not None:
            rows[row_id] = found
    return await asyncio.to_thread(lambda: tuple(flip_seen(held, rows) for held in choice.held))


def _row(reader: LogReader, *, row_id: str) -> RowSeen | None:
    """Read what a flip shows of a row: what is shared with other pages is no larger."""
    for one in reader.session(row_id).rows:
        if one.row_id == row_id:
            with contextlib.suppress(RowError):  # of a later version: its side stays empty
                return row_seen(decode_row(bytes(one.line)))
    return None


def _before(request: PageRequest) -> str | None:
    cursor = request.own("cursor")
    if cursor is not None and not is_id(cursor):
        message = f"`cursor` is {cursor[:64]!r}; it must be the id of a replay."
        raise Refusal("invalid_request", message, hint="Begin at the first page: /ui/replays")
    return cursor


def _change(request: PageRequest) -> Change | None:
    text = request.own("change")
    allowed: tuple[Change, ...] = get_args(Change)
    if text is None:
        return None
    for change in allowed:
        if change == text:
            return change
    message = f"`change` is {text[:64]!r}{did_you_mean(text, allowed)}; allowed: "
    raise Refusal("invalid_request", message + ", ".join(allowed) + ".")


def _start(request: PageRequest) -> int:
    text = request.own("cursor")
    if text is None:
        return 0
    number = whole_number(text, _FLIPS_MAX)
    if number is None:
        message = f"`cursor` is {text[:64]!r}; it must be a whole number up to {_FLIPS_MAX}."
        raise Refusal("invalid_request", message)
    return number


def _conditions(gate: str) -> tuple[str, ...]:
    conditions = tuple(part.strip() for part in gate.split(";") if part.strip())
    if len(conditions) > _CONDITIONS_MAX:
        message = f"`gate` has {len(conditions)} conditions; {_CONDITIONS_MAX} are allowed."
        raise Refusal("invalid_request", message)
    return conditions
