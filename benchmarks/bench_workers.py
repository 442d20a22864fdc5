"""Sessions a second of one worker and of several, in turns, with the load in the same run.

Usage: python benchmarks/bench_workers.py [--workers N] [--sessions N] [--rounds R] [--output DIR]

Each round asks one process and N workers for the same first shots, durable, 64 in flight on
connections that stay open. The load, its model and the workers share the processors: what the load
and the model take, the workers lack, so that it is in the table. Each round also runs a loop that
shares nothing, in one process and in N: what processors of this machine do at once. Prints a table
and writes it, with everything needed to repeat it, under benchmarks/runs/.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import uvloop

from load import load
from project import request_of, write_project
from rig import (
    HERE,
    cpu_s,
    fdatasync_ms,
    file_system,
    heading,
    port_of,
    process,
    table_head,
    write_result,
)
from rounds import spread

sys.path.insert(0, str(HERE.parent / "tests"))

from support.processes import children_of

IN_FLIGHT = 64
REQUEST = request_of("ok")
LOOP_ROUNDS = 20_000_000
LOOP = f"""
import time
begun_s = time.perf_counter()
for _ in range({LOOP_ROUNDS}):
    pass
print(time.perf_counter() - begun_s)
"""


class Turn(NamedTuple):
    per_s: float
    cpu_ms: float  # of all workers, for a session
    rest_ms: float  # of the load and its model, for a session


def members(pid: int) -> list[int]:
    """Give the processes of a group, with the one that started it."""
    return [pid, *children_of(pid)]


@contextmanager
def stack(directory: Path, workers: int) -> Iterator[tuple[int, int]]:
    arguments = ("-m", "lakehouse", "up", "--workers", str(workers))
    with process(*arguments, cwd=directory) as (daemon, greeting):
        yield port_of(greeting), daemon.pid


def one_turn(directory: Path, workers: int, sessions: int, model: int) -> Turn:
    """Warm a stack, and load it."""
    with stack(directory, workers) as (port, pid):
        uvloop.run(load(port, [REQUEST], max(IN_FLIGHT, sessions // 10), in_flight=IN_FLIGHT))
        used_s = sum(map(cpu_s, members(pid)))
        rest_s, begun_s = time.process_time() + cpu_s(model), time.perf_counter()
        uvloop.run(load(port, [REQUEST], sessions, in_flight=IN_FLIGHT))
        took_s = time.perf_counter() - begun_s
        used_s = sum(map(cpu_s, members(pid))) - used_s
        rest_s = time.process_time() + cpu_s(model) - rest_s
        return Turn(sessions / took_s, used_s / sessions * 1000, rest_s / sessions * 1000)


def loops_per_s(processes: int) -> float:
    """Run a loop in so many processes at once; gives the rounds of all in a second."""
    command = [sys.executable, "-c", LOOP]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(processes)]
    return sum(LOOP_ROUNDS / float(each.communicate()[0]) for each in started)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=HERE / "runs")
    asked = parser.parse_args()
    counts = (1, asked.workers)
    loops: list[float] = []
    found: dict[int, list[Turn]] = {count: [] for count in counts}
    with (
        tempfile.TemporaryDirectory(dir=HERE) as name,
        process(str(HERE / "mock_model.py")) as (model, line),
    ):
        directory = Path(name)
        write_project(directory, line.strip())
        for turn in range(asked.rounds):
            for count in counts if turn % 2 == 0 else counts[::-1]:
                found[count].append(one_turn(directory, count, asked.sessions, model.pid))
            loops.append(loops_per_s(asked.workers) / loops_per_s(1))
        where = f"{file_system(directory)}, one fdatasync {fdatasync_ms(directory):.3f} ms"
    ratios = [many.per_s / one.per_s for one, many in zip(*found.values(), strict=True)]
    lines = table_head("workers", "sessions/s", "CPU ms a session", "beside, load and model")
    for count, turns in found.items():
        shown = (spread([getattr(each, name) for each in turns], 2) for name in Turn._fields)
        lines.append(f"| {count} | {' | '.join(shown)} |")
    lines += ["", f"{asked.workers} workers to one, in turns: {spread(ratios, 2)}."]
    lines.append(f"A loop of Python, {asked.workers} processes to one: {spread(loops, 2)}.")
    command = (
        f"python benchmarks/bench_workers.py --workers {asked.workers} "
        f"--sessions {asked.sessions} --rounds {asked.rounds}"
    )
    text = "\n".join([*heading("Workers", command, where), *lines, ""])
    print(text)
    write_result(asked.output, "workers", text)


if __name__ == "__main__":
    main()
