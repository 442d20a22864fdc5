"""What words a log has, each with its count: for forms, and for the page of a kind."""

from typing import Any, Final

import duckdb

from lakehouse.sessionlog.index.answers import COUNTS, SPAN
from lakehouse.sessionlog.index.filters import condition
from lakehouse.sessionlog.index.names import (
    NAMES_MAX,
    AskKinds,
    AskNames,
    KindDigest,
    KindDigests,
    Name,
    Names,
)
from lakehouse.sessionlog.index.questions import PARTS_MAX
from lakehouse.sessionlog.reading.counts import stats_of

_COLUMNS: Final = {
    "kinds": "kind",
    "models": "coalesce(model_alias, model)",
    "providers": "provider",
    "daemons": "daemon",
    "doors": "door",
    "clients": "client",
    "api_keys": "api_key",
    "error_codes": "error_code",
    "kind_digests": "kind_digest",
    "codes": "unnest(codes)",
    "metadata": "unnest(json_keys(metadata))",
    "paths": "unnest(list_distinct(list_transform(findings, lambda one: one.place)))",
}


class Facets:
    """Counts words in the views `rows` and `labels` of one database."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def names(self, asked: AskNames) -> Names:
        test, values = condition(asked.where)
        within = f"FROM rows WHERE {test}"
        found = {
            listed: self._counted(f"SELECT {column} AS name {within}", values)
            for listed, column in _COLUMNS.items()
        }
        labels = "SELECT label AS name FROM labels WHERE row_id IN"
        found["labels"] = self._counted(f"{labels} (SELECT row_id {within})", values)
        more = tuple(listed for listed, names in found.items() if len(names) > NAMES_MAX)
        lists: dict[str, Any] = {listed: names[:NAMES_MAX] for listed, names in found.items()}
        return Names(**lists, more=more)

    def kinds(self, asked: AskKinds) -> KindDigests:
        test, values = condition(asked.where)
        found = self._connection.execute(
            f"SELECT kind, kind_digest, {COUNTS}, {SPAN} FROM rows "  # noqa: S608 - our own texts; values are bound
            f"WHERE {test} AND kind IS NOT NULL GROUP BY kind, kind_digest "
            f"ORDER BY kind, max(timestamp) DESC, kind_digest LIMIT {PARTS_MAX + 1}",
            values,
        ).fetchall()
        return KindDigests(
            digests=tuple(_digest(*row) for row in found[:PARTS_MAX]), more=len(found) > PARTS_MAX
        )

    def _counted(self, names: str, values: list[Any]) -> tuple[Name, ...]:
        found = self._connection.execute(
            f"SELECT name, count(*) AS sessions FROM ({names}) WHERE name IS NOT NULL "  # noqa: S608 - likewise
            f"GROUP BY name ORDER BY sessions DESC, name LIMIT {NAMES_MAX + 1}",
            values,
        ).fetchall()
        return tuple(Name(*row) for row in found)


def _digest(kind: str, digest: str, *row: Any) -> KindDigest:
    *counts, first, last = row
    return KindDigest(kind, digest, first, last, stats_of(tuple(counts), {}))
