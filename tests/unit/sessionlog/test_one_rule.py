"""One rule for every reader: what is a row, what it counts as, and when it was."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakehouse.core.limits import CRC_BYTES
from lakehouse.core.row_codec import add_crc, encode_line
from lakehouse.feedback.labels import latest_feedback
from lakehouse.replay.corpus import build_corpus
from lakehouse.replay.run import read_lines as read_replays
from lakehouse.replay.selection import Selection, select_rows
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.reading.filters import SessionFilter
from lakehouse.sessionlog.reading.reader import Follower, find_rows, read_rows
from lakehouse.sessionlog.reading.sessions import list_sessions
from lakehouse.sessionlog.reading.stats import stats
from lakehouse.sessionlog.reading.views import open_views
from support.log_counts import count
from support.rows import make_feedback, make_replay_run, make_row

GOOD = make_row(timestamp="2026-01-02T03:04:05.000000Z")
FOREIGN = "ab" * 16


def line_of(change: Callable[[dict[str, Any]], object], *, crc: bool = True) -> bytes:
    """Write a row as another program might, with a change to its members."""
    row = json.loads(encode_line(make_row(timestamp="2026-01-02T03:04:06.000000Z")))
    del row["crc"]
    change(row)
    text = json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    return add_crc(text) if crc else text


def in_inbox(root: Path, lines: list[bytes]) -> None:
    """Have a program append lines to the inbox."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "inbox.jsonl").open("ab") as file:
        file.write(b"".join(b"\n%b\n" % line for line in lines))


def in_segment(root: Path, lines: list[bytes]) -> None:
    """Have a writer that is gone leave a segment."""
    (root / "active").mkdir(parents=True, exist_ok=True)
    (root / "active" / f"{FOREIGN}-0.jsonl").write_bytes(
        b"".join(b"\n%b\n" % line for line in lines)
    )


def shown(root: Path, where: SessionFilter | None = None) -> list[str]:
    """Ask every reader which sessions there are; they must all say the same."""
    found = sorted(json.loads(row)["row_id"] for row in list_sessions(root, where).rows)
    assert stats(root, where=where).sessions == len(found)
    if where is None:
        assert ask(root, "SELECT row_id FROM sessions ORDER BY row_id") == found
        assert sorted(json.loads(line)["row_id"] for line in read_rows(root)) == found
        assert [row_id for row_id in found if len(find_rows(root, row_id)) != 1] == []
        assert verify(root).rows == len(found)
    return found


def ask(root: Path, sql: str, *, bad: bool = False) -> list[object]:
    """Ask the log's SQL for one column."""
    with open_views(root, bad=bad) as connection:
        return [value for (value,) in connection.execute(sql).fetchall()]


def through_its_life(root: Path, check: Callable[[], None]) -> None:
    """Check while the rows are live, sealed, and in the table."""
    check()
    seal(root)
    check()
    compact(root, retention_h=0)
    check()


def put(*path: str | int) -> Callable[[Any], Callable[[dict[str, Any]], object]]:
    """Set a member at a path."""

    def setter(value: Any) -> Callable[[dict[str, Any]], object]:
        def change(row: Any) -> None:
            for part in path[:-1]:
                row = row[part]
            row[path[-1]] = value

        return change

    return setter


INTEGERS: list[tuple[str | int, ...]] = [
    ("duration_ms",),
    ("iterations",),
    ("max_iterations",),
    ("accepted_iteration",),
    ("settings", "max_tokens"),
    ("settings", "seed"),
    ("settings", "deadline_ms"),
    ("usage", "prompt_tokens"),
    ("usage", "completion_tokens"),
    ("attempts", 0, "iteration"),
    ("attempts", 0, "duration_ms"),
    ("attempts", 0, "usage", "prompt_tokens"),
]
NO_ROWS = {
    **{
        f"{'.'.join(map(str, path))} is {name}": line_of(put(*path)(value))
        for path in INTEGERS
        for name, value in [("2^63", 2**63)]
    },
    "duration_ms is below 64 bits": line_of(put("duration_ms")(-(2**63) - 1)),
    "duration_ms has a point": line_of(put("duration_ms")(1.5)),
    "duration_ms is text": line_of(put("duration_ms")("12")),
    "a verdict of tomorrow": line_of(put("verdict")("rejected")),
    "a code that is no word": line_of(put("error")({"code": "Not A Word", "message": ""})),
    "no prompt": line_of(lambda row: row.pop("prompt")),
    "no usage of an attempt": line_of(lambda row: row["attempts"][0].pop("usage")),
    "an artifact with a lone surrogate": line_of(put("artifact")("@")).replace(
        b'"artifact":"@"', b'"artifact":"\\ud800"'
    ),
}
NO_ROWS["an artifact with a lone surrogate"] = add_crc(
    NO_ROWS["an artifact with a lone surrogate"][:-CRC_BYTES] + b"}"
)
NO_ROWS["a member twice"] = add_crc(encode_line(make_row())[:-CRC_BYTES] + b',"kind":"x"}')
NO_ROWS["a byte behind the crc's back"] = encode_line(make_row()).replace(b"Oslo", b"Osln")


