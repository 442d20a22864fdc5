"""CPU and latency of `POST /v1/iterate`, durable, beside a prototype of the bare job.

Usage: python benchmarks/bench_iterate.py [--sessions N] [--rounds R] [--starts S] [--soak N]
       [--output DIR]

`prototype.py` has the parts that Lakehouse has, and nothing else. Each round asks both for every
load, one after the other, in an order that turns: a slow minute of the machine meets both, and the
ratio of a round says more than a figure. Both run on one core, the load and the model on another,
if there are two. `--soak` runs so many sessions in one daemon, and looks at its memory on the way;
1,000,000 take a quarter of an hour, and 3 GB. Prints tables and writes them, with everything needed
to repeat them, under benchmarks/runs/.
"""

import argparse
import os
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import uvloop

from load import IN_FLIGHT, Way, alternating_load, load, paced_load
from project import CASES, model_request, request_of, write_project
from rig import (
    HERE,
    fdatasync_ms,
    file_system,
    heading,
    port_of,
    process,
    resident_mib,
    table_head,
    two_sides,
    write_result,
)
from rounds import Round, cells, one_round, quantiles_ms, spread

FIRST_SHOT = request_of("ok")
SERVER_CORES, LOAD_CORES = two_sides()
SATURATING = 64  # in flight
SHARE = 0.8  # of the rate that they reach
_Item = TypeVar("_Item")


class Server(NamedTuple):
    name: str
    port: int
    pid: int


class Load(NamedTuple):
    case: str
    request: bytes
    in_flight: int


LOADS = (
    *(Load(case, request_of(prompt), IN_FLIGHT) for case, prompt in CASES),
    *(Load("first shot", FIRST_SHOT, in_flight) for in_flight in (1, 4, 64, 256)),
)


@contextmanager
def lakehouse(directory: Path) -> Iterator[Server]:
    """Run `lakehouse up` on the server's core."""
    arguments = ("-m", "lakehouse", "up")
    with process(*arguments, cwd=directory, cores=SERVER_CORES) as (daemon, greeting):
        yield Server("Lakehouse", port_of(greeting), daemon.pid)


@contextmanager
def prototype(directory: Path, model_port: str) -> Iterator[Server]:
    """Run the prototype on the server's core."""
    arguments = (str(HERE / "prototype.py"), str(directory / "prototype.jsonl"), model_port)
    with process(*arguments, cores=SERVER_CORES) as (daemon, greeting):
        yield Server("prototype", port_of(greeting), daemon.pid)


def turned(items: Sequence[_Item], turn: int) -> list[_Item]:
    """Give the items in an order that begins with another one each turn."""
    first = turn % len(items)
    return [*items[first:], *items[:first]]


def beside(servers: Sequence[Server], sessions: int, rounds: int) -> list[str]:
    """Ask every server for every load, round after round; the last is what they are held to."""
    found: dict[tuple[Load, Server], list[Round]] = {}
    for turn in range(rounds):
        for asked in LOADS:
            for server in turned(servers, turn):
                taken = one_round(
                    server.port, server.pid, [asked.request], sessions, asked.in_flight
                )
                found.setdefault((asked, server), []).append(taken)
    lines = table_head(
        "first shot or retry",
        "in flight",
        "server",
        "CPU per session, ms: min / median / max",
        "sessions/s",
        "p50 ms",
        "p99 ms",
        f"CPU over that of the {servers[-1].name}",
    )
    for asked in LOADS:
        held_to = found[asked, servers[-1]]
        for server in servers:
            mine = found[asked, server]
            pairs = zip(mine, held_to, strict=True)
            ratio = spread([one.cpu_ms / other.cpu_ms for one, other in pairs], 2)
            lines.append(
                f"| {asked.case} | {asked.in_flight} | {server.name} | {cells(mine)} | "
                f"{ratio if mine is not held_to else ''} |"
            )
    return lines


def added_latency(servers: Sequence[Server], model_port: str, calls: int, rounds: int) -> list[str]:
    """Call the model itself and through every server in turns, one call at a time."""
    direct = Way(int(model_port), model_request("ok"), b'"finish_reason"')
    ways = [direct, *(Way(server.port, FIRST_SHOT) for server in servers)]
    found = [
        [quantiles_ms(seconds) for seconds in uvloop.run(alternating_load(ways, calls))]
        for _ in range(rounds)
    ]
    lines = table_head(
        "one in flight", "p50 ms: min / median / max", "p99 ms", "added to p50", "added to p99"
    )
    for place, name in enumerate(["the model itself", *(server.name for server in servers)]):
        columns = [spread([each[place][q] for each in found], 2) for q in (0, 1)]
        columns += [spread([each[place][q] - each[0][q] for each in found], 2) for q in (0, 1)]
        lines.append(f"| {name} | {' | '.join(columns)} |")
    return lines


