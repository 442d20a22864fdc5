"""A run's books: each session one line, outages tried again and never counted, nothing twice."""

import asyncio
import json
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from lakehouse.config.settings import Config
from lakehouse.core.clock import SystemClock
from lakehouse.core.errors import InfraError, LakehouseError, Refusal
from lakehouse.core.replay_row import ReplayRun
from lakehouse.core.row import Row
from lakehouse.core.row_codec import decode_row
from lakehouse.replay.books import Books
from lakehouse.replay.pairing import read_pairs
from lakehouse.replay.progress import RunTally
from lakehouse.replay.run import (
    append_runs,
    at_work,
    count_lines,
    list_plans,
    read_lines,
    read_plan,
)
from lakehouse.replay.session import Ended
from lakehouse.sessionlog.forgotten import hide_session
from lakehouse.sessionlog.reading.reader import read_rows
from support.replays import begin_replay as begin
from support.replays import log_sessions, write_project
from support.replays import run_replay as run
from support.rows import make_replay_run

SESSIONS = 40


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = write_project(tmp_path)
    log_sessions(config, SESSIONS)
    return config


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "log"


def rows_by_daemon(root: Path) -> dict[str, list[Row]]:
    rows = [decode_row(line) for line in read_rows(root)]
    return {name: [row for row in rows if row.daemon == name] for name in ("validatord", "replay")}