@pytest.mark.parametrize("place", [in_inbox, in_segment])
@pytest.mark.parametrize("name", NO_ROWS)
def test_what_is_no_row_is_a_row_to_nobody(tmp_path: Path, name: str, place: Any):
    """Neither before it is sealed and compacted nor after; it is listed, and kept apart."""
    place(tmp_path, [encode_line(GOOD), NO_ROWS[name]])
    follower = Follower(tmp_path, from_start=True)
    assert [json.loads(line)["row_id"] for line in follower.poll()] == [GOOD.row_id]
    assert count(tmp_path).bad == 1
    assert shown(tmp_path) == [GOOD.row_id]
    assert ask(tmp_path, "SELECT count(*) FROM log_bad_lines", bad=True) == [1]
    seal(tmp_path)
    assert shown(tmp_path) == [GOOD.row_id]
    assert compact(tmp_path, retention_h=0).rows == 1
    assert shown(tmp_path) == [GOOD.row_id]
    [kept] = (tmp_path / "quarantine").iterdir()
    assert NO_ROWS[name] in kept.read_bytes()


def test_what_a_less_strict_seal_passed_is_kept_apart_when_it_is_compacted(tmp_path: Path):
    """Its manifest counts a row that is none: the table does not take it, and no byte is lost."""
    bad = NO_ROWS["duration_ms is 2^63"]
    in_segment(tmp_path, [encode_line(GOOD), bad])
    seal(tmp_path)
    [manifest] = (tmp_path / "sealed").glob("*.manifest.json")
    told = json.loads(manifest.read_text())
    assert (told["rows"], len(told["bad_lines"])) == (1, 1)
    manifest.write_text(json.dumps({**told, "rows": 2, "bad_lines": []}))
    [kept] = (tmp_path / "quarantine").iterdir()
    kept.unlink()
    assert compact(tmp_path, retention_h=0).rows == 1
    assert shown(tmp_path) == [GOOD.row_id]
    assert kept.read_bytes() == bad + b"\n"


DISAGREEING = {
    "an outage with an accepted iteration": lambda row: row.update(
        verdict="infra_error", error={"code": "timeout", "message": "late", "detail": None}
    ),
    "an outage without an error": lambda row: row.update(
        verdict="infra_error", accepted_iteration=None
    ),
    "accepted without an accepted iteration": put("accepted_iteration")(None),
    "accepted after no attempt": lambda row: row.update(attempts=[], iterations=0),
    "accepted with an error": put("error")({"code": "crashed", "message": "?"}),
    "accepted with a rejected attempt": put("attempts", 0, "outcome")("rejected"),
    "exhausted with an accepted iteration": put("verdict")("max_iter_exhausted"),
    "iterations that are not the attempts": put("iterations")(7),
    "negative everything": lambda row: row.update(
        iterations=-1, duration_ms=-(2**63), max_iterations=-3, accepted_iteration=-2
    ),
    "the longest": put("duration_ms")(2**63 - 1),
}


