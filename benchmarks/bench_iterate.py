"""CPU and latency of `POST /v1/iterate`, first shot and one retry, durable, 16 in flight.

Usage: python benchmarks/bench_iterate.py [--sessions N] [--rounds R] [--output DIR]

Prints a table and writes it, with everything needed to repeat it, under benchmarks/runs/.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rig import HERE, cpu_s, fdatasync_ms, file_system, heading, process, write_result

IN_FLIGHT = 16
SCHEMA = {
    "type": "object",
    "properties": {
        "event": {"enum": ["delay", "closure", "diversion"]},
        "airport": {"type": "string", "pattern": "^[A-Z]{3}$"},
        "city": {"type": "string"},
        "delay_minutes": {"type": ["integer", "null"], "minimum": 0},
        "quote": {"type": "string"},
    },
    "required": ["event", "airport", "city", "quote"],
    "additionalProperties": False,
}
CASES = (("first shot", "ok"), ("one retry", "retry"))


class Round(NamedTuple):
    """What some sessions cost and took: medians and shares of one run of them."""

    cpu_ms: float
    sessions_per_s: float
    p50_ms: float
    p99_ms: float


def request_of(prompt: str, kind: str = "event") -> bytes:
    """Write the request of one session."""
    body = json.dumps({"kind": kind, "prompt": prompt}).encode()
    return (
        b"POST /v1/iterate HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )


async def load(port: int, requests: Sequence[bytes], sessions: int) -> list[float]:
    """Run sessions, `IN_FLIGHT` at once, the requests in turn; gives each one's seconds.

    Any bad answer ends it.
    """
    left = sessions
    seconds: list[float] = []

    async def worker() -> None:
        nonlocal left
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while left > 0:
            left -= 1
            begun = time.perf_counter()
            writer.write(requests[left % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            answer = await reader.readexactly(length)
            seconds.append(time.perf_counter() - begun)
            if not head.startswith(b"HTTP/1.1 200") or b'"verdict":"accepted"' not in answer:
                raise RuntimeError(answer[:500])
        writer.close()

    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return seconds


def one_round(port: int, pid: int, requests: Sequence[bytes], sessions: int) -> Round:
    """Run sessions against a daemon, and read what they cost it."""
    before, begun = cpu_s(pid), time.perf_counter()
    seconds = asyncio.run(load(port, requests, sessions))
    return round_of(seconds, cpu_s(pid) - before, time.perf_counter() - begun)


def round_of(seconds: list[float], used_s: float, taken_s: float) -> Round:
    """Sum up sessions that took so many `seconds` each, and a daemon so much CPU."""
    ordered = sorted(seconds)
    return Round(
        cpu_ms=used_s / len(seconds) * 1000,
        sessions_per_s=len(seconds) / taken_s,
        p50_ms=ordered[len(ordered) // 2] * 1000,
        p99_ms=ordered[int(len(ordered) * 0.99)] * 1000,
    )


def cells(rounds: list[Round]) -> str:
    """Put the medians of some rounds into a table's cells."""
    cpu = [each.cpu_ms for each in rounds]
    median = statistics.median
    return (
        f"{min(cpu):.3f} / {median(cpu):.3f} / {max(cpu):.3f} | "
        f"{median(each.sessions_per_s for each in rounds):.0f} | "
        f"{median(each.p50_ms for each in rounds):.2f} | "
        f"{median(each.p99_ms for each in rounds):.2f}"
    )


def run(sessions: int, rounds: int) -> str:
    with (
        tempfile.TemporaryDirectory(dir=HERE) as name,
        process(str(HERE / "mock_model.py")) as (_, line),
    ):
        directory = Path(name)
        (directory / "event.schema.json").write_text(json.dumps(SCHEMA))
        (directory / "lakehouse.toml").write_text(
            f'[log]\npath = "log"\n[gateway]\nlisten = "127.0.0.1:0"\n'
            f'[models.mock]\nprovider = "openai"\nbase_url = "http://127.0.0.1:{line.strip()}/v1"\n'
            f'model = "mock"\nslots = 64\n[kinds.event]\nschema = "event.schema.json"\n'
        )
        sync_ms = fdatasync_ms(directory)
        lines = []
        with process("-m", "lakehouse", "up", cwd=directory) as (daemon, greeting):
            port = int(greeting.split("http://127.0.0.1:")[1].split()[0])
            for case, prompt in CASES:
                requests = [request_of(prompt)]
                asyncio.run(load(port, requests, max(sessions // 5, IN_FLIGHT)))  # warm up
                found = [one_round(port, daemon.pid, requests, sessions) for _ in range(rounds)]
                lines.append(f"| {case} | {cells(found)} |")
            rss = Path(f"/proc/{daemon.pid}/status").read_text().split("VmRSS:")[1].split()[0]
        where = (
            f"{file_system(directory)}, {IN_FLIGHT} in flight, one fdatasync {sync_ms:.3f} ms, "
            f"resident {int(rss) // 1024} MiB"
        )
    command = f"python benchmarks/bench_iterate.py --sessions {sessions} --rounds {rounds}"
    columns = [
        "| case | CPU per session, ms: min / median / max | sessions/s | p50 ms | p99 ms |",
        "| --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*heading("/v1/iterate", command, where), *columns, *lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=4000, help="per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=HERE / "runs")
    options = parser.parse_args()
    text = run(options.sessions, options.rounds)
    write_result(options.output, "iterate", text)
    print(text)


if __name__ == "__main__":
    main()
