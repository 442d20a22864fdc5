"""kill -9 in the middle of a replay, again and again: every pair is there exactly once."""

import random
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from faults.oracle import END_S, ENVIRONMENT, times
from lakehouse.core.replay_row import ReplayRun
from lakehouse.core.row import Row
from lakehouse.core.row_codec import decode_replay_run, decode_row
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.reading.reader import read_rows
from lakehouse.sessionlog.reading.views import open_views
from lakehouse.sessionlog.shared_file import whole_lines
from support.replays import log_sessions, write_project

SESSIONS = times(10_000, 100_000)
KILLS = 20


def start_replay(directory: Path, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    """Start `lakehouse replay`; gives the process and the id that its first line tells."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lakehouse", "replay", "--concurrency", "16", *arguments],
        cwd=directory,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("run "):
            return process, line.split()[1].rstrip(":")
    raise AssertionError("the replay did not begin")


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def kill_at_work(process: subprocess.Popen[str], lines: Path, grow_bytes: int) -> None:
    """Kill a replay once it has written so much more; it must not have ended before."""
    until = time.monotonic() + END_S
    goal = size(lines) + grow_bytes
    while size(lines) < goal and time.monotonic() < until:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.timeout(times(900, 7_200))
def test_no_kill_loses_or_doubles_a_pair(tmp_path: Path):
    slow = [{"text": '{"city":"Bergen"}', "delay_ms": 5}]  # so that a kill finds sessions under way
    log_sessions(write_project(tmp_path, new=slow), SESSIONS)
    lines = tmp_path / "log" / "replay_runs.jsonl"
    chance = random.Random(6)
    process, run_id = start_replay(tmp_path, "--model", "new")
    step_bytes = 1_500 * SESSIONS // KILLS * 3 // 4  # so that the last start has work left
    for _ in range(KILLS):
        kill_at_work(process, lines, chance.randrange(1, step_bytes))
        process, resumed = start_replay(tmp_path, "--resume", run_id)
        assert resumed == run_id
    process.communicate(timeout=600)
    assert process.returncode == 0

    seal(tmp_path / "log")
    runs = [decode_replay_run(line) for line in whole_lines(lines)]
    rows = [decode_row(line) for line in read_rows(tmp_path / "log")]
    originals = {row.row_id: row for row in rows if row.daemon == "validatord"}
    replays = {row.row_id: row for row in rows if row.daemon == "replay"}
    answers = {row_id for row_id, row in replays.items() if row.error is None}
    assert len(originals) == SESSIONS
    assert len(runs) == SESSIONS
    assert {run.row_id for run in runs} == originals.keys()
    assert {run.replay_row_id for run in runs} == answers
    assert all(pairs_up(originals[run.row_id], replays[run.replay_row_id]) for run in runs)
    # The kills struck sessions under way, and such as had their row and not yet their line.
    crashed = len(replays) - len(answers)
    recovered = sum(written_late(replays[run.replay_row_id], run) for run in runs)
    assert crashed >= KILLS
    assert recovered >= KILLS
    with open_views(tmp_path / "log") as views:
        counts = "count(*), count(DISTINCT row_id), count(DISTINCT replay_row_id)"
        assert views.execute(f"SELECT {counts} FROM replays").fetchone() == (SESSIONS,) * 3
    found = verify(tmp_path / "log")
    assert found.sound
    assert found.unfinished == 0
    assert found.duplicates == 0  # nobody was asked again for what was in the log
    print(f"{KILLS} kills, {crashed} sessions cut, {recovered} found again, {SESSIONS} pairs")


def written_late(replay: Row, run: ReplayRun) -> bool:
    """Whether the line was written by another process than the row: starting takes longer."""
    ended, told = map(datetime.fromisoformat, (replay.timestamp, run.timestamp))
    return told - ended > timedelta(milliseconds=250)


def pairs_up(original: Row, replay: Row) -> bool:
    same = (original.session_id, original.prompt) == (replay.session_id, replay.prompt)
    return same and replay.model == "new-1"
