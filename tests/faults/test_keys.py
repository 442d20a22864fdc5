"""Idempotency keys under kill -9: one session, one row id and one row for each key."""

import random
import signal
from collections import Counter
from pathlib import Path
from typing import NamedTuple, Self

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
BUGS = ("key_claimed_without_its_lock", "crashed_row_beside_a_takeover")

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


class Cast:
    """The processes of one log, each of which ends with the test."""

    def __init__(self, root: Path, bug: str = "") -> None:
        self.root = root
        self._bug = ("--mutation", bug) if bug else ()
        self._started: list[Program] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                assert pipe is not None
                pipe.close()

    def start(self, program: str, *options: object) -> Program:
        process = start(program, self.root, *options, *self._bug)
        self._started.append(process)
        return process


def claim_and_kill(cast: Cast, *, tended: bool) -> None:
    """Let four processes claim the same keys while holders die; then hold the log and what was
    said against the promise.
    """
    chance = random.Random(13)
    keys = [str(number) for number in range(KEYS)]
    calls = chance.sample(keys * (CLAIMS // KEYS), CLAIMS)
    claimants = [cast.start("claimant.py") for _ in range(PROCESSES)]
    tender = cast.start("tender.py") if tended else None
    answers: list[Answer] = []
    killed = 0
    while calls:
        asked = [calls.pop() for _ in range(min(len(calls), PROCESSES))]
        # Often all of them at one key, so that one runs it and the others wait for it.
        asked = [asked[0] if chance.random() < 0.5 else key for key in asked]
        for process, key in zip(claimants, asked, strict=False):
            ask(process, key)
        for number, key in enumerate(asked):
            words = hear(claimants[number])
            if words[:1] == ["running"] and killed < HOLDERS_KILLED:
                end(claimants[number], kill=True)
                assert claimants[number].returncode == -signal.SIGKILL
                killed += 1
                claimants[number] = cast.start("claimant.py")
                continue  # its caller does not come again before others ask for the key
            answers.append(answered(claimants[number], key, words))
    for key in keys:  # the last process was killed: its caller comes again
        ask(claimants[0], key)
        answers.append(answered(claimants[0], key, hear(claimants[0])))
    for process in claimants:
        end(process)
        assert (process.returncode, process.errors) == (0, "")
    if tender is not None:
        end(tender, kill=True)
        assert tender.errors == ""

    assert killed == HOLDERS_KILLED
    assert tended or reap(cast.root) == (), "all were taken over, none was left to be reaped"
    hold(cast.root, answers, keys)


def answered(process: Program, key: str, words: list[str]) -> Answer:
    """Hear of a key to the end."""
    if words[:1] == ["running"]:
        words = hear(process)
    assert words[:2] == ["answered", key]
    return Answer(*words[1:])


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


def take_over_and_reap(cast: Cast, rounds: int) -> None:
    """Let the next call and two reapers find a crashed session together, again and again."""
    reapers = [cast.start("tender.py") for _ in range(2)]
    successor = cast.start("claimant.py", "--begin-s", 0.03)
    crashed = taken_over = 0
    for number in range(rounds):
        key = str(number)
        victim = cast.start("claimant.py", "--session-s", 30)
        ask(victim, key)
        assert hear(victim) == ["running", key]
        ask(successor, key)
        end(victim, kill=True)
        words = hear(successor)
        taken_over += words[:1] == ["running"]
        crashed += words[:1] == ["answered"]
        answered(successor, key, words)
    end(successor)
    assert (successor.returncode, successor.errors) == (0, "")
    for process in reapers:
        end(process, kill=True)
        assert process.errors == ""
    seal(cast.root)
    rows = [decode_row(e.line.data) for e in read_lines(cast.root) if e.kind == "row"]
    assert len(rows) == len({row.row_id for row in rows}) == rounds
    assert sum(row.error is not None for row in rows) == crashed
    assert taken_over, "nothing was taken over"
    assert verify(cast.root).sound


@pytest.mark.parametrize("tended", [False, True])
def test_a_key_has_one_session_and_one_row_after_kills(tmp_path: Path, tended: bool):
    """With a reaper beside them the row of a crash may answer a key: still one."""
    with Cast(tmp_path) as cast:
        claim_and_kill(cast, tended=tended)


def test_a_takeover_and_reapers_at_once_leave_one_row(tmp_path: Path):
    """Whichever of them comes first."""
    with Cast(tmp_path) as cast:
        take_over_and_reap(cast, times(15, 300))


def test_a_claim_without_a_lock_is_caught(tmp_path: Path):
    """Two callers of one key run it at once."""
    with Cast(tmp_path, BUGS[0]) as cast, pytest.raises(AssertionError):
        claim_and_kill(cast, tended=False)


def test_a_reaper_that_ignores_keys_is_caught(tmp_path: Path):
    """It writes the row of a crash while the session is being run again."""
    with Cast(tmp_path, BUGS[1]) as cast, pytest.raises(AssertionError):
        take_over_and_reap(cast, times(15, 60))
