"""Reading a large log: each question of the pages and each page, cold and warm; the index's cost.

Usage: python benchmarks/bench_reader.py [--rows N] [--rounds N] [--output DIR]

`--rows` is the size of the log (1,000,000, which takes ten minutes and 4 GB). Its rows have texts
of their own, and come in segments of the size that writers make. `--rounds` is how often a warm
question is asked (5). Cold is the first question of a new process, with the log's files in the
system's cache. Warm questions are asked while rows are being written. Prints a table and writes it
under benchmarks/runs/.
"""

import argparse
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.index.filters import LogFilter
from lakehouse.sessionlog.index.packs import INDEX
from lakehouse.sessionlog.index.reader import LogReader
from lakehouse.sessionlog.keeping.sealing import seal
from rig import HERE, cpu_s, file_system, heading, write_result

sys.path.insert(0, str(HERE.parent / "tests"))

from generated_log import NEEDLE, GeneratedLog
from page_loads import loaded
from support.rows import make_row

LIVE_EVERY_S = 0.02
BUILD = (
    "import sys, pathlib; from lakehouse.sessionlog.index.builder import build; "
    "root = pathlib.Path(sys.argv[1]); build(root, root / 'index'); "
    "status = pathlib.Path('/proc/self/status').read_text(); "
    "print(status.split('VmHWM:')[1].split()[0])"
)

Question = Callable[[LogReader], object]


def questions(reader: LogReader) -> dict[str, Question]:
    """What the pages ask; ids are of rows of this log."""
    first = reader.sessions(limit=200)
    row = first.sessions[100]
    some = LogFilter(kind="kind_3", verdict="max_iter_exhausted")
    rare = LogFilter(text=NEEDLE)
    numbers = itertools.count()
    return {
        "sessions, newest": lambda one: one.sessions(),
        "sessions, filtered and counted": lambda one: one.sessions(some, count=True),
        "sessions, a page in the middle": lambda one: one.sessions(
            LogFilter(until="2026-01-15T00:00:00.000000Z")
        ),
        "sessions, metadata": lambda one: one.sessions(LogFilter(metadata={"client": "client-3"})),
        "search, another rare word each time, counted": lambda one: one.sessions(
            LogFilter(text=f"{NEEDLE}{next(numbers)}"), count=True
        ),
        "search, the same word again": lambda one: one.sessions(rare, count=True),
        "search, overview": lambda one: one.overview(rare),
        "neighbours in a filter": lambda one: one.neighbours(row.row_id, some),
        "one session by its id": lambda one: one.session(row.session_id),
        "rates by kind and model, daily": lambda one: one.rates(by=("kind", "model"), bucket="day"),
        "latency by kind": lambda one: one.latency(by=("kind",)),
        "latency by kind, model and key": lambda one: one.latency(by=("kind", "model", "api_key")),
        "names for forms": lambda one: one.names(),
        "digests of kinds": lambda one: one.kinds(),
        "2,000 rows of an export": lambda one: one.rows(limit=2_000),
        "findings by code and path": lambda one: one.findings(),
        "values not in the tables": lambda one: one.values(),
        "overview": lambda one: one.overview(),
    }


class Process:
    """The process that answers for a reader: its CPU and its memory."""

    def __init__(self, reader: LogReader) -> None:
        assert reader.process_id is not None, "it has answered"
        # It is the child of what ends it with us.
        children = Path(f"/proc/{reader.process_id}/task/{reader.process_id}/children")
        self.pid = int(children.read_text().split()[0])

    def cpu_s(self) -> float:
        return cpu_s(self.pid)

    def peak_mib(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) >> 10


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Write a row every 20 ms to a live segment, as long as the block runs."""
    ended = threading.Event()
    path = root / "active" / "live-0.jsonl"

    def write() -> None:
        with path.open("ab", buffering=0) as file:
            while not ended.wait(LIVE_EVERY_S):
                file.write(b"\n" + encode_line(make_row()) + b"\n")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def asked(root: Path, rounds: int) -> tuple[list[str], list[str]]:
    """Ask everything cold and warm; the table's lines, and further figures."""
    with LogReader(root, builds=False) as reader:
        asks = questions(reader)
    lines = []
    peaks = []
    for name, ask in asks.items():
        with LogReader(root, builds=False) as reader:
            begun = time.perf_counter()
            ask(reader)
            cold = time.perf_counter() - begun
            process = Process(reader)
            cold_cpu = process.cpu_s()
            warm, cpu = [], []
            with writing(root):
                for _ in range(rounds):
                    cpu_begun, begun = process.cpu_s(), time.perf_counter()
                    ask(reader)
                    warm.append(time.perf_counter() - begun)
                    cpu.append(process.cpu_s() - cpu_begun)
            peaks.append(process.peak_mib())
        figures = (cold, cold_cpu, statistics.median(warm), max(warm), statistics.median(cpu))
        lines.append(f"| {name} | " + " | ".join(f"{value:.2f}" for value in figures) + " |")
    return lines, [f"| memory of the process, at most | {max(peaks)} MiB resident |"]


def built(root: Path) -> list[str]:
    """Build the index in a process of its own; its cost."""
    begun, before = time.perf_counter(), os.times()
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(root)], check=True, capture_output=True, text=True
    )
    taken, after = time.perf_counter() - begun, os.times()
    cpu = after.children_user + after.children_system - before.children_user
    cpu -= before.children_system
    size = sum(path.stat().st_size for path in (root / INDEX).iterdir())
    peak_mib = int(done.stdout) >> 10
    return [
        f"| building the index | {taken:.0f} s, {cpu:.0f} s of CPU, {peak_mib} MiB resident |",
        f"| the index | {size / 1e6:.0f} MB |",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=HERE / "runs")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(dir=HERE))
    try:
        root = directory / "log"
        GeneratedLog(options.rows).write(root)
        seal(root)
        size = sum(path.stat().st_size for path in (root / "sealed").iterdir())
        building = built(root)
        lines, figures = asked(root, options.rounds)
        with LogReader(root, builds=False) as reader:
            session = reader.sessions(limit=200).sessions[100].session_id
        pages = loaded(root, session, options.rounds)
        where = file_system(directory)
    finally:
        shutil.rmtree(directory)
    command = f"python benchmarks/bench_reader.py --rows {options.rows} --rounds {options.rounds}"
    text = "\n".join(
        [
            *heading("Reading a large log", command, where),
            f"{options.rows:,} rows, {size / 1e9:.2f} GB. Seconds.",
            f"Warm questions: {options.rounds}.",
            "",
            "| question | cold | CPU | warm, median | warm, worst | CPU |",
            "| --- | --- | --- | --- | --- | --- |",
            *lines,
            "",
            "Pages of `lakehouse ui`, over HTTP: the first one of a new server, and again.",
            "",
            "| page | first | warm, median | warm, worst | KB |",
            "| --- | --- | --- | --- | --- |",
            *pages,
            "",
            "| and | |",
            "| --- | --- |",
            *building,
            *figures,
            "",
        ]
    )
    write_result(options.output, f"reader-{options.rows}", text)
    print(text)


if __name__ == "__main__":
    main()
