"""kill -9 at random times: writers, and whoever reaps and seals beside them."""

import random
import signal
import time
from pathlib import Path

import pytest

from faults.oracle import LogBroken, check, end, start, times, told

ROUNDS = times(50, 1_000)  # each kills two writers and a tender


def kill_in_the_middle(
    root: Path, seed: int, rounds: int, *, writer_bug: str = "", tender_bug: str = ""
) -> tuple[int, int]:
    """Kill writers and a tender at random times, round after round in one log; then check it.

    Returns:
        How many processes were killed while they worked, and how many rows were acknowledged.
    """
    chance = random.Random(seed)
    outputs = []
    killed = 0
    for _ in range(rounds):
        options = ["--segment-bytes", 10_000, "--row-bytes", chance.choice([0, 500, 4_000])]
        options += ["--left-running", 2, "--tend"]
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
    check(root, said)
    return killed, len(said.acked)


@pytest.mark.timeout(900)
def test_no_kill_loses_or_doubles_a_row(tmp_path: Path):
    """All processes were killed, and far more rows than that were acknowledged."""
    killed = acked = 0
    for seed in range(ROUNDS // 5):
        found = kill_in_the_middle(tmp_path / str(seed), seed, 5)
        killed, acked = killed + found[0], acked + found[1]
    assert killed == ROUNDS * 3
    assert acked >= ROUNDS * 20
    print(f"{killed} kills, {acked} acknowledged rows")


BUGS = [
    {"writer_bug": "sealed_without_reaping", "tender_bug": "sealed_without_reaping"},
    {"tender_bug": "living_writer_reaped"},
    {"writer_bug": "running_sessions_left_behind"},
    {
        "writer_bug": "reaped_without_looking_elsewhere",
        "tender_bug": "reaped_without_looking_elsewhere",
    },
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: next(iter(bug.values())))
@pytest.mark.timeout(300)
def test_a_planted_bug_is_caught(tmp_path: Path, bug: dict[str, str]):
    """Within a few rounds."""
    for seed in range(20):
        try:
            kill_in_the_middle(tmp_path / str(seed), seed, 2, **bug)
        except LogBroken as broken:
            print(f"{bug}: {broken} (round {seed})")
            return
    pytest.fail(f"nothing caught {bug}")
