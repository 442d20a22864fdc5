"""A log asked in this process, and what every other reader says of it."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from lakehouse.core.clock import within
from lakehouse.core.row import Row
from lakehouse.core.row_codec import decode_row
from lakehouse.sessionlog.index import questions as ask
from lakehouse.sessionlog.index.desk import Desk
from lakehouse.sessionlog.index.filters import LogFilter, folded
from lakehouse.sessionlog.index.names import AskKinds, AskNames, KindDigests, Names
from lakehouse.sessionlog.index.packs import INDEX
from lakehouse.sessionlog.index.reader import LogReader
from lakehouse.sessionlog.index.tasks import ReaderTask
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.reading.filters import SessionFilter
from lakehouse.sessionlog.reading.reader import find_rows, read_rows
from lakehouse.sessionlog.reading.sessions import list_sessions
from lakehouse.sessionlog.reading.stats import stats
from support.filled_log import fill
from support.rows import make_row

__all__ = ["within"]

MIB = 1 << 20
BIG = 2 * MIB
"""Of prompts that make a segment wait for its pack."""
DIMENSIONS: tuple[ask.GroupBy, ...] = (
    *("model", "kind", "day", "provider", "daemon", "verdict", "offered", "door", "client"),
    "api_key",
)


def waiting_log(root: Path) -> Path:
    """Fill a log with two sealed segments that wait for packs, and a live one: eleven rows."""
    for number in range(2):
        fill(root, *(make_row(prompt=f"{number}{'x' * (BIG // 4)}") for _ in range(5)))
        seal(root)
    fill(root, make_row(prompt="live"))
    return root


def answering(reader: LogReader) -> int:
    """Return the process that answers: the child of the one that ends it."""
    owner = reader.process_id
    assert owner is not None
    return int(Path(f"/proc/{owner}/task/{owner}/children").read_text().split()[0])


def desk_of(root: Path, place: Path | None = None) -> Desk:
    """Open a log as the reader's process does."""
    task = ReaderTask(str(root), str(place or root / INDEX), "", 512 * MIB, 2)
    return Desk(task, spills=False, on_moved=lambda: None)


def lines_of(
    desk: Desk, where: LogFilter | None = None, *, limit: int = 7
) -> list[ask.SessionLine]:
    """Read all pages of a list."""
    found: list[ask.SessionLine] = []
    cursor = None
    while True:
        page = desk.answer(ask.AskSessions(where=where or LogFilter(), limit=limit, cursor=cursor))
        assert isinstance(page, ask.Sessions), page
        assert len(page.sessions) <= limit
        found += page.sessions
        if (cursor := page.next) is None:
            return found


def ids_listed(root: Path, where: SessionFilter | None = None) -> list[str]:
    """Return the row ids of a list in their order, as `lakehouse sessions` has them."""
    found: list[str] = []
    cursor = None
    while True:
        page = list_sessions(root, where, limit=50, cursor=cursor)
        found += [json.loads(row)["row_id"] for row in page.rows]
        if (cursor := page.next) is None:
            return found


def rows_in(root: Path) -> dict[str, Row]:
    """Read all rows but replays, by their ids."""
    rows = map(decode_row, read_rows(root))
    return {row.row_id: row for row in rows if row.daemon != "replay"}


def check_same(desk: Desk, root: Path, filters: list[SessionFilter]) -> int:
    """Hold every answer of a whole index against the other readers; how many rows there were."""
    for where in filters:
        wider = LogFilter(**{name: getattr(where, name) for name in where.__struct_fields__})
        assert [line.row_id for line in lines_of(desk, wider)] == ids_listed(root, where)
        for by in DIMENSIONS:
            rates = desk.answer(ask.AskRates(where=wider, by=(by,)))
            expected = stats(root, by=(by,), where=where)
            assert list(rates.groups) == list(expected.by or ()), (by, where)
            assert rates.total == _without_groups(root, where)
    rows = rows_in(root)
    assert desk.answer(ask.AskOverview(bucket="day")).rates.total.sessions == len(rows)
    _check_findings(desk, rows)
    _check_names(desk, rows)
    _check_kinds(desk, rows)
    _check_exported(desk, root)
    _check_search(desk, rows)
    _check_single(desk, root, rows)
    return len(rows)


def _without_groups(root: Path, where: SessionFilter) -> object:
    found = stats(root, where=where)
    return type(found)(**{name: getattr(found, name) for name in _COUNTED})


