"""Every benchmark runs to its table, with as little work as it takes: no figure is looked at."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
# What each is asked for, how many lines of figures it then gives, and whether it keeps them.
SMALLEST = {
    "bench_iterate.py": (["--sessions", "16", "--rounds", "1"], 2, True),
    "bench_log.py": (["--rows", "2000"], 12, True),
    "bench_metrics.py": ([], 4, True),
    "bench_replay.py": (["--sessions", "20"], 2, True),
    "bench_replay_statistics.py": (["--pairs", "200", "--resamples", "200"], 2, False),
    "bench_tracing.py": (["--sessions", "16", "--rounds", "1", "--outage-s", "1"], 5, True),
}
NOT_HERE = {"bench_model_call.py"}  # it compares with libraries that are no dependencies of ours


def test_every_benchmark_is_tried() -> None:
    assert {path.name for path in BENCHMARKS.glob("bench_*.py")} == {*SMALLEST, *NOT_HERE}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SMALLEST)
def test_a_benchmark_runs_to_its_end(name: str, tmp_path: Path) -> None:
    options, lines, kept = SMALLEST[name]
    if kept:
        options = [*options, "--output", str(tmp_path)]
    ended = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *options],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    texts = [path.read_text("utf-8") for path in tmp_path.rglob("*.md")]
    assert bool(texts) == kept
    table = "".join([*texts, ended.stdout]).splitlines()
    figures = [line for line in table if any(sign.isdigit() for sign in line)]
    assert len(figures) >= lines, ended.stdout
