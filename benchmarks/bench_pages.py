"""CPU of a session while browsers look on: with and without open pages, in turns.

Usage: python benchmarks/bench_pages.py [--sessions N] [--rounds R] [--pages P] [--rows ROWS]
       [--output DIR]

A page opens as a browser opens it: the overview, then its live stream, which stays open for the
turn and gets what changes every second. The overview is loaded once more in each turn, which is far
more often than a page that stays open does it. The log holds ROWS rows at the start. The gateway is
`lakehouse up`, all its threads; the process that reads the log for pages is counted apart.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import uvloop

from load import IN_FLIGHT, load
from project import request_of, write_project
from rig import (
    HERE,
    cpu_s,
    fdatasync_ms,
    file_system,
    heading,
    port_of,
    process,
    write_result,
)
from rounds import spread

sys.path.insert(0, str(HERE.parent / "tests"))

from generated_log import GeneratedLog

REQUEST = request_of("ZRH Zurich: fog, 40 minutes late.")


class Look:
    """One open page: its bytes are read and thrown away; `events` counts what came live."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.events = 0
        self.live = asyncio.Event()

    async def load_page(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"GET /ui HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
        answer = await reader.read(-1)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(answer[:500])
        writer.close()

    async def watch(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"GET /ui/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        try:
            while line := await reader.readline():
                if line.startswith(b"event: now"):
                    self.events += 1
                    self.live.set()
        finally:
            writer.close()


async def turn(port: int, sessions: int, pages: int) -> int:
    """Run sessions beside open pages; returns how many live events came."""
    looks = [Look(port) for _ in range(pages)]
    streams = [asyncio.create_task(look.watch()) for look in looks]
    await asyncio.gather(
        load(port, [REQUEST], sessions),
        *(look.load_page() for look in looks),
        *(look.live.wait() for look in looks),
    )
    for stream in streams:
        stream.cancel()
    await asyncio.gather(*streams, return_exceptions=True)
    return sum(look.events for look in looks)


def children_cpu_s(pid: int) -> float:
    """CPU seconds of the processes that descend from one, itself left out, ended ones included."""
    listed = subprocess.run(
        ["ps", "-e", "-o", "pid=,ppid="], check=True, capture_output=True, text=True
    )
    parents = {
        int(child): int(parent) for child, parent in map(str.split, listed.stdout.splitlines())
    }
    total = _ended_cpu_s(pid)
    for child in parents:
        at = child
        while at in parents and at != pid:
            at = parents[at]
        if at == pid and child != pid:
            try:
                total += cpu_s(child) + _ended_cpu_s(child)
            except OSError:  # ended meanwhile
                continue
    return total


def _ended_cpu_s(pid: int) -> float:
    """CPU seconds of a process's children that have ended, as proc(5) counts them."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def run(sessions: int, rounds: int, pages: int, rows: int) -> str:
    with (
        tempfile.TemporaryDirectory(dir=HERE) as name,
        process(str(HERE / "mock_model.py")) as (_, line),
    ):
        directory = Path(name)
        write_project(directory, line.strip())
        GeneratedLog(rows).write(directory / "log")
        sync_ms = fdatasync_ms(directory)
        alone: list[float] = []
        beside: list[float] = []
        reading: list[float] = []
        events = 0
        with process("-m", "lakehouse", "up", cwd=directory) as (daemon, greeting):
            port = port_of(greeting)
            uvloop.run(turn(port, max(sessions // 4, IN_FLIGHT), pages))  # warm up
            for number in range(2 * rounds):
                with_pages = (number // 2 + number) % 2 == 0
                gateway, others = cpu_s(daemon.pid), children_cpu_s(daemon.pid)
                seen = uvloop.run(turn(port, sessions, pages if with_pages else 0))
                gateway_ms = (cpu_s(daemon.pid) - gateway) / sessions * 1000
                if with_pages:
                    beside.append(gateway_ms)
                    reading.append((children_cpu_s(daemon.pid) - others) / sessions * 1000)
                    events += seen
                else:
                    alone.append(gateway_ms)
    ratio = statistics.median(beside) / statistics.median(alone)
    lines = [
        "| | CPU per session, ms: min / median / max |",
        "| --- | --- |",
        f"| gateway, no page open | {spread(alone)} |",
        f"| gateway, {pages} pages open | {spread(beside)} |",
        f"| the processes that read the log, {pages} pages open | {spread(reading)} |",
        "",
        f"Beside pages over alone: {ratio:.3f} of the medians,",
        f"{min(beside) / min(alone):.3f} of the least.",
        f"The pages got {events} live events.",
        "",
    ]
    where = (
        f"{file_system(directory.parent)}, {IN_FLIGHT} in flight, one fdatasync {sync_ms:.3f} ms"
    )
    command = (
        f"python benchmarks/bench_pages.py --sessions {sessions} --rounds {rounds} "
        f"--pages {pages} --rows {rows}"
    )
    return "\n".join([*heading("Sessions beside open pages", command, where), *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=8_000, help="per turn")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--pages", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100_000, help="in the log at the start")
    parser.add_argument("--output", type=Path, default=HERE / "runs")
    options = parser.parse_args()
    text = run(options.sessions, options.rounds, options.pages, options.rows)
    write_result(options.output, "pages", text)
    print(text)


if __name__ == "__main__":
    main()
