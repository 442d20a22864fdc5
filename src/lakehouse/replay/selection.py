"""Selects the logged sessions of a replay with SQL. The same log gives the same selection.

Replays are chosen only on request. Sessions that ended in an outage are never chosen: they have no
answer to compare with.
"""

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import Final, Literal

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.sessionlog.reading.filters import SessionFilter
from lakehouse.sessionlog.reading.query import query

Sampling = Literal["newest", "stratified"]

SESSIONS_MAX: Final = 2_000_000  # in one corpus: the result of a query is bounded
_FIRST_SHOT: Final = "COALESCE(verdict = 'accepted' AND accepted_iteration = 0, false)"
_QUERY_MS: Final = 600_000
_QUERY_BYTES: Final = 4 << 30  # of address space: there may be millions of rows to choose from


class Selection(SessionFilter, frozen=True, kw_only=True, omit_defaults=True):
    """What to choose among the sessions that a filter takes.

    `where` is a condition on the view `sessions`. `newest` takes the last `limit` sessions.
    `stratified` takes `limit` sessions at random by `seed`, so that kinds, models, verdicts and
    first shots have their share of the log.
    """

    where: str | None = None
    limit: int | None = None
    sample: Sampling = "newest"
    seed: int = 0


class KindInForce(msgspec.Struct, frozen=True):
    """Settings that most sessions of one kind digest had: assumed to be those of the kind."""

    system: str | None
    max_iterations: int


class Chosen(msgspec.Struct, frozen=True):
    """The chosen rows: their ids, sorted, and the digests of the kinds that judged them."""

    row_ids: tuple[str, ...]
    kind_digests: frozenset[str]


class _Selectable(msgspec.Struct, frozen=True):
    row_id: str
    kind: str | None
    kind_digest: str
    model_alias: str
    verdict: str
    first_shot: bool

    @property
    def stratum(self) -> str:
        return repr((self.kind, self.model_alias, self.verdict, self.first_shot))


def select_rows(root: Path, selection: Selection) -> Chosen:
    """Choose sessions.

    Raises:
        SetupError: `where` is not a condition, or `stratified` has no limit.
        QueryFailed: The log could not be queried.

    Cost: 0.3 s, and a pass over the log at about 0.5 GB/s.
    """
    if selection.sample == "stratified" and selection.limit is None:
        raise SetupError("--sample stratified needs --limit: how many sessions to take.")
    limit = f"LIMIT {selection.limit}" if selection.sample == "newest" and selection.limit else ""
    columns = "row_id, kind, kind_digest, model_alias, verdict"
    found = query(
        root,
        f"SELECT {columns}, {_FIRST_SHOT} AS first_shot FROM ({_chosen(selection)}) "  # noqa: S608 - quoted literals; `where` is the operator's own SQL, in a child that can only read
        f"ORDER BY timestamp DESC, row_id DESC {limit}",
        timeout_ms=_QUERY_MS,
        memory_bytes=_QUERY_BYTES,
        rows_max=SESSIONS_MAX,
    )
    candidates = msgspec.json.decode(found.json(), type=list[_Selectable])
    if selection.sample == "stratified":
        assert selection.limit is not None
        candidates = _stratified(candidates, selection.limit, selection.seed)
    return Chosen(
        tuple(sorted(candidate.row_id for candidate in candidates)),
        frozenset(candidate.kind_digest for candidate in candidates if candidate.kind is not None),
    )


def kinds_in_force(root: Path, selection: Selection) -> dict[str, KindInForce]:
    """Give, by kind digest, the settings that most of the chosen sessions had."""
    found = query(
        root,
        "SELECT kind_digest, mode(to_json({'system': system, 'max_iterations': max_iterations})) "  # noqa: S608 - as above
        f"AS most FROM ({_chosen(selection)}) WHERE kind IS NOT NULL GROUP BY kind_digest",
        timeout_ms=_QUERY_MS,
        memory_bytes=_QUERY_BYTES,
    )
    return {
        msgspec.json.decode(bytes(digest), type=str): msgspec.json.decode(most, type=KindInForce)
        for digest, most in found.rows
    }


def _chosen(selection: Selection) -> str:
    tests = f"verdict <> 'infra_error' AND {selection.quoted_condition()}"
    chosen = f"SELECT * FROM sessions WHERE {tests}"  # noqa: S608 - quoted literals
    # The line break ends a comment at the end of the condition.
    where = f" WHERE ({selection.where}\n)" if selection.where else ""
    return f"SELECT * FROM ({chosen}){where}"  # noqa: S608 - the operator's own SQL


def _stratified(candidates: list[_Selectable], limit: int, seed: int) -> list[_Selectable]:
    """Take `limit` of them, each stratum by its share, rounded by largest remainders."""
    if len(candidates) <= limit:
        return candidates
    strata: dict[str, list[_Selectable]] = defaultdict(list)
    for candidate in candidates:
        strata[candidate.stratum].append(candidate)
    shares = {name: limit * len(found) / len(candidates) for name, found in strata.items()}
    sizes = {name: int(share) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: (sizes[name] - shares[name], name))
    for name in by_remainder[: limit - sum(sizes.values())]:
        sizes[name] += 1
    return [
        candidate
        for name, found in strata.items()
        for candidate in sorted(found, key=lambda one: _draw(seed, one.row_id))[: sizes[name]]
    ]


def _draw(seed: int, row_id: str) -> bytes:
    return hashlib.sha256(f"{seed} {row_id}".encode()).digest()