def test_every_session_leaves_one_row_and_one_line(config, root):
    plan = begin(config)

    tally = run(config, plan)

    rows = rows_by_daemon(root)
    lines = list(read_lines(root, plan.run_id))
    assert (tally.done, tally.unanswered, tally.outages) == (SESSIONS, 0, 0)
    assert sorted(line.row_id for line in lines) == sorted(row.row_id for row in rows["validatord"])
    assert sorted(line.replay_row_id for line in lines) == sorted(
        row.row_id for row in rows["replay"]
    )
    assert {row.session_id for row in rows["replay"]} == {
        row.session_id for row in rows["validatord"]
    }
    verdicts = Counter((line.baseline.verdict, line.candidate.accepted_iteration) for line in lines)
    assert verdicts == {("accepted", 0): SESSIONS * 9 // 10, ("max_iter_exhausted", 0): 4}
    assert {line.artifact_equal for line in lines} == {False, None}
    assert {line.metadata["corpus"] for line in lines} == {plan.corpus}


def test_a_run_that_is_done_does_nothing_again(config, root):
    plan = begin(config)
    run(config, plan)
    before = (root / "replay_runs.jsonl").read_bytes()

    tally = run(config, plan)

    assert (tally.before, tally.done) == (SESSIONS, 0)
    assert (root / "replay_runs.jsonl").read_bytes() == before
    assert len(rows_by_daemon(root)["replay"]) == SESSIONS


def test_a_row_without_its_line_is_found_and_nobody_is_asked_again(config, root):
    """As a kill between the two leaves it: the lines of the last ten are gone."""
    plan = begin(config)
    run(config, plan)
    file = root / "replay_runs.jsonl"
    kept = [line for line in file.read_bytes().split(b"\n") if line][:-10]
    file.write_bytes(b"".join(b"\n%b\n" % line for line in kept))
    asked: list[str] = []

    tally = run(config, plan, before=lambda row: asked.append(row.row_id))

    assert (tally.before, tally.recovered, asked) == (SESSIONS - 10, 10, [])
    assert len(list(read_lines(root, plan.run_id))) == SESSIONS
    assert len(rows_by_daemon(root)["replay"]) == SESSIONS


def test_an_outage_is_tried_again_after_all_others(tmp_path):
    """Each try leaves its row; the line is of the answer, and counts as no outage."""
    fails_once = [{"error": "upstream_malformed"}, '{"city":"Bergen"}']
    config = write_project(tmp_path, new=fails_once)
    log_sessions(config, 4)
    plan = begin(config)

    tally = run(config, plan)

    root = tmp_path / "log"
    replays = rows_by_daemon(root)["replay"]
    assert Counter(row.verdict for row in replays) == {"infra_error": 4, "accepted": 4}
    assert (tally.done, tally.outages, tally.unanswered) == (4, 4, 0)
    lines = list(read_lines(root, plan.run_id))
    assert {line.candidate.verdict for line in lines} == {"accepted"}
    assert {line.candidate.accepted_iteration for line in lines} == {0}


def test_what_only_outages_answered_is_no_line_but_a_pair(tmp_path):
    """So that a report counts it, and the next start tries it again."""
    config = write_project(tmp_path, new=[{"error": "upstream_malformed"}])
    log_sessions(config, 1)
    plan = begin(config)

    tally = run(config, plan)

    root = tmp_path / "log"
    assert (tally.done, tally.unanswered, tally.outages) == (0, 1, 3)
    assert list(read_lines(root, plan.run_id)) == []
    pairs = read_pairs(root, plan).pairs
    assert {(pair.baseline.judged, pair.candidate.error_code) for pair in pairs} == {
        (True, "upstream_malformed")
    }
    (tmp_path / "new.json").write_text(json.dumps(['{"city":"Bergen"}']))
    assert run(config, plan).done == 1
    assert all(pair.candidate.accepted for pair in read_pairs(root, plan).pairs)


def test_many_outages_in_a_row_stop_the_run(config, root):
    def away(_row):
        raise InfraError("connect", "nobody home")

    tally = run(config, begin(config), before=away)

    assert "outages in a row" in tally.stopped
    assert tally.outages < SESSIONS
    assert tally.unanswered == SESSIONS


def test_an_endpoint_that_is_away_for_a_moment_ends_no_run(config, root):
    """Workers that met an outage wait; when it is over they are all still there."""
    back_s: list[float] = []

    def away(_row):
        if not back_s:  # the first call meets it, whenever it comes
            back_s.append(time.monotonic() + 0.6)
        if time.monotonic() < back_s[0]:
            raise InfraError("connect", "nobody home")

    tally = run(config, begin(config), before=away, patience_s=0.05)

    assert 0 < tally.outages < 40
    assert (tally.stopped, tally.done, tally.unanswered) == ("", SESSIONS, 0)


def test_what_cannot_be_repeated_is_told_and_not_tried_again(config, root):
    def refuse(row):
        if row.prompt == "Notice 3.":
            raise Refusal("unknown_kind", "gone")

    tally = run(config, begin(config), before=refuse)

    assert (tally.done, tally.refused, tally.refusal) == (SESSIONS - 1, 1, "gone")
    assert tally.unanswered == 0


def test_a_session_that_is_forgotten_meanwhile_is_gone(config, root):
    plan = begin(config)
    session_id = rows_by_daemon(root)["validatord"][0].session_id
    hide_session(root, session_id, SystemClock().now())

    tally = run(config, plan)

    assert (tally.done, tally.gone, tally.unanswered) == (SESSIONS - 1, 1, 0)


def test_a_full_disk_ends_the_run_and_the_next_start_goes_on(config, root, monkeypatch):
    """The rows are there; the next start writes their lines."""
    plan = begin(config)
    written: list[ReplayRun] = []

    def fail(_root, lines):
        written.extend(lines)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("lakehouse.replay.books.append_runs", fail)
        with pytest.raises(LakehouseError, match="cannot be written"):
            run(config, plan)
    assert written
    assert list(read_lines(root, plan.run_id)) == []

    tally = run(config, plan)

    assert tally.recovered > 0
    assert len(list(read_lines(root, plan.run_id))) == SESSIONS
    assert len(rows_by_daemon(root)["replay"]) == SESSIONS


@pytest.mark.parametrize("fails", [False, True])
def test_lines_of_a_flush_that_is_cancelled_are_written_by_the_next(
    config, root, monkeypatch, fails: bool
):
    """The thread that writes goes on, and a last flush must not return before it has ended."""
    plan = begin(config)
    entered, release = threading.Event(), threading.Event()
    writes: list[int] = []

    def slow(root: Path, lines: list[ReplayRun]) -> None:
        if not writes:
            entered.set()
            assert release.wait(60)
        writes.append(len(lines))
        if fails and len(writes) == 1:
            raise OSError("no space")
        append_runs(root, lines)

    monkeypatch.setattr("lakehouse.replay.books.append_runs", slow)

    async def whole() -> None:
        tally = RunTally(total=2)
        books = Books(root, plan, tally=tally, stop=asyncio.Event(), clock=SystemClock())
        for _ in range(2):
            line = make_replay_run(run_id=plan.run_id)
            books.settle(line.row_id, Ended(line=line))
        flusher = asyncio.create_task(books.flush())
        await asyncio.to_thread(entered.wait, 60)
        flusher.cancel()
        await asyncio.wait({flusher})
        last = asyncio.create_task(books.flush())
        await asyncio.sleep(0)
        assert not last.done()
        release.set()
        await last

    asyncio.run(whole())

    assert len(list(read_lines(root, plan.run_id))) == 2
    assert writes == ([2, 2] if fails else [2])


def test_two_processes_cannot_be_at_one_run(config, root):
    plan = begin(config)
    with (
        at_work(root, plan.run_id),
        pytest.raises(LakehouseError, match="already running"),
        at_work(root, plan.run_id),
    ):
        pass


def test_runs_are_listed_and_found_by_how_their_ids_begin(config, root):
    plans = [begin(config), begin(config, limit=5)]
    run(config, plans[1])

    assert [plan.run_id for plan in list_plans(root)] == [plan.run_id for plan in plans[::-1]]
    assert read_plan(root, plans[0].run_id) == plans[0]
    assert read_plan(root, plans[1].run_id[:-4]) == plans[1]
    assert count_lines(root)[plans[1].run_id] == 5
    for wrong in ("", plans[0].run_id[:4], "ff", "../x"):
        with pytest.raises(Refusal):
            read_plan(root, wrong)


def test_replays_are_in_no_further_corpus(config, root):
    """The second run is of the same sessions as the first."""
    first = begin(config)
    run(config, first)
    assert begin(config).corpus == first.corpus


def test_a_selection_of_nothing_begins_no_run(config, root):
    with pytest.raises(LakehouseError, match="0 were chosen"):
        begin(config, kind="nosuch")
    assert list_plans(root) == []
