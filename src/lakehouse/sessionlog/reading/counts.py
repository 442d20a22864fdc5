"""Counts of sessions and their rates: an outage is not a bad answer. Needs no database."""

from typing import Any

import msgspec

from lakehouse.core.rates import wilson_interval


class Stats(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Counts of sessions and their rates, 0 to 1, or null without a session to rate.

    The rates of answers leave `infra_error` out of what they divide by: an outage is not a bad
    answer. The intervals are Wilson's, 95 %, as if each session were independent of the others.
    `repeated` counts the sessions of requests that a client sent again, as it says itself; its rate
    is of all sessions, and both are left out if there is none. `group` names the values that a part
    was grouped by; `by` holds the parts, ordered by them.
    """

    group: dict[str, str | None] | msgspec.UnsetType = msgspec.UNSET
    sessions: int
    accepted: int
    first_shot: int
    max_iter_exhausted: int
    infra_error: int
    first_shot_rate: float | None
    first_shot_interval: tuple[float, float] | None
    accepted_rate: float | None
    accepted_interval: tuple[float, float] | None
    repeated: int = 0
    repeated_rate: float | None = None
    by: "tuple[Stats, ...] | msgspec.UnsetType" = msgspec.UNSET


def stats_of(counts: tuple[Any, ...], group: dict[str, str | None]) -> Stats:
    """Rate a group: sessions, accepted, first shots, exhausted, outages and repeated."""
    sessions, accepted, first_shot, exhausted, infra_error, repeated = counts
    rated = sessions - infra_error
    return Stats(
        group=group,
        sessions=sessions,
        accepted=accepted,
        first_shot=first_shot,
        max_iter_exhausted=exhausted,
        infra_error=infra_error,
        first_shot_rate=first_shot / rated if rated else None,
        first_shot_interval=wilson_interval(first_shot / rated, rated) if rated else None,
        accepted_rate=accepted / rated if rated else None,
        accepted_interval=wilson_interval(accepted / rated, rated) if rated else None,
        repeated=repeated,
        repeated_rate=repeated / sessions if repeated else None,
    )
