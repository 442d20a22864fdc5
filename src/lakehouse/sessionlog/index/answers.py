"""Answers questions about the sessions of a shelf. Every value from outside is bound."""

from collections.abc import Sequence
from typing import Any, Final

import duckdb
import msgspec

from lakehouse.core.json_text import NULL
from lakehouse.sessionlog.index.filters import LogFilter, condition
from lakehouse.sessionlog.index.groups import FINDING_GROUPS, NO_TIME, RowGroup, begin, groups_of
from lakehouse.sessionlog.index.questions import (
    BUCKETS,
    PARTS_MAX,
    TIMES_MAX,
    AskFindings,
    AskLatency,
    AskNeighbours,
    AskOverview,
    AskRates,
    AskRows,
    AskSessions,
    AskValues,
    Bucket,
    FindingBy,
    FindingCount,
    FindingGroup,
    Findings,
    Latency,
    LatencyGroup,
    Neighbours,
    Overview,
    Quantiles,
    Rates,
    SessionLine,
    Sessions,
)
from lakehouse.sessionlog.reading.counts import stats_of
from lakehouse.sessionlog.reading.sessions import decode_cursor, encode_cursor

_NO_POINTS: Final = (None, None, None)
_TOP_FINDINGS: Final = 10
_TOTAL_MAX: Final = 2**63 - 1  # what JSON carries between our processes
# DuckDB gives a moment with a zone to Python only with a package more: as our text.
_FORM: Final = "'%Y-%m-%dT%H:%M:%S.%fZ'"
WRITTEN: Final = f"strftime(timestamp, {_FORM})"
COUNTS: Final = (
    "count(*), count(*) FILTER (verdict = 'accepted'), "
    "count(*) FILTER (verdict = 'accepted' AND accepted_iteration = 0), "
    "count(*) FILTER (verdict = 'max_iter_exhausted'), "
    "count(*) FILTER (verdict = 'infra_error'), count(*) FILTER (retry)"
)
SPAN: Final = ", ".join(
    f"strftime({which}(timestamp) FILTER (timestamp <> {NO_TIME}), {_FORM})"
    for which in ("min", "max")
)
_MEASURES: Final = ("duration_ms", "prompt_tokens", "completion_tokens")
_FINDING_COUNTS: Final = "count(*) AS findings, count(DISTINCT row_key)"
_NEWEST_READ: Final = 12  # of a group's findings, for the rows of its newest sessions
_NEWEST_TOLD: Final = 3
_TIMES_MAX: Final = 200  # that are looked for one by one
_BETWEEN: Final = (
    "timestamp BETWEEN ?::TIMESTAMPTZ AND ?::TIMESTAMPTZ "
    "AND row_key IN (SELECT unnest(?::BIGINT[]))"
)
_LINE: Final = ", ".join(
    WRITTEN if name == "timestamp" else "labels.label" if name == "label" else f"rows.{name}"
    for name in SessionLine.__struct_fields__
)

_COLUMNS: Final = ", ".join(name for name in SessionLine.__struct_fields__ if name != "label")


def page_source(asked: AskSessions | AskRows, columns: str) -> tuple[str, list[Any]]:
    """Write what a page is selected from, with its values: `rows` and their `labels`, in order.

    One row more than the page has tells whether there is a next one.
    """
    test, values = condition(asked.where)
    if asked.cursor is not None:
        beside, bound = _beside(decode_cursor(asked.cursor), newer=asked.oldest_first)
        test, values = f"{test} AND {beside}", [*values, *bound]
    order = "ASC" if asked.oldest_first else "DESC"
    ordered = f"ORDER BY timestamp {order}, row_id {order}"
    page = f"FROM rows SELECT {columns} WHERE {test} {ordered} LIMIT {asked.limit + 1}"
    return f"({page}) AS rows LEFT JOIN labels USING (row_id) {ordered}", values


