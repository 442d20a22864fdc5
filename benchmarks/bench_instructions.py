"""Instructions of one session of `lakehouse up`, by stage: first shot and one retry, one at a time.

Usage: python benchmarks/bench_instructions.py [--sessions N] [--runs R] [--output DIR]

Valgrind's callgrind counts the instructions of the real gateway in user space: a real socket, a
mock model in a process of its own, a durable log. Each run starts two gateways. One is counted as
it is, which gives the total. In the other, functions of ours note when they are called, which gives
the stages (`counted_server.py` lists them); what the notes cost is the difference of the two
totals, and is taken off. `prototype.py` is counted as it is, too. A third gateway is traced by
strace: its system calls.

Counted are the thread of the event loop and the one that syncs the log. Threads that work by the
clock are left out: under valgrind a session lasts 50 times as long, and they would seem to cost it
as much more. Instructions do not depend on what else the machine does. They are no time: a system
call, a wait, and memory that is not in a cache cost time, and none or few of them. One session at a
time shares nothing with others, such as a sync, and leaves little to the garbage collector.

Needs `apt-get install valgrind strace`, and x86-64. Takes about three minutes of two idle cores.
"""

import argparse
import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from counted_server import COLLECTED, COLLECTION, POINTS, SYNC, SYNC_BUDGET, UP, find
from load import load
from project import CASES, request_of, write_project
from rig import HERE, file_system, heading, port_of, process, table_head, write_result

WARM = 50  # sessions of each case before those that count
COUNTED = (sys.executable, str(HERE / "counted_server.py"))
LOOP = 1  # valgrind's number of the main thread, which runs the event loop
BEGIN, END = "begin", "end"  # of the sessions that count
_POINT = re.compile(r"\*\*\d+\*\* point (.*)")
_EVENTS = re.compile(r"events-(\d+): (\d+)")
_CALL = re.compile(r"(\d+) +(\w+)\(")
_SAID = re.compile(rf'(\d+) +write\(1, "({BEGIN}|{END}) (.+)\\n"')

Budget = tuple[int, int]
"""Thousand instructions of a first shot, and of one retry; they add up to the goal."""


class Note(NamedTuple):
    """What the counter said: a name, the thread that gave it, and every thread's count by then."""

    name: str
    thread: int
    counts: dict[int, int]


class Counts(NamedTuple):
    """Instructions a session: of the loop's thread, of the log's that syncs, of the loop's stages.

    `notes` is how many notes of a session began each stage, or went on with it.
    """

    loop: float
    sync: float
    stages: dict[str, float]
    notes: dict[str, float]


