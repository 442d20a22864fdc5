"""Rates over the log. An outage is not a bad answer, and a replay is not a session.

Blocks: call it from a thread.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, get_args

import duckdb
import msgspec

from lakehouse.core.errors import LakehouseError, Refusal
from lakehouse.core.metadata import CLIENT_MEMBER, DOOR_MEMBER, KEY_MEMBER, RETRY_MEMBER
from lakehouse.core.suggestion import did_you_mean
from lakehouse.sessionlog.reading.counts import Stats, stats_of
from lakehouse.sessionlog.reading.filters import SessionFilter
from lakehouse.sessionlog.reading.sources import find_sources, is_damage
from lakehouse.sessionlog.reading.views import open_views

Dimension = Literal[
    "model", "kind", "day", "provider", "daemon", "verdict", "offered", "door", "client", "api_key"
]


def _member(name: str) -> str:
    return f"json_extract_string(metadata, '$.{name}')"


_EXPRESSIONS: Final[dict[str, str]] = {
    "model": "coalesce(model_alias, model)",
    "kind": "kind",
    "day": "strftime(timestamp, '%Y-%m-%d')",
    "provider": "provider",
    "daemon": "daemon",
    "verdict": "verdict",
    # How the first attempt was offered values of tables: its modes, joined by +.
    "offered": (
        "coalesce(nullif(array_to_string(list_sort(list_distinct("
        "json_extract_string(attempts, '$[0].narrowed[*].mode'))), '+'), ''), 'none')"
    ),
    "door": _member(DOOR_MEMBER),
    "client": _member(CLIENT_MEMBER),
    "api_key": _member(KEY_MEMBER),
}


def stats(root: Path, *, by: Sequence[str] = (), where: SessionFilter | None = None) -> Stats:
    """Count the sessions of a log, and of each group in it.

    Args:
        root: The log directory; one that is not there has no sessions.
        by: Any of `model` (our alias), `kind`, `day` (UTC), `provider`, `daemon`, `verdict`,
            `offered` (how the first attempt was offered values of tables), `door` (the API that was
            called, null for `/v1/iterate`), `client` (the program that called, where it says so),
            `api_key` (the name of the caller's key).
        where: Which sessions; replays only if `daemon` asks for them.

    Raises:
        Refusal: `invalid_request`; an unknown dimension.
        LakehouseError: The compacted table cannot be read. Damaged lines are left out.

    Cost: a pass over the log, about 0.5 GB/s.
    """
    for name in by:
        if name not in _EXPRESSIONS:
            allowed = ", ".join(get_args(Dimension))
            near = did_you_mean(name, _EXPRESSIONS)
            message = f"`by` is {name!r}{near}; allowed: {allowed}."
            raise Refusal("invalid_request", message)
    condition, values = (where or SessionFilter()).condition()
    groups = "".join(f", {_EXPRESSIONS[name]} AS g{index}" for index, name in enumerate(by))
    names = ", ".join(f"g{index}" for index in range(len(by)))
    query = (
        f"SELECT {names + ', ' if names else ''}count(*), "  # noqa: S608 - constants; values are bound
        "count(*) FILTER (verdict = 'accepted'), "
        "count(*) FILTER (verdict = 'accepted' AND accepted_iteration = 0), "
        "count(*) FILTER (verdict = 'max_iter_exhausted'), "
        "count(*) FILTER (verdict = 'infra_error'), count(retry) "
        f"FROM (SELECT verdict, accepted_iteration, {_member(RETRY_MEMBER)} AS retry{groups} "
        f"FROM sessions WHERE {condition}) "
        + (f"GROUP BY {names} ORDER BY {names}" if names else "")
    )
    rows = _ask(root, query, values)
    parts = tuple(stats_of(row[len(by) :], dict(zip(by, row, strict=False))) for row in rows)
    if not by:
        return msgspec.structs.replace(parts[0], group=msgspec.UNSET, by=())
    totals = [sum(row[len(by) + index] for row in rows) for index in range(6)]
    return msgspec.structs.replace(stats_of(tuple(totals), {}), group=msgspec.UNSET, by=parts)


def _ask(root: Path, query: str, values: list[str]) -> list[tuple[Any, ...]]:
    for trusting in (True, False):
        try:
            with open_views(root, find_sources(root, trusting=trusting)) as connection:
                return connection.execute(query, values).fetchall()
        except duckdb.Error as error:
            if trusting and is_damage(root, error):
                continue
            raise LakehouseError(
                f"The session log cannot be read: {str(error).splitlines()[0]}",
                hint="`lakehouse log verify` finds what is damaged.",
            ) from error
    raise AssertionError("the second try returns or raises")