@pytest.mark.parametrize("name", DISAGREEING)
def test_members_that_disagree_are_shown_as_they_are_and_counted_by_the_verdict(
    tmp_path: Path, name: str
):
    """By every reader, in the files and in the table; no rate leaves its range."""
    line = line_of(DISAGREEING[name])
    row = json.loads(line)
    in_inbox(tmp_path, [encode_line(GOOD), line])
    is_first_shot = row["verdict"] == "accepted" and row["accepted_iteration"] == 0
    judged = 1 + (row["verdict"] != "infra_error")

    def check() -> None:
        assert shown(tmp_path) == sorted([GOOD.row_id, row["row_id"]])
        assert find_rows(tmp_path, row["row_id"]) == [line]
        found = stats(tmp_path, by=["verdict"])
        assert found.sessions == 2
        assert found.accepted == 1 + (row["verdict"] == "accepted")
        assert found.infra_error == (row["verdict"] == "infra_error")
        assert found.first_shot == 1 + is_first_shot
        assert found.first_shot_rate == found.first_shot / judged
        assert found.accepted_rate == found.accepted / judged
        where = SessionFilter(verdict=row["verdict"])
        assert row["row_id"] in shown(tmp_path, where)

    through_its_life(tmp_path, check)
    chosen = select_rows(tmp_path, Selection()).row_ids
    assert (row["row_id"] in chosen) == (row["verdict"] != "infra_error")
    corpus = build_corpus(tmp_path, chosen, answers_needed=True)
    assert (corpus.counts.sessions, corpus.counts.unreadable) == (len(chosen), 0)


TIMES = {
    "2026-01-02T03:04:05.000000Z": "2026-01-02 03:04:05",
    "2026-01-02T03:04:05": "2026-01-02 03:04:05",
    "2026-01-02 03:04:05": "2026-01-02 03:04:05",
    "2026-01-02T05:04:05+02:00": "2026-01-02 03:04:05",
    "2026-W01-5T03:04:05Z": "2026-01-02 03:04:05",
    "2026-01-02T03:04:05.1234567Z": "2026-01-02 03:04:05.123456",
    "2026-01-02": "2026-01-02 00:00:00",
    **dict.fromkeys(
        [
            *(
                "yesterday",
                "",
                "epoch",
                "infinity",
                " 2026-01-02T03:04:05Z",
                "2026-01-02T24:00:00Z",
            ),
            *("0000-01-01T00:00:00Z", "10000-01-01", "2026-01-02T03:04:05 UTC", "2026-02-30"),
            *("9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00", "2026-01-02T03:04:60Z"),
            *("20260102T030405Z", "２０２６-01-02T03:04:05Z"),
        ]
    ),
}


def test_a_time_means_one_thing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No zone is UTC; what is no time is older than all: no `since` takes it, each `until` does."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    lines = {text: line_of(put("timestamp")(text)) for text in TIMES}
    ids = {text: json.loads(line)["row_id"] for text, line in lines.items()}
    in_inbox(tmp_path, list(lines.values()))
    undated = sorted(ids[text] for text, moment in TIMES.items() if moment is None)
    dated = sorted(ids[text] for text, moment in TIMES.items() if moment is not None)
    early, late = "2026-01-01T00:00:00.000000Z", "2026-01-03T00:00:00.000000Z"

    def check() -> None:
        assert shown(tmp_path) == sorted(dated + undated)
        with open_views(tmp_path) as connection:
            sql = "SELECT row_id, CAST(timestamp AS VARCHAR) FROM sessions"
            found = dict(connection.execute(sql).fetchall())
        assert {text: found[ids[text]] for text in TIMES} == TIMES
        assert shown(tmp_path, SessionFilter(until=late)) == sorted(dated + undated)
        assert shown(tmp_path, SessionFilter(since=late)) == []
        assert shown(tmp_path, SessionFilter(since=early)) == dated
        assert shown(tmp_path, SessionFilter(until=early)) == undated

    through_its_life(tmp_path, check)
    assert sorted(select_rows(tmp_path, Selection(until=early)).row_ids) == undated
    assert sorted(select_rows(tmp_path, Selection(since=early)).row_ids) == dated


def bare(line: bytes) -> bytes:
    return line[:-CRC_BYTES] + b"}"


HEADER = (
    b'{"schema":"session_log.segment.v1","writer_id":"%b","segment":0,"daemon":"d","runtime":"perl",'
    b'"version":"1","started_at":"2026-01-02T00:00:00.000000Z"}' % FOREIGN.encode()
)
FIRST, SECOND, THIRD = (encode_line(make_row()) for _ in range(3))
SEGMENTS = {
    "no line has one": ([bare(FIRST), bare(SECOND)], 2, 0),
    "no line has one, the header neither": ([HEADER, bare(FIRST), bare(SECOND)], 2, 0),
    "the first line lacks it": ([bare(FIRST), SECOND, THIRD], 2, 1),
    "the header lacks it": ([HEADER, FIRST, SECOND], 2, 1),
    "a line in the middle lacks it": ([FIRST, bare(SECOND), THIRD], 2, 1),
    "only the last line has one": ([bare(FIRST), bare(SECOND), THIRD], 1, 2),
    "only one has it, and it is wrong": ([bare(FIRST), SECOND.replace(b"Oslo", b"Osln")], 0, 2),
    "a line is damage in another way": ([bare(FIRST), b"{torn", bare(SECOND)], 2, 1),
}


