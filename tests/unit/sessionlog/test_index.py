"""The index answers as every other reader does, whatever the log holds, wherever it lies."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lakehouse.core.row import Row
from lakehouse.core.row_codec import add_crc, encode_line
from lakehouse.core.session import Attempt
from lakehouse.sessionlog.index import questions as ask
from lakehouse.sessionlog.index import shelf
from lakehouse.sessionlog.index.builder import build
from lakehouse.sessionlog.index.filters import LogFilter
from lakehouse.sessionlog.index.names import AskKinds, AskNames, Name
from lakehouse.sessionlog.index.packs import INDEX, Heads
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.forgetting import forget
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.lines import Line, split_lines
from lakehouse.sessionlog.reading.compacted import open_compacted
from lakehouse.sessionlog.reading.filters import SessionFilter
from lakehouse.sessionlog.shared_file import append_lines
from support.filled_log import fill
from support.generated_rows import rows
from support.indexed_log import check_same, desk_of, ids_listed, lines_of
from support.rows import make_feedback, make_row, rejected_attempt

TIMES = st.sampled_from(
    [
        *("2026-01-02T03:04:05.678901Z", "2026-01-03T00:00:00Z", "2026-01-02", "2026-W01-5T10:00"),
        *("2026-01-02T05:00:00+02:00", "no time", "9999-12-31T23:59:59.999999Z", ""),
    ]
)
ODD_ROWS = st.builds(
    lambda row, time, daemon, kind: msgspec.structs.replace(
        row, timestamp=time, daemon=daemon, kind=kind
    ),
    rows,
    TIMES,
    st.sampled_from(["replay", "validatord", "ältere"]),
    st.none() | st.sampled_from(["a", "b'; DROP VIEW rows; --", 'c"']),
)
FILTERS = [
    SessionFilter(),
    SessionFilter(kind="a"),
    SessionFilter(verdict="accepted", since="2026-01-02T03:04:05.678901Z"),
    SessionFilter(until="2026-01-02T03:04:05.678901Z"),
    SessionFilter(code="ungrounded"),
    SessionFilter(daemon="replay"),
]


def held_bytes(place: Path, session_id: str) -> bool:
    """Return whether a pack holds a session."""
    held = (pq.read_table(pack.path)["session_id"].to_pylist() for pack in Heads(place).packs())
    return any(session_id in ids for ids in held)


def segment(root: Path, number: int, lines: list[bytes]) -> None:
    """Leave a segment of a writer that is gone."""
    (root / "active").mkdir(parents=True, exist_ok=True, mode=0o700)
    path = root / "active" / f"foreign{number}-0.jsonl"
    path.write_bytes(b"".join(b"\n%b\n" % line for line in lines))


@pytest.mark.slow
@pytest.mark.timeout(600)
@given(
    choices=st.tuples(st.sampled_from([0, 24]), st.booleans(), st.booleans()),
    found=st.lists(ODD_ROWS, min_size=6, max_size=8, unique_by=lambda row: row.row_id),
)
@settings(max_examples=3, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_odd_rows_are_told_as_every_reader_tells_them(
    tmp_path_factory: pytest.TempPathFactory, choices: tuple[int, bool, bool], found: list[Row]
):
    """Live, sealed and compacted at once, some twice, with damage between, one forgotten."""
    retention_h, early, later = choices
    root = tmp_path_factory.mktemp("log")
    lines = [encode_line(row) for row in found]
    damaged = lines[0][:-5] + b"x" + lines[0][-4:]
    third = len(lines) // 3
    desk = desk_of(root)
    segment(root, 0, [*lines[:third], damaged, b"{}"])
    check_same(desk, root, FILTERS[:1])
    seal(root)
    compact(root, retention_h=retention_h)
    if early:
        build(root, root / INDEX)
    segment(root, 1, [*lines[third : 2 * third], lines[0], damaged])
    seal(root)
    if later:
        build(root, root / INDEX)
    segment(root, 2, [*lines[2 * third :], lines[third], lines[0], damaged[:50]])
    (root / "inbox.jsonl").write_bytes(b"\n" + lines[third] + b"\n" + add_crc(b'{"a":1}') + b"\n")
    build(root, root / INDEX)
    assert check_same(desk, root, FILTERS) == sum(row.daemon != "replay" for row in found)
    forget(root, found[0].session_id)
    assert found[0].row_id not in {line.row_id for line in lines_of(desk)}
    assert not held_bytes(root / INDEX, found[0].session_id)
    build(root, root / INDEX)
    assert check_same(desk, root, FILTERS[:2]) == sum(
        row.daemon != "replay" for row in found if row.session_id != found[0].session_id
    )
    assert check_same(desk_of(root), root, FILTERS[:1]) >= 0


def counted(desk: Any) -> int:
    return int(desk.answer(ask.AskRates()).total.sessions)


def test_rows_are_seen_as_they_are_written_and_only_new_ones_are_read(tmp_path: Path):
    desk = desk_of(tmp_path)
    assert counted(desk) == 0
    segment(tmp_path, 0, [encode_line(make_row())])
    assert counted(desk) == 1
    path = tmp_path / "active" / "foreign0-0.jsonl"
    line = encode_line(make_row())
    with path.open("ab") as file:
        file.write(b"\n" + line[:100])
    assert counted(desk) == 1  # not whole yet
    with path.open("ab") as file:
        file.write(line[100:] + b"\n")
    assert counted(desk) == 2
    # What was read is not read again: a change behind the reader's back is not seen.
    damaged = path.read_bytes().replace(b"Oslo", b"0slo", 1)
    path.write_bytes(damaged)
    assert counted(desk) == 2
    assert counted(desk_of(tmp_path)) == 1


def test_what_of_the_inbox_was_sealed_is_read_from_its_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    inbox = tmp_path / "inbox.jsonl"
    inbox.write_bytes(b"".join(b"\n%b\n" % encode_line(make_row()) for _ in range(3)))
    seal(tmp_path)
    build(tmp_path, tmp_path / INDEX)
    with inbox.open("ab") as file:
        file.write(b"\n" + encode_line(make_row()) + b"\n")
    read: list[int] = []

    def reading(descriptor: int, offset: int = 0, number: int = 1) -> Iterator[Line]:
        read.append(offset)
        return split_lines(descriptor, offset, number)

    monkeypatch.setattr("lakehouse.sessionlog.index.live.split_lines", reading)
    assert counted(desk_of(tmp_path)) == 4
    assert min(read) > 3 * 1_000  # from behind what is in the copy


@pytest.mark.parametrize("times", [1, 99])
def test_a_segment_that_goes_while_the_log_is_looked_at_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
):
    """It is compacted, and its pack removed, after its table was opened: seen again, or told."""
    happened = 0

    def happen(root: Path) -> Any:
        nonlocal happened
        opened = open_compacted(root)
        if happened < times:
            happened += 1
            compact(root, retention_h=0)
            build(root, root / INDEX)
            fill(root, make_row())
            seal(root)
            build(root, root / INDEX)
        return opened

    fill(tmp_path, make_row())
    seal(tmp_path)
    build(tmp_path, tmp_path / INDEX)
    desk = desk_of(tmp_path)
    assert counted(desk) == 1
    monkeypatch.setattr(shelf, "open_local_compacted", happen)
    answer = desk.answer(ask.AskRates())
    assert happened == (1 if times == 1 else 4)
    assert answer.progress.complete == (times == 1)
    assert answer.total.sessions == 2 or times > 1


@pytest.mark.parametrize("built", [False, True])
def test_a_page_leads_to_the_next_and_back(tmp_path: Path, built: bool):
    rows_ = [make_row(timestamp=f"2026-01-02T03:04:{n % 20:02}.000000Z") for n in range(30)]
    random.Random(1).shuffle(rows_)
    fill(tmp_path, *rows_)
    if built:
        seal(tmp_path)
        build(tmp_path, tmp_path / INDEX, pack_rows=7)
    desk = desk_of(tmp_path)
    order = ids_listed(tmp_path)
    first = desk.answer(ask.AskSessions(limit=10, count=True))
    second = desk.answer(ask.AskSessions(limit=10, cursor=first.next))
    back = desk.answer(ask.AskSessions(limit=10, cursor=second.previous, oldest_first=True))
    assert [line.row_id for line in first.sessions + second.sessions] == order[:20]
    assert [line.row_id for line in reversed(back.sessions)] == order[:10]
    assert (first.matching, first.previous) == (30, None)
    beside = desk.answer(ask.AskNeighbours(row_id=order[7]))
    assert (beside.newer, beside.older) == (order[6], order[8])
    ends = desk.answer(ask.AskNeighbours(row_id=order[0]))
    assert (ends.newer, ends.older) == (None, order[1])
    assert not desk.answer(ask.AskNeighbours(row_id="none")).known


def test_neighbours_stay_in_the_filter(tmp_path: Path):
    rows_ = [
        make_row(timestamp=f"2026-01-02T03:04:{n:02}.000000Z", kind="ab"[n % 2]) for n in range(9)
    ]
    fill(tmp_path, *rows_)
    desk = desk_of(tmp_path)
    beside = desk.answer(ask.AskNeighbours(row_id=rows_[4].row_id, where=LogFilter(kind="b")))
    assert (beside.newer, beside.older) == (rows_[5].row_id, rows_[3].row_id)


def _finding(code: str, path: str, got: bytes = b'"QQQ"', iteration: int = 0) -> Attempt:
    attempt = rejected_attempt(iteration, code)
    finding = msgspec.structs.replace(attempt.findings[0], path=path, got=msgspec.Raw(got))
    return msgspec.structs.replace(attempt, findings=(finding,))


FILTERED: dict[str, tuple[LogFilter, dict[str, Any]]] = {
    "text in a prompt": (LogFilter(text="OSLO"), {"prompt": "to Oslo"}),
    "metadata": (LogFilter(metadata={'a"/~': 'x"y'}), {"metadata": {'a"/~': 'x"y', "b": "c"}}),
    "a finding's path": (LogFilter(path="/airport"), {"attempts": (rejected_attempt(),)}),
    "a finding's value": (LogFilter(value='"QQQ"'), {"attempts": (rejected_attempt(),)}),
    "a finding's code, path and value": (
        LogFilter(code="rule", path="/*", value='"QQQ"'),
        {"attempts": (_finding("rule", "/1"),)},
    ),
    "iterations": (LogFilter(iterations_min=2, iterations_max=3), {"iterations": 3}),
    "duration": (LogFilter(duration_ms_min=1_000), {"duration_ms": 1_000}),
    "provider": (LogFilter(provider="other"), {"provider": "other"}),
    "API key": (LogFilter(api_key="alice"), {"metadata": {"b": "c", "api_key": "alice"}}),
    "grounded": (LogFilter(grounded=False), {"grounded": False}),
    "kind digest": (LogFilter(kind_digest="sha256:x"), {"kind_digest": "sha256:x"}),
    "first shots": (LogFilter(first_shot=False), {"accepted_iteration": 1}),
}


@pytest.mark.parametrize("name", FILTERED)
def test_a_filter_takes_what_it_names_and_nothing_else(tmp_path: Path, name: str):
    where, changes = FILTERED[name]
    plain: dict[str, Any] = {"prompt": "nothing", "iterations": 1, "metadata": {"b": 'x"y'}}
    wanted = make_row(**(plain | changes))
    fill(tmp_path, make_row(**plain), wanted, make_row(**plain))
    desk = desk_of(tmp_path)
    assert [line.row_id for line in lines_of(desk, where)] == [wanted.row_id]
    seal(tmp_path)
    build(tmp_path, tmp_path / INDEX)
    assert [line.row_id for line in lines_of(desk, where)] == [wanted.row_id]
    assert Heads(tmp_path / INDEX).packs()


def test_code_path_and_value_are_those_of_one_finding(tmp_path: Path):
    apart = (_finding("rule", "/a"), _finding("schema", "/b", b"1", 1))
    fill(tmp_path, make_row(attempts=apart))
    desk = desk_of(tmp_path)
    assert len(lines_of(desk, LogFilter(code="rule", path="/a", value='"QQQ"'))) == 1
    for where in (
        LogFilter(code="rule", path="/b"),
        LogFilter(code="rule", value="1"),
        LogFilter(path="/a", value="1"),
    ):
        assert lines_of(desk, where) == []
        assert desk.answer(ask.AskFindings(where=where, by=("code",), limit=5)).groups == ()


def test_findings_are_told_over_time_and_with_their_newest_sessions(tmp_path: Path):
    rows_ = [
        make_row(
            timestamp=f"2026-01-0{1 + n // 3}T00:00:0{n}.000000Z",
            attempts=tuple(rejected_attempt(iteration) for iteration in range(4)),
        )
        for n in range(5)
    ]
    fill(tmp_path, *rows_, make_row())
    desk = desk_of(tmp_path)
    told = desk.answer(ask.AskFindings(by=("code",), limit=5, bucket="day"))
    assert told.times == (
        ask.FindingCount("2026-01-01T00:00:00Z", 12, 3),
        ask.FindingCount("2026-01-02T00:00:00Z", 8, 2),
    )
    (group,) = told.groups
    assert group.row_ids == tuple(row.row_id for row in rows_[:1:-1])
    where = LogFilter(value='"other"')
    none = desk.answer(ask.AskFindings(where=where, by=("code",), limit=5, bucket="day"))
    assert (none.groups, none.times) == ((), ())


def test_a_text_with_a_nul_is_refused(tmp_path: Path):
    failed = desk_of(tmp_path).answer(ask.AskRates(where=LogFilter(text="a\0b")))
    assert isinstance(failed, ask.Failed)
    assert failed.refused
    assert "NUL" in failed.message


def test_values_are_told_with_what_was_nearest(tmp_path: Path):
    attempt = rejected_attempt(0, "ungrounded")
    finding = msgspec.structs.replace(
        attempt.findings[0], path="/items/3/airport", nearest=msgspec.Raw(b'["OSL"]')
    )
    attempts = (msgspec.structs.replace(attempt, findings=(finding, finding)),)
    fill(tmp_path, make_row(attempts=attempts), make_row(attempts=attempts), make_row())
    desk = desk_of(tmp_path)
    (one,) = desk.answer(ask.AskValues(limit=5)).groups
    assert one.group == {"path": "/items/*/airport", "value": '"QQQ"'}
    assert (one.findings, one.sessions, bytes(one.nearest)) == (4, 2, b'["OSL"]')
    assert desk.answer(ask.AskValues(limit=5, path="/items/*/airport")).groups == (one,)
    assert desk.answer(ask.AskValues(limit=5, path="/other")).groups == ()


def test_labels_are_the_newest(tmp_path: Path):
    row = make_row()
    fill(tmp_path, row, make_row())
    desk = desk_of(tmp_path)
    for label in ("wrong", "right"):
        feedback = make_feedback(row_id=row.row_id, label=label, artifact=msgspec.Raw(b"null"))
        append_lines(tmp_path / "feedback.jsonl", [encode_line(feedback)])
        assert [line.row_id for line in lines_of(desk, LogFilter(label=label))] == [row.row_id]
    assert lines_of(desk, LogFilter(label="wrong")) == []
    assert row.row_id not in {line.row_id for line in lines_of(desk, LogFilter(label="none"))}
    assert lines_of(desk, LogFilter(label="right"))[0].label == "right"


def test_latency_is_told_by_group(tmp_path: Path):
    fill(tmp_path, *(make_row(kind="ab"[n % 2], duration_ms=n) for n in range(21)))
    answer = desk_of(tmp_path).answer(ask.AskLatency(by=("kind",)))
    assert (answer.total.sessions, answer.total.duration_ms.p50) == (21, 10)
    assert [one.group for one in answer.groups] == [{"kind": "a"}, {"kind": "b"}]
    assert answer.groups[0].duration_ms.total == sum(range(0, 21, 2))


@pytest.mark.parametrize("name", ["team", "", 'a"/~1', "ä.b", "$.team"])
def test_groups_are_by_key_and_by_any_member_of_the_metadata(tmp_path: Path, name: str):
    """A member's name is text, whatever it is; sessions without it are a group of their own."""
    members = [{"api_key": "alice", name: "x"}, {"api_key": "bob", name: "y'"}, {"other": "x"}]
    fill(tmp_path, *(make_row(metadata=one) for one in (*members, members[0])))
    desk = desk_of(tmp_path)
    by = ("api_key", f"metadata.{name}")
    rates = desk.answer(ask.AskRates(by=by, bucket="day"))
    day = "2026-01-02T00:00:00Z"
    expected = [("alice", "x", 2), ("bob", "y'", 1), (None, None, 1)]
    assert [(*one.group.values(), one.sessions) for one in rates.groups] == [
        (key, value, day, count) for key, value, count in expected
    ]
    assert list(rates.groups[0].group) == [*by, "bucket"]
    latency = desk.answer(ask.AskLatency(by=by))
    assert [(*one.group.values(), one.sessions) for one in latency.groups] == expected


