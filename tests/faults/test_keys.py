"""Idempotency keys under kill -9: one session, one row id and one row for each key."""

import random
import signal
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from faults.oracle import Program, end, start, times
from lakehouse.core.row_codec import decode_row
from lakehouse.sessionlog.keeping.sealing import reap, seal
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.reading.reader import read_lines, read_rows

KEYS = times(20, 200)
CLAIMS = 10 * KEYS
PROCESSES = 4
HOLDERS_KILLED = KEYS // 2

pytestmark = pytest.mark.timeout(300)


class Answer(NamedTuple):
    """What a process said of a key."""

    key: str
    session_id: str
    row_id: str


def ask(process: Program, key: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{key}\n".encode())
    process.stdin.flush()


def hear(process: Program) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().decode().split()


@pytest.mark.parametrize("tended", [False, True])
def test_a_key_has_one_session_and_one_row_whoever_is_killed(tmp_path: Path, tended: bool):
    """Four processes claim the same keys; holders die while they run. With a reaper beside them
    a crashed session may have the row of its crash, which then answers its key: still one.
    """
    chance = random.Random(13)
    keys = [str(number) for number in range(KEYS)]
    calls = chance.sample(keys * (CLAIMS // KEYS), CLAIMS)
    claimants = [start("claimant.py", tmp_path) for _ in range(PROCESSES)]
    tender = start("tender.py", tmp_path) if tended else None
    answers: list[Answer] = []
    killed = 0
    while calls:
        # All of them at one key, so that one runs it and the others wait for it.
        asked = [calls.pop() for _ in range(min(len(calls), PROCESSES))]
        asked = [asked[0] if chance.random() < 0.5 else key for key in asked]
        for process, key in zip(claimants, asked, strict=False):
            ask(process, key)
        for number, key in enumerate(asked):
            words = hear(claimants[number])
            if words[0] == "running" and killed < HOLDERS_KILLED:
                claimants[number].send_signal(signal.SIGKILL)
                end(claimants[number])
                assert claimants[number].returncode == -signal.SIGKILL
                killed += 1
                claimants[number] = start("claimant.py", tmp_path)
                continue  # its caller does not come again before others ask for the key
            if words[0] == "running":
                words = hear(claimants[number])
            assert words[:2] == ["answered", key]
            answers.append(Answer(*words[1:]))
    for key in keys:  # whoever was killed last: its caller comes again
        ask(claimants[0], key)
        words = hear(claimants[0])
        answers.append(Answer(*(hear(claimants[0]) if words[0] == "running" else words)[1:]))
    for process in claimants:
        end(process)
        assert (process.returncode, process.errors) == (0, "")
    if tender is not None:
        end(tender, kill=True)
        assert tender.errors == ""

    assert killed == HOLDERS_KILLED
    assert tended or reap(tmp_path) == (), "all were taken over, none was left to be reaped"
    hold(tmp_path, answers, keys)


def hold(root: Path, answers: list[Answer], keys: list[str]) -> None:
    """One session for each key in what was said and in the log."""
    said = {(answer.key, answer.session_id, answer.row_id) for answer in answers}
    assert Counter(key for key, _, _ in said) == dict.fromkeys(keys, 1)
    lines = [entry.line.data for entry in read_lines(root) if entry.kind == "row"]
    rows = [decode_row(line) for line in lines]
    assert len(rows) == len(keys), "as many lines, not only as many ids"
    assert {(row.session_id, row.row_id) for row in rows} == {pair[1:] for pair in said}
    assert len({row.session_id for row in rows}) == len({row.row_id for row in rows}) == len(keys)
    assert len(list(read_rows(root))) == len(keys)
    seal(root)
    found = verify(root)
    assert (found.sound, found.rows, found.unfinished) == (True, len(keys), 0)
    assert found.duplicates == 0
    assert list((root / "active").iterdir()) == []


def test_a_takeover_and_reapers_at_once_leave_one_row(tmp_path: Path):
    """The next call and two reapers find the crashed session together, again and again."""
    reapers = [start("tender.py", tmp_path) for _ in range(2)]
    successor = start("claimant.py", tmp_path)
    crashed = taken_over = 0
    rounds = times(15, 300)
    for number in range(rounds):
        key = str(number)
        victim = start("claimant.py", tmp_path, "--session-s", 30)
        ask(victim, key)
        assert hear(victim) == ["running", key]
        ask(successor, key)
        victim.send_signal(signal.SIGKILL)
        end(victim)
        words = hear(successor)
        taken_over += words[0] == "running"
        crashed += words[0] == "answered"
        assert (hear(successor) if words[0] == "running" else words)[:2] == ["answered", key]
    end(successor)
    assert (successor.returncode, successor.errors) == (0, "")
    for process in reapers:
        end(process, kill=True)
        assert process.errors == ""
    seal(tmp_path)
    rows = [decode_row(e.line.data) for e in read_lines(tmp_path) if e.kind == "row"]
    assert len(rows) == len({row.row_id for row in rows}) == rounds
    assert sum(row.error is not None for row in rows) == crashed
    assert taken_over, "nothing was taken over"
    assert verify(tmp_path).sound