class Answers:
    """Answers from the views `rows` and `labels` of one database."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def rows(self) -> int:
        """Count the rows of the log. Cost: none for packs, whose files tell it."""
        return int(self._select("count(*)", "rows", [])[0][0])

    def sessions(self, asked: AskSessions) -> Sessions:
        matching = None
        if asked.count:
            test, values = condition(asked.where)
            ((matching,),) = self._select("count(*)", f"rows WHERE {test}", values)
        source, values = page_source(asked, "timestamp, row_id, row_key")
        found = self._select(f"{WRITTEN}, row_id, row_key", source, values)
        lines = self._lines(found[: asked.limit])
        return Sessions(
            sessions=lines,
            next=_cursor(lines[-1]) if len(found) > asked.limit else None,
            previous=_cursor(lines[0]) if lines and asked.cursor is not None else None,
            matching=matching,
        )

    def _lines(self, keys: list[tuple[str, str, int]]) -> tuple[SessionLine, ...]:
        """Read the rows of a page, in its order: only where rows of these times lie.

        In one step, wide columns would be read of the whole log, however few rows a filter finds.
        """
        if not keys:
            return ()
        times = sorted({written for written, _, _ in keys})
        marks = ", ".join(["?::TIMESTAMPTZ"] * len(times))
        test = f"timestamp IN ({marks}) AND row_key IN (SELECT unnest(?::BIGINT[]))"
        if len(times) > _TIMES_MAX:
            test, times = _BETWEEN, [times[0], times[-1]]
        found = self._select(
            _LINE,
            f"(FROM rows SELECT {_COLUMNS} WHERE {test}) AS rows LEFT JOIN labels USING (row_id)",
            [*times, [key for _, _, key in keys]],
        )
        lines = {line.row_id: line for line in map(_line, found)}
        return tuple(lines[row_id] for _, row_id, _ in keys if row_id in lines)

    def neighbours(self, asked: AskNeighbours) -> Neighbours:
        found = self._select(WRITTEN, "rows WHERE row_id = ? LIMIT 1", [asked.row_id])
        if not found:
            return Neighbours(newer=None, older=None, known=False)
        test, values = condition(asked.where)
        beside: list[str | None] = []
        for newer, order in ((True, "ASC"), (False, "DESC")):
            place, bound = _beside((found[0][0], asked.row_id), newer=newer)
            first = self._select(
                "row_id",
                f"rows WHERE {test} AND {place} ORDER BY timestamp {order}, row_id {order} LIMIT 1",
                [*values, *bound],
            )
            beside.append(first[0][0] if first else None)
        return Neighbours(newer=beside[0], older=beside[1], known=True)

    def rates(self, asked: AskRates) -> Rates:
        """Count and rate in one pass; also when the first and the last session were."""
        test, values = condition(asked.where)
        names, groups, bound = groups_of(asked.by, asked.bucket)
        source = f"rows WHERE {test}"
        timed = asked.bucket is not None
        found, more = self._parts(
            groups, f"{COUNTS}, {SPAN}", source, [*bound, *values], timed=timed
        )
        whole = [row[len(names) :] for row in found]
        if more:
            whole = self._select(f"{COUNTS}, {SPAN}", source, values)
        counts = tuple(sum(row[index] for row in whole) for index in range(6))
        total = msgspec.structs.replace(stats_of(counts, {}), group=msgspec.UNSET)
        parts = tuple(
            stats_of(row[len(names) : -2], dict(zip(names, row, strict=False))) for row in found
        )
        coarser = self._coarser(asked.bucket, source, values) if more else None
        return Rates(
            total=total,
            groups=parts if names else (),
            first=min((row[-2] for row in whole if row[-2] is not None), default=None),
            last=max((row[-1] for row in whole if row[-1] is not None), default=None),
            more=more,
            coarser=coarser,
        )

    def latency(self, asked: AskLatency) -> Latency:
        test, values = condition(asked.where)
        names, groups, bound = groups_of(asked.by, asked.bucket)
        measured = "count(*), " + ", ".join(
            f"quantile_cont({name}, [0.5, 0.9, 0.99]), sum({name})" for name in _MEASURES
        )
        source = f"rows WHERE {test}"
        (total,) = self._select(measured, source, values)
        found: list[tuple[Any, ...]] = []
        more = False
        if names:
            timed = asked.bucket is not None
            found, more = self._parts(groups, measured, source, [*bound, *values], timed=timed)
        return Latency(
            total=_measured((), total),
            groups=tuple(_measured(names, row) for row in found),
            more=more,
            coarser=self._coarser(asked.bucket, source, values) if more else None,
        )

    def findings(self, asked: AskFindings) -> Findings:
        where, bucket = asked.where, asked.bucket
        found = self._findings(where, asked.by, asked.limit, code=where.code)
        if bucket is None:
            return found
        source, values = _findings_of(where, where.code, where.path)
        counts, more = self._parts([begin(bucket)], _FINDING_COUNTS, source, values, timed=True)
        return msgspec.structs.replace(
            found,
            times=tuple(FindingCount(*row) for row in counts),
            times_more=more,
            coarser=self._coarser(bucket, source, values) if more else None,
        )

    def values(self, asked: AskValues) -> Findings:
        by: tuple[FindingBy, ...] = ("path", "value")
        return self._findings(asked.where, by, asked.limit, code="ungrounded", path=asked.path)

    def overview(self, asked: AskOverview) -> Overview:
        where = asked.where
        return Overview(
            rates=self.rates(AskRates(where=where, bucket=asked.bucket)),
            latency=self.latency(AskLatency(where=where)),
            findings=self._findings(where, ("code", "path"), _TOP_FINDINGS, code=where.code).groups,
        )

    def _findings(
        self,
        where: LogFilter,
        by: Sequence[FindingBy],
        limit: int,
        *,
        code: str | None = None,
        path: str | None = None,
    ) -> Findings:
        """Group findings; of a filter's code and path, only these findings are counted."""
        wanted = path if path is not None else where.path
        source, values = _findings_of(where, code, wanted)
        found = self._grouped(
            [RowGroup(FINDING_GROUPS[name]) for name in by],
            f"{_FINDING_COUNTS}, mode(one.nearest), strftime(max(timestamp), {_FORM}), "
            f"arg_max(row_id, timestamp, {_NEWEST_READ})",
            source,
            values,
            order="findings DESC, ",
            limit=limit + 1,
        )
        return Findings(
            groups=tuple(_finding_group(by, row) for row in found[:limit] if row[len(by)]),
            more=len(found) > limit,
        )

    def _parts(
        self,
        groups: Sequence[RowGroup],
        measured: str,
        source: str,
        values: list[Any],
        *,
        timed: bool,
    ) -> tuple[list[tuple[Any, ...]], bool]:
        """Measure the groups that an answer holds, in order; also whether there are more.

        `timed`: the last is a part of time; the newest parts are held.
        """
        most = min(PARTS_MAX, TIMES_MAX) if timed and len(groups) == 1 else PARTS_MAX
        order = f"g{len(groups) - 1} DESC NULLS LAST, " if timed else ""
        found = self._grouped(groups, measured, source, values, order=order, limit=most + 1)
        kept = found[:most]
        if timed:
            kept.sort(key=lambda row: [(part is None, part) for part in row[: len(groups)]])
        return kept, len(found) > most

    def _coarser(self, bucket: Bucket | None, source: str, values: list[Any]) -> Bucket | None:
        """Return the finest bucket whose parts all fit in an answer; None if there is none."""
        coarser = BUCKETS[BUCKETS.index(bucket) + 1 :] if bucket is not None else ()
        if not coarser:
            return None
        counts = ", ".join(f"count(DISTINCT {begin(one).by})" for one in coarser)
        (found,) = self._select(counts, source, values)
        most = min(PARTS_MAX, TIMES_MAX) - 1  # and what has no time
        return next((one for one, n in zip(coarser, found, strict=True) if n <= most), None)

    def _grouped(
        self,
        groups: Sequence[RowGroup],
        measured: str,
        source: str,
        values: list[Any],
        *,
        order: str,
        limit: int,
    ) -> list[tuple[Any, ...]]:
        """Measure each group, at most `limit`; without groups, all as one."""
        names = [f"g{index}" for index in range(len(groups))]
        pairs = list(zip(groups, names, strict=True))
        named = "".join(f"{one.shown} AS {name}, " for one, name in pairs)
        by = ", ".join(one.by or name for one, name in pairs)
        ordered = order + ", ".join(names)
        grouped = f" GROUP BY {by} ORDER BY {ordered} LIMIT {limit}" if names else ""
        return self._select(named + measured, source + grouped, values)

    def _select(self, columns: str, source: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        sql = f"SELECT {columns} FROM {source}"  # noqa: S608 - our own texts; values are bound
        return self._connection.execute(sql, list(values)).fetchall()


def _findings_of(where: LogFilter, code: str | None, path: str | None) -> tuple[str, list[Any]]:
    """Write the findings, `one` each, of the sessions of a filter; its `value` is kept to as well.

    The columns are those of `FINDING_GROUPS`, and what is measured.
    """
    test, values = condition(where)
    kept = ["true"]
    for name, wanted in (("code", code), ("got", where.value)):
        if wanted is not None:
            kept.append(f"one.{name} = ?")
            values.append(wanted)
    if path is not None:
        kept.append("(one.path = ? OR one.place = ?)")
        values += [path, path]
    source = (
        "(FROM rows SELECT unnest(findings) AS one, kind, model, model_alias, api_key, row_key, "
        f"row_id, timestamp WHERE {test} AND len(findings) > 0) WHERE {' AND '.join(kept)}"
    )
    return source, values


def _beside(order: tuple[str, str], *, newer: bool) -> tuple[str, list[Any]]:
    """Write what is newer or older than a row; the first test lets whole parts be passed over."""
    sign = ">" if newer else "<"
    test = (
        f"timestamp {sign}= ?::TIMESTAMPTZ AND (timestamp {sign} ?::TIMESTAMPTZ OR row_id {sign} ?)"
    )
    return test, [order[0], order[0], order[1]]


def _cursor(line: SessionLine) -> str:
    return encode_cursor((line.timestamp, line.row_id))


def _line(row: tuple[Any, ...]) -> SessionLine:
    values = dict(zip(SessionLine.__struct_fields__, row, strict=True))
    values["codes"] = tuple(values["codes"])
    values["metadata"] = msgspec.json.decode(values["metadata"] or "{}")
    return SessionLine(**values)


def _measured(names: Sequence[str], row: tuple[Any, ...]) -> LatencyGroup:
    group = dict(zip(names, row, strict=False))
    sessions, *measures = row[len(names) :]
    quantiles = (
        Quantiles(p50, p90, p99, min(int(total or 0), _TOTAL_MAX))
        for (p50, p90, p99), total in (
            (points or _NO_POINTS, total)
            for points, total in zip(measures[::2], measures[1::2], strict=True)
        )
    )
    return LatencyGroup(group, sessions, *quantiles)


def _finding_group(by: Sequence[str], row: tuple[Any, ...]) -> FindingGroup:
    findings, sessions, nearest, last_seen, row_ids = row[len(by) :]
    raw = msgspec.Raw(nearest.encode()) if nearest is not None else NULL
    newest = tuple(dict.fromkeys(row_ids))[:_NEWEST_TOLD]
    group = dict(zip(by, row, strict=False))
    return FindingGroup(group, findings, sessions, raw, last_seen, newest)