def test_names_are_the_most_frequent(tmp_path: Path):
    """Of the filter's time, at most 200 of a list; labels too."""
    often = make_row(kind="often")
    late = make_row(kind="late", timestamp="2026-02-01T00:00:00.000000Z")
    others = [make_row(kind=f"kind_{number:03}") for number in range(200)]
    fill(tmp_path, often, make_row(kind="often"), late, *others)
    feedback = make_feedback(row_id=often.row_id, label="wrong", artifact=msgspec.Raw(b"null"))
    append_lines(tmp_path / "feedback.jsonl", [encode_line(feedback)])
    desk = desk_of(tmp_path)
    names = desk.answer(AskNames())
    assert names.kinds[:2] == (Name("often", 2), Name("kind_000", 1))
    assert (len(names.kinds), names.more) == (200, ("kinds",))
    assert names.labels == (Name("wrong", 1),)
    names = desk.answer(AskNames(where=LogFilter(since="2026-02-01T00:00:00.000000Z")))
    assert (names.kinds, names.labels, names.more) == ((Name("late", 1),), (), ())


def test_a_kind_tells_its_digests_and_since_when(tmp_path: Path):
    """With the rates of each; sessions without a kind have none."""

    def row(day: int, digest: str, **changes: Any) -> Row:
        time = f"2026-01-{day:02}T00:00:00.000000Z"
        return make_row(**{"kind": "event", "kind_digest": digest, "timestamp": time} | changes)

    failed = {"verdict": "max_iter_exhausted", "accepted_iteration": None}
    rows_ = [row(1, "old"), row(2, "old", **failed), row(3, "new"), row(1, "none", kind=None)]
    fill(tmp_path, *rows_, row(1, "odd", timestamp="no time"), row(4, "only", kind="a"))
    (only, new, old, odd) = desk_of(tmp_path).answer(AskKinds()).digests
    assert (only.kind, only.digest) == ("a", "only")
    assert (new.kind, new.digest, new.first, new.last) == (
        *("event", "new"),
        *("2026-01-03T00:00:00.000000Z", "2026-01-03T00:00:00.000000Z"),
    )
    assert (old.digest, old.first, old.last) == (
        *("old", "2026-01-01T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z"),
    )
    assert (old.rates.sessions, old.rates.first_shot_rate) == (2, 0.5)
    assert (odd.digest, odd.first, odd.last) == ("odd", None, None)
