"""CPU and memory of `lakehouse replay` against a null model, and of judging again.

Usage: python benchmarks/bench_replay.py [--sessions N] [--concurrency N] [--output DIR]

Makes a log of N sessions and replays it as a process of its own, whose CPU time (all threads) and
memory are read from the operating system's accounting; the CPU of a replay of one session, which
is starting and reporting, is taken off. Memory is told while sessions run, at a tenth of the run
and at its end, and at the peak, which is the report's: that holds all pairs.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lakehouse.config.load import load_config
from lakehouse.core.context import call_context
from lakehouse.core.session import IterateRequest
from lakehouse.stack import Stack
from project import SCHEMA
from rig import HERE, file_system, heading, write_result

ANSWER = '{"event":"delay","airport":"OSL","city":"Oslo","delay_minutes":25,"quote":"late"}'
CONFIG = """
[log]
path = "log"
[models.null]
provider = "scripted"
model = "null"
script = "null.json"
slots = 64
[kinds.event]
schema = "event.schema.json"
system = "Extract the event as JSON."
"""


async def log_sessions(directory: Path, count: int) -> None:
    stack = Stack(load_config(directory / "lakehouse.toml", {}), os.environ, "up")
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            request = IterateRequest(kind="event", prompt=f"Flight {number} to OSL Oslo is late.")
            await stack.validator.iterate(request, call_context((), ()))

    await asyncio.gather(*(work() for _ in range(64)))
    await stack.close()


def memory_mib(pid: int) -> tuple[float, float]:
    """Give what is resident now, and the most so far; zeros of a process that has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
        now, most = (text.split(name)[1].split()[0] for name in ("VmRSS:", "VmHWM:"))
    except (FileNotFoundError, IndexError):
        return 0.0, 0.0
    return int(now) / 1024, int(most) / 1024


def replay(directory: Path, *arguments: str) -> dict[str, float]:
    """Replay once; gives seconds of CPU and of the clock, and memory along the way."""
    lines = directory / "log" / "replay_runs.jsonl"
    before = lines.stat().st_size if lines.exists() else 0
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "lakehouse", "replay", *arguments, "--json"],
        cwd=directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seen: list[tuple[int, float]] = []  # bytes of lines written, memory
    peak_mib = 0.0  # not ru_maxrss, which begins with the memory of this process
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        now_mib, most_mib = memory_mib(process.pid)
        peak_mib = max(peak_mib, most_mib)
        if lines.exists() and lines.stat().st_size > before:
            seen.append((lines.stat().st_size - before, now_mib))
        time.sleep(0.02)
    if status:
        raise RuntimeError(f"lakehouse replay {' '.join(arguments)} failed: {status}")
    whole = seen[-1][0]
    return {
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "clock_s": time.perf_counter() - begun,
        "mib_at_a_tenth": next(mib for size, mib in seen if size >= whole / 10),
        "mib_at_the_end": next(mib for size, mib in seen if size >= whole),
        "mib_peak": peak_mib,
    }


def measure(case: str, directory: Path, sessions: int, *arguments: str) -> dict[str, Any]:
    one = replay(directory, *arguments, "--limit", "1")
    all_of_them = replay(directory, *arguments)
    cpu_s = all_of_them["cpu_s"] - one["cpu_s"]
    return {
        "case": case,
        "cpu_ms_per_session": round(cpu_s / sessions * 1000, 3),
        "sessions_per_core_s": round(sessions / cpu_s),
        "clock_s": round(all_of_them["clock_s"], 1),
        **{name: round(all_of_them[name]) for name in all_of_them if name.startswith("mib")},
    }


def run(sessions: int, concurrency: int) -> str:
    with tempfile.TemporaryDirectory(dir=HERE) as name:
        directory = Path(name)
        (directory / "event.schema.json").write_text(json.dumps(SCHEMA))
        (directory / "null.json").write_text(json.dumps([ANSWER]))
        (directory / "lakehouse.toml").write_text(CONFIG)
        asyncio.run(log_sessions(directory, sessions))
        at_once = ("--concurrency", str(concurrency))
        cases = [
            measure("replay, null model", directory, sessions, *at_once),
            measure("judge again", directory, sessions, "--rejudge", *at_once),
        ]
        where = f"{file_system(directory)}, {sessions} sessions"
    command = f"python benchmarks/bench_replay.py --sessions {sessions} --concurrency {concurrency}"
    lines = [
        *heading("lakehouse replay", command, where),
        "| case | CPU per session, ms | sessions/s per core | MiB: at a tenth / end / peak |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {case['case']} | {case['cpu_ms_per_session']} | {case['sessions_per_core_s']} | "
        f"{case['mib_at_a_tenth']} / {case['mib_at_the_end']} / {case['mib_peak']} |"
        for case in cases
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=50_000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--output", type=Path, default=HERE / "runs")
    options = parser.parse_args()
    text = run(options.sessions, options.concurrency)
    write_result(options.output, "replay", text)
    print(text)


if __name__ == "__main__":
    main()
