"""A write that the kernel cuts short: the row is written again, whole, and harms no other."""

from pathlib import Path

import pytest

from faults.oracle import LogBroken, check, end, start, told
from lakehouse.sessionlog.keeping.verify import Verification

BUGS = ["no_newline_first", "short_write_taken_for_whole", "bad_lines_not_listed"]


FAULTS = {  # and what it takes to meet them
    "short_write": ["--at-once", 1, "--segment-bytes", 4_000],
    "short_write_of_rows": ["--at-once", 8, "--segment-bytes", 12_000],
}


def cut_a_write(root: Path, fault: str, *bugs: str) -> tuple[int, Verification]:
    """Let a producer meet one short write; gives how many rows it had acknowledged."""
    planted = [option for name in (fault, *bugs) for option in ("--mutation", name)]
    producer = start("producer.py", root, "--rows", 8, "--tend", *FAULTS[fault], *planted)
    said = told(end(producer))
    assert "cut short" in producer.errors, "no write was cut short"
    return len(said.acked), check(root, said)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_row_that_was_cut_is_written_again(tmp_path: Path, fault: str):
    """Every row is acknowledged, none twice, and the half is listed as damage."""
    acked, verified = cut_a_write(tmp_path, fault)
    assert acked == 8
    assert verified.duplicates == 0
    assert [bad.listed for bad in verified.bad] == [True]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught(tmp_path: Path, bug: str, fault: str):
    """With one short write."""
    with pytest.raises(LogBroken) as broken:
        cut_a_write(tmp_path, fault, bug)
    print(f"{bug}: {broken.value}")
