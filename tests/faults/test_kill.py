"""kill -9 at random times: writers, and whoever reaps and seals beside them."""

import random
import signal
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from faults.oracle import LogBroken, check, end, start, times, told

ROUNDS = times(50, 1_000)  # each kills two writers and a tender
TORN = times(2, 20)
TORN_TRIES_MAX = times(20, 200)


class Killed(NamedTuple):
    """Processes that were killed while they worked, rows acknowledged, lines torn by a kill."""

    processes: int
    acked: int
    torn: int


def kill_in_the_middle(
    root: Path,
    seed: int,
    rounds: int,
    *,
    row_bytes: tuple[int, ...] = (0, 500, 4_000),
    writer_bug: str = "",
    tender_bug: str = "",
) -> Killed:
    """Kill writers and a tender at random times, round after round in one log; then check it."""
    chance = random.Random(seed)
    outputs = []
    killed = 0
    for _ in range(rounds):
        options = ["--segment-bytes", 60_000, "--row-bytes", chance.choice(row_bytes)]
        options += ["--left-running", 2, "--tend", "--pause-s", 0.002]
        options += ["--mutation", writer_bug] if writer_bug else []
        writers = [start("producer.py", root, *options) for _ in range(2)]
        bug = ["--mutation", tender_bug] if tender_bug else []
        tender = start("tender.py", root, *bug)
        for process in (*writers, tender):
            assert process.stdout is not None
            process.stdout.readline()  # it is at work
        for process in chance.sample([*writers, tender], 3):
            time.sleep(chance.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
        outputs += [end(process) for process in writers]
        end(tender)
        killed += sum(process.returncode == -signal.SIGKILL for process in (*writers, tender))
    said = told(*(f"{output}\n" for output in outputs))
    verified = check(root, said)
    if verified.duplicates:
        raise LogBroken(f"{verified.duplicates} rows were written twice")
    return Killed(killed, len(said.acked), len(verified.bad))


@pytest.mark.timeout(times(1_800, 7_200))
def test_no_kill_loses_or_doubles_a_row(tmp_path: Path):
    """All processes were killed, and far more rows than that were acknowledged."""
    killed = acked = logs = 0
    # On a slow disk they come to fewer rows before a kill: go on until there were enough.
    while logs < ROUNDS // 5 or (acked < ROUNDS * 50 and logs < ROUNDS):
        found = kill_in_the_middle(tmp_path / str(logs), logs, 5)
        killed, acked, logs = killed + found.processes, acked + found.acked, logs + 1
    assert killed == logs * 5 * 3
    assert acked >= ROUNDS * 50
    print(f"{killed} kills, {acked} acknowledged rows")


@pytest.mark.timeout(times(600, 7_200))
def test_a_row_that_a_kill_tears_harms_no_other(tmp_path: Path):
    """A kill stops a large write between two pages: half a row, listed as damage."""
    torn = 0
    for seed in range(TORN_TRIES_MAX):
        torn += kill_in_the_middle(tmp_path / str(seed), seed, 2, row_bytes=(2_000_000,)).torn
        if torn >= TORN:
            break
    assert torn >= TORN, "no kill fell into a write"
    print(f"{torn} torn lines")


BUGS = [
    {"writer_bug": "sealed_without_reaping", "tender_bug": "sealed_without_reaping"},
    {"tender_bug": "living_writer_reaped"},
    {"writer_bug": "running_sessions_left_behind"},
    {"writer_bug": "no_reap_lock", "tender_bug": "no_reap_lock"},
    {
        "writer_bug": "reaped_without_looking_elsewhere",
        "tender_bug": "reaped_without_looking_elsewhere",
    },
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: next(iter(bug.values())))
@pytest.mark.timeout(times(300, 7_200))
def test_a_planted_bug_is_caught(tmp_path: Path, bug: dict[str, str]):
    """Soon: each round but the first of a log kills somebody who reaps what the last one left."""
    for seed in range(40):
        try:
            kill_in_the_middle(
                tmp_path / str(seed),
                seed,
                8,
                writer_bug=bug.get("writer_bug", ""),
                tender_bug=bug.get("tender_bug", ""),
            )
        except LogBroken as broken:
            print(f"{bug}: {broken} (round {seed})")
            return
    pytest.fail(f"nothing caught {bug}")
