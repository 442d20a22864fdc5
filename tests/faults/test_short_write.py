"""A write that the kernel cuts short: the row is written again, whole, and harms no other."""

from pathlib import Path

import pytest

from faults.oracle import LogBroken, check, end, start, told
from lakehouse.sessionlog.keeping.verify import Verification

BUGS = ["no_newline_first", "short_write_taken_for_whole", "bad_lines_not_listed"]


def cut_a_write(root: Path, *bugs: str) -> tuple[int, Verification]:
    """Let a producer meet one short write; gives how many rows it had acknowledged."""
    planted = [option for bug in bugs for option in ("--mutation", bug)]
    options = ["--rows", 8, "--at-once", 1, "--segment-bytes", 4_000, "--tend"]
    producer = start("producer.py", root, *options, *planted)
    said = told(end(producer))
    assert "cut short" in producer.errors, "no write was cut short"
    return len(said.acked), check(root, said)


def test_a_row_that_was_cut_is_written_again(tmp_path: Path):
    """Every row is acknowledged, and the half is listed as damage."""
    acked, verified = cut_a_write(tmp_path, "short_write")
    assert acked == 8
    assert [bad.listed for bad in verified.bad] == [True]


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught(tmp_path: Path, bug: str):
    """With one short write."""
    with pytest.raises(LogBroken) as broken:
        cut_a_write(tmp_path, "short_write", bug)
    print(f"{bug}: {broken.value}")
