"""Answers what people said of the sessions of a filter, and which they did not look at yet.

A replay takes no session that ended in an outage, so these need no label. The filter's own `label`
chooses among labels; what has none is asked for without it.
"""

from typing import Any, Final

import duckdb
import msgspec

from lakehouse.core.errors import Refusal
from lakehouse.core.integers import whole_number
from lakehouse.sessionlog.index.filters import NO_LABEL, LogFilter, condition
from lakehouse.sessionlog.index.questions import (
    PARTS_MAX,
    AskLabels,
    AskUnlabelled,
    LabelCount,
    LabelLine,
    Labels,
    Unlabelled,
)

_CURSOR_MAX: Final = 2**63 - 1
_LINE: Final = ", ".join(LabelLine.__struct_fields__)
_NEWEST_FIRST: Final = "ORDER BY timestamp DESC, row_id DESC LIMIT 1"


class LabelAnswers:
    """Answers from the views `rows` and `labels` of one database."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def labels(self, asked: AskLabels) -> Labels:
        test, values = condition(asked.where)
        bound = list(values)
        if asked.cursor is not None:
            place = whole_number(asked.cursor, _CURSOR_MAX)
            if place is None:
                raise Refusal(
                    "invalid_request",
                    f"`cursor` is {asked.cursor[:64]!r}; it must be `next` of a page of labels.",
                )
            test += " AND place < ?"
            bound.append(place)
        found = self._select(
            f"{_LINE}, place",
            f"rows JOIN labels USING (row_id) WHERE {test} "
            f"ORDER BY place DESC LIMIT {asked.limit + 1}",
            bound,
        )
        shown = found[: asked.limit]
        every, values = condition(_any_label(asked.where))
        counts = self._select(
            "kind, label, count(*)",
            f"rows JOIN labels USING (row_id) WHERE {every} "
            f"GROUP BY kind, label ORDER BY kind NULLS LAST, label LIMIT {PARTS_MAX}",
            values,
        )
        return Labels(
            labels=tuple(LabelLine(*row[:-1]) for row in shown),
            next=str(shown[-1][-1]) if len(found) > asked.limit else None,
            counts=tuple(LabelCount(*row) for row in counts),
        )

    def unlabelled(self, asked: AskUnlabelled) -> Unlabelled:
        where = msgspec.structs.replace(asked.where, label=NO_LABEL)
        test, values = condition(where)
        if where.verdict is None:
            test += " AND verdict <> 'infra_error'"
        ((sessions,),) = self._select("count(*)", f"rows WHERE {test}", values)
        other, bound = f"{test} AND row_id <> ?", [*values, asked.after or ""]
        older = (
            f"{other} AND (timestamp, row_id) < "  # noqa: S608 - as below
            "(SELECT (timestamp, row_id) FROM rows WHERE row_id = ? LIMIT 1)"
        )
        found = []
        if asked.after is not None:
            again = [*bound, asked.after]
            found = self._select("row_id", f"rows WHERE {older} {_NEWEST_FIRST}", again)
        if not found:
            found = self._select("row_id", f"rows WHERE {other} {_NEWEST_FIRST}", bound)
        return Unlabelled(sessions=sessions, next=found[0][0] if found else None)

    def _select(self, columns: str, source: str, values: list[Any]) -> list[tuple[Any, ...]]:
        sql = f"SELECT {columns} FROM {source}"  # noqa: S608 - our own texts; values are bound
        return self._connection.execute(sql, values).fetchall()


def _any_label(where: LogFilter) -> LogFilter:
    return msgspec.structs.replace(where, label=None)
