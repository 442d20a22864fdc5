"""Every benchmark runs to its table, with as little work as it takes: no figure is looked at."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
# What each is asked for, how many lines of figures it then gives, and whether it keeps them.
SMALLEST = {
    "bench_candidates.py": (["--names", "2000"], 14, True),
    "bench_grounding.py": (["--sessions", "16", "--rounds", "1"], 5, True),
    "bench_instructions.py": (["--sessions", "5", "--runs", "1"], 29, True),
    "bench_iterate.py": (
        ["--sessions", "16", "--rounds", "1", "--starts", "1", "--soak", "20"],
        23,
        True,
    ),
    "bench_log.py": (["--rows", "2000", "--rounds", "1"], 12, True),
    "bench_metrics.py": ([], 4, True),
    "bench_openai_door.py": (["--sessions", "16", "--rounds", "1"], 8, True),
    "bench_pages.py": (["--sessions", "32", "--rounds", "1", "--rows", "2000"], 3, True),
    "bench_python.py": (["--calls", "16", "--rounds", "1", "--alone"], 1, True),
    "bench_reader.py": (["--rows", "500", "--rounds", "1"], 17, True),
    "bench_replay.py": (["--sessions", "20"], 2, True),
    "bench_replay_statistics.py": (["--pairs", "200", "--resamples", "200"], 2, False),
    "bench_tracing.py": (["--sessions", "16", "--rounds", "1", "--outage-s", "1"], 5, True),
    "bench_workers.py": (["--sessions", "64", "--rounds", "1"], 3, True),
    "quality/bench_candidates.py": (["--data", "DATA", "--texts", "1"], 26, True),
    "quality/bench_history.py": (["--data", "DATA", "--texts", "1", "--arm", "findings"], 1, True),
}
NOT_HERE = {"bench_model_call.py"}  # it compares with libraries that are no dependencies of ours


def test_every_benchmark_is_tried() -> None:
    found = {str(path.relative_to(BENCHMARKS)) for path in BENCHMARKS.rglob("bench_*.py")}
    assert found == {*SMALLEST, *NOT_HERE}


def test_the_points_of_the_instruction_counter_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found here in a second, and by the benchmark itself in a minute."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    counter = importlib.import_module("counted_server")
    for where in (*(point.where for point in counter.POINTS), counter.SYNC, *counter.BY_THE_CLOCK):
        counter.find(where)
    with pytest.raises(SystemExit, match=r"Run\.gone is not there any more"):
        counter.find("lakehouse.engine.run:Run.gone")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set in the form that the benchmarks of quality read: one text more than for tuning."""
    directory = tmp_path / "data"
    directory.mkdir()
    answer = {"name": "The Anchor", "near": "Old Mill", "food": "Thai", "area": "harbour"}
    lines = [
        json.dumps(
            {
                "text": f"The Anchor serves Thai food in the harbour, {minutes} minutes "
                "from Old Mill, which it is near.",
                "gold": answer,
            }
        )
        for minutes in range(201)
    ]
    (directory / "e2e_dev.jsonl").write_text("\n".join(lines))
    (directory / "e2e_places.csv").write_text("name,near\nThe Anchor,Old Mill\nThe Crane,\n")
    return directory


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.model] if name.startswith("quality/") else [])
        for name in SMALLEST
    ],
)
def test_a_benchmark_runs_to_its_end(name: str, tmp_path: Path, data: Path) -> None:
    options, lines, kept = SMALLEST[name]
    options = [str(data) if option == "DATA" else option for option in options]
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
