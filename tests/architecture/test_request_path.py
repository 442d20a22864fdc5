"""The way of one request stays short: the figures of ARCHITECTURE.md are its upper bounds."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIGURES = re.compile(r"(\d+) files, (\d+) changes, (\d+) calls")


def test_one_request_passes_through_no_more_than_the_architecture_says() -> None:
    """Counted on a warm first shot, by the tool that anybody can run."""
    [written] = FIGURES.findall((ROOT / "ARCHITECTURE.md").read_text("utf-8"))
    command = [sys.executable, str(ROOT / "tools" / "request_path.py"), "--figures"]
    told = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    [counted] = FIGURES.findall(told)
    files, changes, calls = map(int, counted)
    assert files > 20  # it has counted
    assert calls > 100
    bounds = tuple(map(int, written))
    assert (files, changes, calls) <= bounds or (
        files <= bounds[0] and changes <= bounds[1] and calls <= bounds[2]
    )
