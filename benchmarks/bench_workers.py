"""Sessions a second of one worker and of several, in turns, with the load in the same run.

Usage: python benchmarks/bench_workers.py [--workers N] [--sessions N] [--rounds R] [--output DIR]

Each round asks one process, N workers, and N stacks that share nothing for the same first shots,
durable, 64 in flight on connections that stay open. The stacks apart are the yardstick: what this
machine gives to as many processes. The load, its model and the daemons share the processors: what
load and model take is in the table. Prints a table and writes it, with everything needed to repeat
it, under benchmarks/runs/.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
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


class Turn(NamedTuple):
    per_s: float
    cpu_ms: float  # of all workers, for a session
    rest_ms: float  # of the load and its model, for a session


def members(pid: int) -> list[int]:
    """Give the processes of a group, with the one that started it."""
    return [pid, *children_of(pid)]


@contextmanager
def stacks(directories: Sequence[Path], workers: int) -> Iterator[tuple[list[int], list[int]]]:
    """Start a daemon in each directory; gives their ports and all their processes."""
    arguments = ("-m", "lakehouse", "up", "--workers", str(workers))
    with ExitStack() as ends:
        started = [ends.enter_context(process(*arguments, cwd=each)) for each in directories]
        pids = [pid for daemon, _ in started for pid in members(daemon.pid)]
        yield [port_of(greeting) for _, greeting in started], pids


async def loads(ports: Sequence[int], sessions: int) -> None:
    """Load all ports at once, each with its share."""
    share, at_once = sessions // len(ports), IN_FLIGHT // len(ports)
    await asyncio.gather(*(load(port, [REQUEST], share, in_flight=at_once) for port in ports))


def one_turn(directories: Sequence[Path], workers: int, sessions: int, model: int) -> Turn:
    """Warm the stacks, and load them."""
    with stacks(directories, workers) as (ports, pids):
        uvloop.run(loads(ports, max(IN_FLIGHT, sessions // 10)))
        used_s = sum(map(cpu_s, pids))
        rest_s, begun_s = time.process_time() + cpu_s(model), time.perf_counter()
        uvloop.run(loads(ports, sessions))
        took_s = time.perf_counter() - begun_s
        used_s = sum(map(cpu_s, pids)) - used_s
        rest_s = time.process_time() + cpu_s(model) - rest_s
        return Turn(sessions / took_s, used_s / sessions * 1000, rest_s / sessions * 1000)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=HERE / "runs")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=HERE) as name,
        process(str(HERE / "mock_model.py")) as (model, line),
    ):
        apart = [Path(name, str(number)) for number in range(asked.workers)]
        for directory in apart:
            directory.mkdir()
            write_project(directory, line.strip())
        ways = {
            "one process": (apart[:1], 1),
            f"{asked.workers} workers": (apart[:1], asked.workers),
            f"{asked.workers} stacks apart": (apart, 1),
        }
        found: dict[str, list[Turn]] = {way: [] for way in ways}
        for turn in range(asked.rounds):
            for way in ways if turn % 2 == 0 else reversed(ways):
                found[way].append(one_turn(*ways[way], asked.sessions, model.pid))
        where = f"{file_system(apart[0])}, one fdatasync {fdatasync_ms(apart[0]):.3f} ms"
    lines = table_head("", "sessions/s", "to one process", "CPU ms a session", "load and model, ms")
    for way, turns in found.items():
        pairs = zip(turns, found["one process"], strict=True)
        ratios = spread([many.per_s / one.per_s for many, one in pairs], 2)
        rate, cpu, rest = (
            spread([getattr(each, field) for each in turns], digits)
            for field, digits in zip(Turn._fields, (0, 2, 2), strict=True)
        )
        lines.append(f"| {way} | {rate} | {ratios} | {cpu} | {rest} |")
    command = (
        f"python benchmarks/bench_workers.py --workers {asked.workers} "
        f"--sessions {asked.sessions} --rounds {asked.rounds}"
    )
    text = "\n".join([*heading("Workers", command, where), *lines, ""])
    print(text)
    write_result(asked.output, "workers", text)


if __name__ == "__main__":
    main()