@pytest.mark.parametrize("name", SEGMENTS)
def test_a_segment_is_foreign_where_none_of_its_lines_has_a_crc(tmp_path: Path, name: str):
    """Then nothing vouches for its rows, and all are taken; else a line without one is damage."""
    lines, rows, bad = SEGMENTS[name]
    in_segment(tmp_path, lines)
    counts = count(tmp_path)
    assert (counts.rows, counts.bad) == (rows, bad)
    assert counts.unchecked == (0 if any(map(ends_in_crc, lines)) else rows)
    assert len(shown(tmp_path)) == rows
    seal(tmp_path)
    assert len(shown(tmp_path)) == rows
    found = verify(tmp_path)
    assert (found.rows, len(found.bad), found.sound) == (rows, bad, True)
    assert compact(tmp_path, retention_h=0).rows == rows
    assert len(shown(tmp_path)) == rows


def ends_in_crc(line: bytes) -> bool:
    return b',"crc":"' in line[-CRC_BYTES:]


def test_codes_of_tomorrow_are_shown_and_counted(tmp_path: Path):
    """Filtered by, told by SQL, and never damage: in the files and in the table."""
    finding = {"code": "one_of_tomorrow", "path": "", "message": "no"}

    def rejected(row: dict[str, Any]) -> None:
        row.update(verdict="max_iter_exhausted", accepted_iteration=None)
        row["attempts"][0].update(
            outcome="rejected", findings=[finding], finish_reason="one_of_tomorrow"
        )

    def failed(row: dict[str, Any]) -> None:
        row.update(verdict="infra_error", accepted_iteration=None, attempts=[], iterations=0)
        row["error"] = {"code": "one_of_tomorrow", "message": "no", "detail": None}

    lines = [line_of(rejected), line_of(failed)]
    in_inbox(tmp_path, lines)
    ids = sorted(json.loads(line)["row_id"] for line in lines)

    def check() -> None:
        assert count(tmp_path).bad == 0
        assert shown(tmp_path, SessionFilter(code="one_of_tomorrow")) == shown(tmp_path) == ids
        sql = "SELECT finish_reason FROM attempts UNION ALL SELECT code FROM findings"
        assert ask(tmp_path, sql) == ["one_of_tomorrow"] * 2

    through_its_life(tmp_path, check)


def without_crc(line: bytes) -> bytes:
    return line[:-CRC_BYTES] + b"}"


FAULTS: dict[str, Callable[[bytes], bytes]] = {
    "a wrong crc": lambda line: line.replace(b"2026-01-02", b"2027-01-02"),
    "no crc": without_crc,
    "a member of another type": lambda line: add_crc(
        without_crc(line).replace(b'"session_id":"s-1"', b'"session_id":1')
    ),
    "a member twice": lambda line: add_crc(without_crc(line)[:-1] + b',"row_id":"x"}'),
    "cut short": lambda line: line[:-30],
}


@pytest.mark.parametrize("name", FAULTS)
def test_replays_and_feedback_are_the_same_lines_to_sql_as_to_their_readers(
    tmp_path: Path, name: str
):
    run, feedback = make_replay_run(run_id="r"), make_feedback()
    damaged = FAULTS[name](encode_line(make_replay_run(run_id="r")))
    (tmp_path / "replay_runs.jsonl").write_bytes(b"\n%b\n\n%b\n" % (damaged, encode_line(run)))
    damaged = FAULTS[name](encode_line(make_feedback()))
    (tmp_path / "feedback.jsonl").write_bytes(b"\n%b\n\n%b\n" % (damaged, encode_line(feedback)))
    assert list(read_replays(tmp_path, "r")) == [run]
    assert ask(tmp_path, "SELECT replay_row_id FROM replays") == [run.replay_row_id]
    assert latest_feedback(tmp_path) == {feedback.row_id: feedback}
    assert ask(tmp_path, "SELECT feedback_id FROM feedback") == [feedback.feedback_id]
    listed = ask(tmp_path, "SELECT file FROM log_bad_lines ORDER BY file", bad=True)
    assert listed == ["feedback.jsonl", "replay_runs.jsonl"]