_COUNTED = (
    *("sessions", "accepted", "first_shot", "max_iter_exhausted", "infra_error"),
    *("first_shot_rate", "first_shot_interval", "accepted_rate", "accepted_interval"),
    *("repeated", "repeated_rate"),
)


def _check_findings(desk: Desk, rows: dict[str, Row]) -> None:
    counted: Counter[tuple[str, str | None]] = Counter()
    values: Counter[str | None] = Counter()
    for row in rows.values():
        for one in (finding for attempt in row.attempts for finding in attempt.findings):
            got = bytes(one.got).decode() if hasattr(one.got, "__buffer__") else _raw(one.got)
            counted[one.code, got] += 1
            if one.code == "ungrounded":
                values[got] += 1
    asked = desk.answer(ask.AskFindings(by=("code", "value"), limit=1_000))
    told = {(one.group["code"], one.group["value"]): one.findings for one in asked.groups}
    assert told == counted
    asked = desk.answer(ask.AskValues(limit=1_000))
    told_values: Counter[str | None] = Counter()
    for one in asked.groups:
        told_values[one.group["value"]] += one.findings
    assert told_values == values


def _check_names(desk: Desk, rows: dict[str, Row]) -> None:
    counted: dict[str, Counter[str | None]] = {
        listed: Counter(map(name, rows.values())) for listed, name in NAMED.items()
    }
    counted["codes"] = Counter(
        code
        for row in rows.values()
        for code in {one.code for attempt in row.attempts for one in attempt.findings}
    )
    counted["paths"] = Counter(
        place
        for row in rows.values()
        for place in {
            re.sub(r"/[0-9]+(?=/|$)", "/*", one.path)
            for attempt in row.attempts
            for one in attempt.findings
        }
    )
    counted["metadata"] = Counter(name for row in rows.values() for name in row.metadata)
    answer = desk.answer(AskNames())
    assert isinstance(answer, Names), answer
    for listed, counts in counted.items():
        counts.pop(None, None)
        assert {one.name: one.sessions for one in getattr(answer, listed)} == counts, listed


NAMED: dict[str, Callable[[Row], str | None]] = {
    "kinds": lambda row: row.kind,
    "models": lambda row: row.model_alias,
    "providers": lambda row: row.provider,
    "daemons": lambda row: row.daemon,
    "doors": lambda row: row.metadata.get("door"),
    "clients": lambda row: row.metadata.get("client"),
    "api_keys": lambda row: row.metadata.get("api_key"),
    "error_codes": lambda row: row.error.code if row.error is not None else None,
    "kind_digests": lambda row: row.kind_digest,
}


def _check_kinds(desk: Desk, rows: dict[str, Row]) -> None:
    counted = Counter((row.kind, row.kind_digest) for row in rows.values() if row.kind is not None)
    answer = desk.answer(AskKinds())
    assert isinstance(answer, KindDigests), answer
    assert {(one.kind, one.digest): one.rates.sessions for one in answer.digests} == counted


def _check_exported(desk: Desk, root: Path) -> None:
    lines = set(read_rows(root))
    found: list[str] = []
    cursor = None
    while True:
        page = desk.answer(ask.AskRows(limit=3, cursor=cursor))
        assert isinstance(page, ask.RowPage), page
        assert page.unreadable == 0
        assert {bytes(one.line) for one in page.rows} <= lines
        found += [one.row_id for one in page.rows]
        if (cursor := page.next) is None:
            break
    assert found == ids_listed(root)


def _raw(value: object) -> str | None:
    try:
        return bytes(value).decode()  # type: ignore[call-overload, no-any-return]
    except TypeError:
        return None  # left out


def _check_search(desk: Desk, rows: dict[str, Row]) -> None:
    needles = {row.prompt[:3] for row in rows.values()} | {"flight", "no such text"}
    needles |= {row.attempts[-1].output[-2:] for row in rows.values() if row.attempts}
    for needle in sorted(needles):
        if not needle or "\0" in needle:
            continue
        expected = {
            row_id
            for row_id, row in rows.items()
            for text in (
                row.prompt,
                *(message.content for message in row.messages or ()),
                *(attempt.output for attempt in row.attempts),
            )
            if folded(needle) in folded(text)
        }
        assert {line.row_id for line in lines_of(desk, LogFilter(text=needle))} == expected


def _check_single(desk: Desk, root: Path, rows: dict[str, Row]) -> None:
    for row in rows.values():
        for identity in (row.row_id, row.session_id):
            found = desk.answer(ask.AskSession(identity=identity))
            assert {bytes(one.line) for one in found.rows} >= set(find_rows(root, identity))