class Server:
    """A gateway, or the prototype, that is counted or traced; is asked one session at a time."""

    def __init__(self, started: "subprocess.Popen[str]") -> None:
        self._process = started
        self._port = port_of(self._line("http://127.0.0.1:"))

    def mark(self, text: str) -> None:
        """Let it note a text; returns once it has."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()
        self._line(text)

    def run_cases(self, sessions: int) -> None:
        """Run the sessions of both cases, between two marks each."""
        for case, prompt in CASES:
            requests = [request_of(prompt)]
            self.mark("warm up")
            asyncio.run(load(self._port, requests, min(WARM, sessions), in_flight=1))
            self.mark(f"{BEGIN} {case}")
            asyncio.run(load(self._port, requests, sessions, in_flight=1))
            self.mark(f"{END} {case}")

    def _line(self, text: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if text in line:
                return line
        raise SystemExit(f"the server ended before it said {text!r}")


@contextmanager
def project(model_port: str) -> Iterator[Path]:
    """Make a directory with a configuration, whose model listens at a port."""
    with tempfile.TemporaryDirectory(dir=HERE) as name:
        write_project(Path(name), model_port)
        yield Path(name)


@contextmanager
def server(directory: Path, *command: str) -> Iterator[Server]:
    """Start a server; it ends with its block."""
    started = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=directory,
        # Hashes decide how often names collide in a table.
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    try:
        yield Server(started)
    finally:
        assert started.stdin is not None
        started.stdin.close()
        started.wait(120)


def counted(model_port: str, sessions: int, *program: str) -> list[Note]:
    """Run both cases of a program under callgrind; gives what it said."""
    with project(model_port) as directory:
        log = directory / "callgrind.log"
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--log-file={log}"]
        command += ["--callgrind-out-file=/dev/null", *COUNTED]
        with server(directory, *command, *program) as asked:
            asked.run_cases(sessions)
        return read_log(log.read_text("utf-8").splitlines())


def read_log(lines: Sequence[str]) -> list[Note]:
    """Read the notes of a log."""
    notes: list[Note] = []
    for line in lines:
        if found := _POINT.fullmatch(line):
            notes.append(Note(found[1], 0, {}))
        elif line.startswith("current-tid: "):
            notes[-1] = notes[-1]._replace(thread=int(line.split()[1]))
        elif found := _EVENTS.fullmatch(line):
            notes[-1].counts[int(found[1])] = int(found[2])
    return notes


def marks_of(notes: Sequence[Note], case: str) -> tuple[int, int]:
    """Return where the sessions of a case begin and end."""
    names = [note.name for note in notes]
    return names.index(f"{BEGIN} {case}"), names.index(f"{END} {case}")


def whole_of(notes: Sequence[Note], case: str, sessions: int) -> float:
    """Return the instructions a session of one case, on all threads but the one that marks."""
    first, last = (notes[each] for each in marks_of(notes, case))
    grown = (
        count - first.counts.get(thread, 0)
        for thread, count in last.counts.items()
        if thread != first.thread
    )
    return sum(grown) / sessions


def counts_of(notes: Sequence[Note], case: str, sessions: int) -> Counts:
    """Sum up the sessions of one case."""
    begin, end = marks_of(notes, case)
    syncing = next(note.thread for note in notes if note.name == SYNC)
    stages: Counter[str] = Counter()
    made: Counter[str] = Counter()
    first, last = notes[begin], notes[end]
    since, stage, interrupted = first.counts[LOOP], POINTS[-1].where, ""
    for note in notes[begin + 1 : end + 1]:
        if note.thread != LOOP and note is not last:
            continue
        stages[stage] += note.counts[LOOP] - since
        since = note.counts[LOOP]
        if note is last:
            break
        if note.name == COLLECTION:
            stage, interrupted = COLLECTION, stage
        else:
            stage = interrupted if note.name == COLLECTED else note.name
        made[stage] += 1
    return Counts(
        (last.counts[LOOP] - first.counts[LOOP]) / sessions,
        (last.counts[syncing] - first.counts[syncing]) / sessions,
        {name: count / sessions for name, count in stages.items()},
        {name: count / sessions for name, count in made.items()},
    )


def corrected(bare: Counts, noted: Counts) -> tuple[Counts, float]:
    """Take off what the notes cost; gives that too, in instructions a note."""
    for point in POINTS:
        if noted.notes.get(point.where, 0.0) < 1:
            raise SystemExit(
                f"{point.where} is not called in every session, in the loop's thread: name "
                "another function in POINTS of benchmarks/counted_server.py"
            )
    cost = (noted.loop - bare.loop) / sum(noted.notes.values())
    stages = {name: count - cost * noted.notes.get(name, 0) for name, count in noted.stages.items()}
    return bare._replace(stages=stages), cost


def calls_of(model_port: str, sessions: int) -> dict[str, Counter[str]]:
    """Count the system calls of both cases, by name, in a gateway without valgrind."""
    with project(model_port) as directory:
        trace = directory / "strace.log"
        strace = ["strace", "-f", "-qq", "-s", "64", "-o", str(trace)]
        with server(directory, *strace, *COUNTED, UP) as asked:
            asked.run_cases(sessions)
        lines = trace.read_text("utf-8").splitlines()
    found: dict[str, Counter[str]] = {}
    case, control = None, ""
    for line in lines:
        if said := _SAID.match(line):  # the gateway's answer to a mark
            control, case = said[1], said[3] if said[2] == BEGIN else None
            found.setdefault(said[3], Counter())
        elif case is not None and (call := _CALL.match(line)) and call[1] != control:
            found[case][call[2]] += 1
    return found


def run(sessions: int, runs: int) -> str:
    for tool in ("valgrind", "strace"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is not installed: apt-get install {tool}")
    for point in POINTS:
        find(point.where)
    found: dict[str, list[Counts]] = {case: [] for case, _ in CASES}
    costs = []
    with process(str(HERE / "mock_model.py")) as (_, line), ThreadPoolExecutor(2) as pool:
        port = line.strip()

        def count(*program: str) -> Future[list[Note]]:
            return pool.submit(counted, port, sessions, *program)

        jobs = [(count(UP), count("--points", UP)) for _ in range(runs)]
        prototype = count(str(HERE / "prototype.py"), "log.jsonl", port)
        for job in jobs:
            bare, noted = (each.result() for each in job)
            for case, kept in found.items():
                whole = counts_of(bare, case, sessions)
                counts, cost = corrected(whole, counts_of(noted, case, sessions))
                kept.append(counts)
                costs.append(cost)
        bare = prototype.result()
        yardstick = {case: whole_of(bare, case, sessions) for case in found}
        calls = calls_of(port, sessions)
    where = f"{file_system(HERE)}, one session at a time, {runs} runs"
    command = f"python benchmarks/bench_instructions.py --sessions {sessions} --runs {runs}"
    version = subprocess.run(["valgrind", "--version"], check=True, capture_output=True, text=True)
    told = (
        f"{version.stdout.strip()}. What a note costs, {statistics.mean(costs):,.0f} instructions, "
        "is taken off. In brackets: the least and the most of the runs."
    )
    lines = [*heading("Instructions of a session", command, where), told, ""]
    lines += [*stage_table(found, yardstick), *call_table(calls, sessions), ""]
    return "\n".join(lines)


def stage_table(found: dict[str, list[Counts]], yardstick: dict[str, float]) -> list[str]:
    """Tell each stage's budget and instructions; with several runs, how far they are apart."""
    totals = {case: [each.loop + each.sync for each in runs] for case, runs in found.items()}
    rows: list[tuple[str, Budget, Callable[[Counts], float]]] = [
        (f"{point.stage} | {point.modules}", point.budget, partial(stage_of, point.where))
        for point in POINTS
    ]
    rows += [
        ("garbage collector | Python's", (0, 0), partial(stage_of, COLLECTION)),
        ("thread that syncs the log | sessionlog/writing/", SYNC_BUDGET, lambda each: each.sync),
    ]
    sums = (sum(budget[0] for _, budget, _ in rows), sum(budget[1] for _, budget, _ in rows))
    rows.append(("**together** |", sums, lambda each: each.loop + each.sync))
    lines = table_head(
        "stage", "in", *(name for case in found for name in (case, "share", "budget, thousand"))
    )
    for name, budget, part in rows:
        cells = [
            f"{cell(list(map(part, runs)), totals[case])} | {most}"
            for most, (case, runs) in zip(budget, found.items(), strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    cells = [f"{cell([yardstick[case]], totals[case])} | " for case in found]
    return [*lines, f"| the bare prototype | prototype.py | {' | '.join(cells)} |", ""]


def stage_of(name: str, counts: Counts) -> float:
    return counts.stages.get(name, 0.0)


def cell(counts: Sequence[float], totals: Sequence[float]) -> str:
    """Tell a mean and its share, and the least and the most of several."""
    mean = statistics.mean(counts)
    apart = f" ({min(counts):,.0f} to {max(counts):,.0f})" if len(counts) > 1 else ""
    return f"{mean:,.0f}{apart} | {mean / statistics.mean(totals):.1%}"


def call_table(calls: dict[str, Counter[str]], sessions: int) -> list[str]:
    """Tell the system calls of a session by name, the most frequent first."""
    lines = table_head("system call", *calls)
    names = sum(calls.values(), Counter()).most_common()
    for name, count in names:
        if count >= sessions / 20:
            cells = " | ".join(f"{calls[case][name] / sessions:.2f}" for case in calls)
            lines.append(f"| {name} | {cells} |")
    totals = " | ".join(f"{sum(each.values()) / sessions:.2f}" for each in calls.values())
    return [*lines, f"| **together** | {totals} |"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=250, help="of each case, in each run")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=HERE / "runs")
    options = parser.parse_args()
    text = run(options.sessions, options.runs)
    write_result(options.output, "instructions", text)
    print(text)


if __name__ == "__main__":
    main()
