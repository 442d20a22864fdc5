"""Findings, counted by what they are about: what goes wrong, where, how often, and since when."""

from collections.abc import Sequence
from typing import Final, get_args

import msgspec

from lakehouse.core.rates import wilson_interval
from lakehouse.sessionlog.index.questions import (
    Bucket,
    FindingBy,
    FindingCount,
    FindingGroup,
    GroupBy,
    Progress,
    Rates,
)
from lakehouse.ui.buckets import BUCKET, bucket_of, bucket_of_all
from lakehouse.ui.grouping import BY, groups_of
from lakehouse.ui.page import Page, PageRequest, Section
from lakehouse.ui.sources import PageSources

CHOICES: Final[tuple[FindingBy, ...]] = get_args(FindingBy)
_DEFAULT: Final[tuple[FindingBy, ...]] = ("code", "path")
_LIMIT: Final = 200
_OF: Final[tuple[GroupBy, ...]] = ("kind", "model", "api_key")


class FindingLine(FindingGroup, frozen=True):
    """A group, and its share of all sessions of its kind, model and key, if it names them."""

    all_sessions: int | None
    share: float | None
    share_interval: tuple[float, float] | None


class FindingsPage(msgspec.Struct, frozen=True, kw_only=True):
    """The groups, the most frequent first; `more`: there are more. `times` are over time.

    `of`: shares are of the sessions that are alike in these.
    `times_more`: these are the newest. `coarser` is then the finest bucket that shows all.
    """

    by: tuple[FindingBy, ...]
    choices: tuple[FindingBy, ...]
    of: tuple[GroupBy, ...]
    bucket: Bucket
    lines: tuple[FindingLine, ...]
    times: tuple[FindingCount, ...]
    times_more: bool
    coarser: Bucket | None
    more: bool
    all_sessions: int
    progress: Progress


def findings_section(sources: PageSources) -> Section:
    """Return the page of findings."""
    readings = sources.readings

    async def findings(request: PageRequest) -> FindingsPage:
        by = groups_of(request, CHOICES, _DEFAULT)
        where = request.where
        everything = msgspec.structs.replace(where, code=None, path=None, value=None)
        of = tuple(name for name in _OF if name in by)
        rates = await readings.ask(
            lambda reader: reader.rates(everything, by=of), "rates", everything, of, None
        )
        bucket = bucket_of(request) or bucket_of_all(rates)
        found = await readings.ask(
            lambda reader: reader.findings(where, by=by, limit=_LIMIT, bucket=bucket),
            *("findings", where, by, bucket),
        )
        return FindingsPage(
            by=by,
            choices=CHOICES,
            of=of,
            bucket=bucket,
            lines=_lines(found.groups, rates, of),
            times=found.times,
            times_more=found.times_more,
            coarser=found.coarser,
            more=found.more,
            all_sessions=rates.total.sessions,
            progress=found.progress,
        )

    page = Page(
        entry="findings",
        path="/findings",
        title="Findings",
        template="findings.html",
        model=findings,
        own=(BY, BUCKET),
    )
    return Section(pages=(page,))


def _lines(
    groups: Sequence[FindingGroup], rates: Rates, of: Sequence[GroupBy]
) -> tuple[FindingLine, ...]:
    counts: dict[tuple[str | None, ...], int] = {(): rates.total.sessions}
    for one in rates.groups:
        assert one.group is not msgspec.UNSET, "parts have a group"
        counts[tuple(one.group[name] for name in of)] = one.sessions
    return tuple(_line(one, counts.get(tuple(one.group[name] for name in of))) for one in groups)


def _line(group: FindingGroup, sessions: int | None) -> FindingLine:
    # A session that ended between both questions may be in the first alone.
    share = min(1.0, group.sessions / sessions) if sessions else None
    interval = wilson_interval(share, sessions) if share is not None and sessions else None
    members = msgspec.structs.asdict(group)
    return FindingLine(**members, all_sessions=sessions, share=share, share_interval=interval)
