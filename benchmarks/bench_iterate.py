"""CPU and latency of `POST /v1/iterate`, first shot and one retry, durable, 16 in flight.

Usage: python benchmarks/bench_iterate.py [--sessions N] [--rounds R] [--output DIR]

Prints a table and writes it, with everything needed to repeat it, under benchmarks/runs/.
"""

import argparse
import asyncio
import datetime as dt
import importlib.metadata
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

from rig import HERE, cpu_s, fdatasync_ms, file_system, process

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
PACKAGES = ("lakehouse-stack", "uvicorn", "uvloop", "msgspec", "jsonschema-rs", "starlette")


async def load(port: int, prompt: str, sessions: int) -> list[float]:
    """Run sessions, `IN_FLIGHT` at once; gives each one's seconds. Any bad answer ends it."""
    body = json.dumps({"kind": "event", "prompt": prompt}).encode()
    request = (
        b"POST /v1/iterate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )
    left = sessions
    seconds: list[float] = []

    async def worker() -> None:
        nonlocal left
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while left > 0:
            left -= 1
            begun = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            answer = await reader.readexactly(length)
            seconds.append(time.perf_counter() - begun)
            if not head.startswith(b"HTTP/1.1 200") or b'"verdict":"accepted"' not in answer:
                raise RuntimeError(answer[:500])
        writer.close()

    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return seconds


def measure(case: str, prompt: str, port: int, pid: int, sessions: int, rounds: int) -> dict:
    asyncio.run(load(port, prompt, max(sessions // 5, IN_FLIGHT)))  # warm up
    cpu, rate, p50, p99 = [], [], [], []
    for _ in range(rounds):
        before, begun = cpu_s(pid), time.perf_counter()
        seconds = sorted(asyncio.run(load(port, prompt, sessions)))
        rate.append(len(seconds) / (time.perf_counter() - begun))
        cpu.append((cpu_s(pid) - before) / len(seconds) * 1000)
        p50.append(seconds[len(seconds) // 2] * 1000)
        p99.append(seconds[int(len(seconds) * 0.99)] * 1000)
    return {
        "case": case,
        "cpu_ms_per_session": [round(value, 3) for value in sorted(cpu)],
        "sessions_per_s": round(statistics.median(rate)),
        "latency_p50_ms": round(statistics.median(p50), 2),
        "latency_p99_ms": round(statistics.median(p99), 2),
    }


def run(sessions: int, rounds: int) -> dict:
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
        with process("-m", "lakehouse", "up", cwd=directory) as (daemon, greeting):
            port = int(greeting.split("http://127.0.0.1:")[1].split()[0])
            cases = [
                measure("first shot", "ok", port, daemon.pid, sessions, rounds),
                measure("one retry", "retry", port, daemon.pid, sessions, rounds),
            ]
            rss = Path(f"/proc/{daemon.pid}/status").read_text().split("VmRSS:")[1].split()[0]
        mount = file_system(directory)
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": f"python benchmarks/bench_iterate.py --sessions {sessions} --rounds {rounds}",
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, {mount}",
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "in_flight": IN_FLIGHT,
        "fdatasync_ms": round(sync_ms, 3),
        "resident_mib_after": int(rss) // 1024,
        "cases": cases,
    }


def table(result: dict) -> str:
    lines = [
        f"# /v1/iterate, {result['date']}",
        "",
        f"{result['machine']}; Python {result['python']}; {result['in_flight']} in flight;",
        f"one fdatasync {result['fdatasync_ms']} ms; resident {result['resident_mib_after']} MiB.",
        f"Command: `{result['command']}`",
        "",
        "| case | CPU per session, ms: min / median / max | sessions/s | p50 ms | p99 ms |",
        "| --- | --- | --- | --- | --- |",
    ]
    for case in result["cases"]:
        cpu = case["cpu_ms_per_session"]
        lines.append(
            f"| {case['case']} | {cpu[0]} / {statistics.median(cpu):.3f} / {cpu[-1]} | "
            f"{case['sessions_per_s']} | {case['latency_p50_ms']} | {case['latency_p99_ms']} |"
        )
    packages = ", ".join(f"{name} {version}" for name, version in result["packages"].items())
    return "\n".join([*lines, "", packages, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=4000, help="per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=HERE / "runs")
    options = parser.parse_args()
    result = run(options.sessions, options.rounds)
    folder = options.output / f"{result['date'][:10]}-{os.cpu_count()}core"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "iterate.json").write_text(json.dumps(result, indent=2) + "\n")
    (folder / "iterate.md").write_text(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
