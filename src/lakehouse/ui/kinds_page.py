"""Kinds: how well each does, what it is, and what its last change did."""

import asyncio
import re
import shlex
from collections.abc import Sequence
from typing import Final

import msgspec

from lakehouse.comparison.summary import Estimate
from lakehouse.core.clock import UNDATED
from lakehouse.core.errors import Refusal
from lakehouse.core.kind import GroundingRule, Kind, SqlRule
from lakehouse.core.rates import newcombe_interval
from lakehouse.sessionlog.index.filters import LogFilter
from lakehouse.sessionlog.index.questions import Progress
from lakehouse.sessionlog.index.reader import LogReader
from lakehouse.sessionlog.reading.counts import Stats
from lakehouse.sql.quoting import quoted_text
from lakehouse.ui import texts
from lakehouse.ui.page import Page, PageRequest, Section
from lakehouse.ui.sources import PageSources, StackView

_DIGESTS_MAX: Final = 20
_DIGEST: Final = re.compile("sha256:[0-9a-f]+")


class KindLine(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of the log, of the configuration, or of both. `name` is null for sessions without.

    `digest` and `model` are as it is configured now.
    """

    name: str | None
    stats: Stats | None
    digest: str | None
    model: str | None


class KindsPage(msgspec.Struct, frozen=True, kw_only=True):
    """All kinds by name; those without sessions too."""

    kinds: tuple[KindLine, ...]
    total: Stats
    more: bool
    progress: Progress


class KindText(msgspec.Struct, frozen=True, kw_only=True):
    """A kind as it is configured now. `toml` is what `lakehouse kinds show` prints."""

    digest: str
    model: str
    max_iterations: int
    system: str | None
    schema: msgspec.Raw
    grounding: tuple[GroundingRule, ...]
    rules: tuple[SqlRule, ...]
    toml: str


class DigestLine(msgspec.Struct, frozen=True, kw_only=True):
    """One state of a kind: the times of its first and last session, and how well it did."""

    digest: str
    first: str
    last: str
    stats: Stats
    configured: bool


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What the last change did to the rate of accepted sessions: of `after` less of `before`."""

    since: str
    before: str
    after: str
    difference: Estimate
    sentence: str


class KindPage(msgspec.Struct, frozen=True, kw_only=True):
    """One kind. `digests` are its states, the last to begin first; `more`: there are more."""

    name: str
    total: Stats
    digests: tuple[DigestLine, ...]
    more: bool
    change: Change | None
    replay_command: str | None
    configured: KindText | None
    progress: Progress


def kinds_section(sources: PageSources) -> Section:
    """Return the list of kinds, and the page of one."""

    async def kinds(request: PageRequest) -> KindsPage:
        where = request.where
        rates = await sources.readings.ask(
            lambda reader: reader.rates(where, by=("kind",)), "rates", where, ("kind",), None
        )
        lines = _kind_lines(rates.groups, sources.stack, where)
        return KindsPage(kinds=lines, total=rates.total, more=rates.more, progress=rates.progress)

    async def kind(request: PageRequest) -> KindPage:
        where = request.where
        if where.kind is None:
            message = "`kind` is missing: it names the kind to show."
            raise Refusal("invalid_request", message, hint="/ui/kinds lists all kinds.")
        configured, states = await asyncio.gather(
            asyncio.to_thread(_text, sources.stack, where.kind),
            sources.readings.ask(lambda reader: _states(reader, where), "kind", where),
        )
        digest = configured.digest if configured is not None else None
        return _page(where.kind, states, configured, digest)

    return Section(
        pages=(
            Page(entry="kinds", path="/kinds", title="Kinds", template="kinds.html", model=kinds),
            Page(entry="kinds", path="/kind", title="Kind", template="kind.html", model=kind),
        )
    )


def _kind_lines(
    groups: Sequence[Stats], stack: StackView | None, where: LogFilter
) -> tuple[KindLine, ...]:
    stats = {one.group["kind"]: one for one in groups if one.group is not msgspec.UNSET}
    configured = stack.catalog.kinds if stack is not None else {}
    names: set[str | None] = {*stats}
    names |= {name for name in configured if where.kind in (None, name)}
    lines = []
    for name in sorted(names, key=lambda name: (name is None, name or "")):
        kind = configured.get(name) if name is not None else None
        lines.append(
            KindLine(
                name=name,
                stats=stats.get(name),
                digest=kind.digest if kind is not None else None,
                model=kind.model if kind is not None else None,
            )
        )
    return tuple(lines)


class _States(msgspec.Struct, frozen=True):
    total: Stats
    digests: tuple[tuple[str, str, str, Stats], ...]
    more: bool
    progress: Progress


def _states(reader: LogReader, where: LogFilter) -> _States:
    """Read how well each state of a kind did, and when its first and last session were."""
    total, found = reader.rates(where).total, reader.kinds(where)
    states = [
        (one.digest, one.first or UNDATED, one.last or UNDATED, one.rates) for one in found.digests
    ]
    states.sort(key=lambda one: one[1], reverse=True)
    more = found.more or len(states) > _DIGESTS_MAX
    return _States(total, tuple(states[:_DIGESTS_MAX]), more, found.progress)


def _page(name: str, states: _States, configured: KindText | None, now: str | None) -> KindPage:
    digests = tuple(
        DigestLine(digest=digest, first=first, last=last, stats=stats, configured=digest == now)
        for digest, first, last, stats in states.digests
    )
    command = None
    if len(digests) > 1:
        before = digests[1].digest
        condition = f"kind_digest = {quoted_text(before)}"
        quoted = f'"{condition}"' if _DIGEST.fullmatch(before) else shlex.quote(condition)
        command = f"lakehouse replay --kind {shlex.quote(name)} --where {quoted}"
    return KindPage(
        name=name,
        total=states.total,
        digests=digests,
        more=states.more,
        change=_change(digests),
        replay_command=command,
        configured=configured,
        progress=states.progress,
    )


def _text(stack: StackView | None, name: str) -> KindText | None:
    kind: Kind | None = stack.catalog.kinds.get(name) if stack is not None else None
    if stack is None or kind is None:
        return None
    return KindText(
        digest=kind.digest,
        model=kind.model,
        max_iterations=kind.max_iterations,
        system=kind.system,
        schema=kind.schema,
        grounding=kind.grounding,
        rules=kind.rules,
        toml=stack.kind_text(name),
    )


def _change(digests: Sequence[DigestLine]) -> Change | None:
    """Compare the accepted rates of the last two states; None without two that were judged."""
    if len(digests) < 2:
        return None
    after, before = digests[:2]
    judged = [one.stats.accepted + one.stats.max_iter_exhausted for one in (before, after)]
    if not all(judged):
        return None
    accepted = before.stats.accepted, after.stats.accepted
    rates = accepted[0] / judged[0], accepted[1] / judged[1]
    low, high = newcombe_interval((accepted[0], judged[0]), (accepted[1], judged[1]))
    difference = Estimate(rates[1] - rates[0], low, high)
    if low > 0:
        told = "The last change raised the rate of accepted sessions"
    elif high < 0:
        told = "The last change lowered the rate of accepted sessions"
    else:
        told = "Whether the last change moved the rate of accepted sessions is open"
    return Change(
        since=after.first,
        before=before.digest,
        after=after.digest,
        difference=difference,
        sentence=f"{told}: {texts.percent(rates[0])} of {judged[0]:,} before, "
        f"{texts.percent(rates[1])} of {judged[1]:,} since; {texts.points(difference)}, 95 %.",
    )