def under_load(servers: Sequence[Server], sessions: int, rounds: int) -> list[str]:
    """Find the rate that each server reaches, and then ask for a share of it, at fixed moments."""
    rates: dict[Server, list[float]] = {server: [] for server in servers}
    found: dict[Server, list[tuple[float, float]]] = {server: [] for server in servers}
    for turn in range(rounds):
        for server in turned(servers, turn):
            reached = one_round(server.port, server.pid, [FIRST_SHOT], sessions, SATURATING)
            per_s = SHARE * reached.sessions_per_s
            paced = uvloop.run(paced_load(server.port, FIRST_SHOT, sessions, per_s))
            rates[server].append(per_s)
            found[server].append(quantiles_ms(paced))
    lines = table_head(
        f"{SHARE:.0%} of the rate at {SATURATING} in flight",
        "sessions/s",
        "p50 ms: min / median / max",
        "p99 ms",
        "p99 over p50",
    )
    for server in servers:
        p50, p99 = ([each[q] for each in found[server]] for q in (0, 1))
        ratios = [end / half for half, end in found[server]]
        lines.append(
            f"| {server.name} | {statistics.median(rates[server]):.0f} | {spread(p50, 2)} | "
            f"{spread(p99, 2)} | {spread(ratios, 1)} |"
        )
    return lines


def start_s(directory: Path) -> float:
    """Give the seconds from the start of `lakehouse up` to its first answer."""
    begun = time.perf_counter()
    with lakehouse(directory) as server:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/livez") as answer:
            answer.read()
        return time.perf_counter() - begun


def soak(directory: Path, sessions: int) -> list[str]:
    """Run sessions in one daemon, every tenth with a retry; its memory on the way."""
    prompts = [f"{'retry' if number % 10 == 0 else 'ok'} {number}" for number in range(10_000)]
    requests = [request_of(prompt) for prompt in prompts]
    lines = table_head("sessions", "resident, MiB")
    with lakehouse(directory) as server:
        lines.append(f"| 0 | {resident_mib(server.pid):.1f} |")
        done = 0
        for share in (0.1, 0.5, 1.0):
            further = int(sessions * share) - done
            uvloop.run(load(server.port, requests, further))
            done += further
            lines.append(f"| {done:,} | {resident_mib(server.pid):.1f} |")
    return lines


def measured(directory: Path, model_port: str, sessions: int, rounds: int) -> list[str]:
    """Measure Lakehouse and the prototype beside each other; gives tables."""
    with lakehouse(directory) as ours, prototype(directory, model_port) as bare:
        servers = (ours, bare)
        for asked in LOADS:  # warm up
            for server in servers:
                one_round(server.port, server.pid, [asked.request], sessions // 4, asked.in_flight)
        return [
            *beside(servers, sessions, rounds),
            "",
            *added_latency(servers, model_port, sessions, rounds),
            "",
            *under_load(servers, sessions, rounds),
            "",
            f"Resident memory of Lakehouse after that: {resident_mib(ours.pid):.1f} MiB.",
        ]


def run(sessions: int, rounds: int, starts: int, soaked: int) -> str:
    os.sched_setaffinity(0, LOAD_CORES)
    # A start reads bytecode, as an installed package has it; the first daemon writes ours.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with (
        tempfile.TemporaryDirectory(dir=HERE) as name,
        process(str(HERE / "mock_model.py")) as (_, line),
    ):
        directory, model_port = Path(name), line.strip()
        write_project(directory, model_port)
        sync_ms = fdatasync_ms(directory)
        lines = measured(directory, model_port, sessions, rounds)
        started = [start_s(directory) for _ in range(starts)]
        lines.append(
            f"Start of `lakehouse up` to the first answer of /livez, {starts} times: "
            f"{spread(started, 2)} s."
        )
        if soaked:
            lines += ["", *soak(directory, soaked)]
        where = f"{file_system(directory)}, one fdatasync {sync_ms:.3f} ms"
    command = (
        f"python benchmarks/bench_iterate.py --sessions {sessions} --rounds {rounds} "
        f"--starts {starts} --soak {soaked}"
    )
    return "\n".join([*heading("/v1/iterate", command, where), *lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=2000, help="per round and load")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--starts", type=int, default=5, help="of `lakehouse up`, timed")
    parser.add_argument("--soak", type=int, default=0, help="sessions while memory is looked at")
    parser.add_argument("--output", type=Path, default=HERE / "runs")
    options = parser.parse_args()
    text = run(options.sessions, options.rounds, options.starts, options.soak)
    write_result(options.output, "iterate", text)
    print(text)


if __name__ == "__main__":
    main()
