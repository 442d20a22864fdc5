"""What tracing costs: CPU per session off and on, and latency while the receiver is in trouble.

Usage: python benchmarks/bench_tracing.py [--sessions N] [--rounds R] [--outage-s S] [--output DIR]

Each case runs `lakehouse up` anew, with the mock model of `bench_iterate.py` and, where tracing is
on, a mock receiver in a process of its own. The outage cases run for `--outage-s` seconds each and
check that every session has its row and that every span is accounted for.
"""

import argparse
import asyncio
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench_iterate import IN_FLIGHT, SCHEMA, load, measure
from rig import HERE, process

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
QUIET = {"LANGFUSE_URL": "", ENDPOINT: ""}
LANGFUSE_KEYS = {"LANGFUSE_PUBLIC_KEY": "pk", "LANGFUSE_SECRET_KEY": "sk"}
ROUND_SESSIONS = 400  # of one round of an outage


@contextmanager
def daemon(
    directory: Path, model_port: str, environment: dict[str, str], *, content: bool
) -> Iterator[tuple[subprocess.Popen, int]]:
    """Run `lakehouse up` in a directory of its own; gives it and its port."""
    directory.mkdir()
    (directory / "event.schema.json").write_text(json.dumps(SCHEMA))
    (directory / "lakehouse.toml").write_text(
        f'[log]\npath = "log"\n[gateway]\nlisten = "127.0.0.1:0"\n'
        f"[tracing]\ncontent = {str(content).lower()}\n"
        f'[models.mock]\nprovider = "openai"\nbase_url = "http://127.0.0.1:{model_port}/v1"\n'
        f'model = "mock"\nslots = 64\n[kinds.event]\nschema = "event.schema.json"\n'
    )
    before = dict(os.environ)
    os.environ.update(QUIET | environment)
    try:
        with process("-m", "lakehouse", "up", cwd=directory) as (started, greeting):
            yield started, int(greeting.split("http://127.0.0.1:")[1].split()[0])
    finally:
        os.environ.clear()
        os.environ.update(before)


def receiver(stack: ExitStack, mode: str) -> str:
    """Start a mock receiver; gives its URL. `refuse`: a port that nobody listens on."""
    if mode == "refuse":
        return "http://127.0.0.1:9"
    script = str(HERE / "mock_receiver.py")
    _, line = stack.enter_context(process(script, mode))
    return f"http://127.0.0.1:{line.strip()}"


def cost(directory: Path, model_port: str, sessions: int, rounds: int) -> list[dict]:
    """Measure CPU and latency: off, to OTLP, and to Langfuse with scores and content."""
    cases = []
    for name, langfuse, content in (
        ("off", False, False),
        ("OTLP, without content", False, False),
        ("OTLP, with content", False, True),
        ("Langfuse, with scores and content", True, True),
    ):
        with ExitStack() as stack:
            environment = {}
            if name != "off":
                url = receiver(stack, "take")
                environment = (
                    {"LANGFUSE_URL": url, **LANGFUSE_KEYS} if langfuse else {ENDPOINT: url}
                )
            place = directory / f"cost-{len(cases)}"
            started, port = stack.enter_context(
                daemon(place, model_port, environment, content=content)
            )
            for case, prompt in (("first shot", "ok"), ("one retry", "retry")):
                found = measure(case, prompt, port, started.pid, sessions, rounds)
                cases.append({"tracing": name, **found})
    return cases


def traced_items(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    found = [line for line in lines if line.startswith("lakehouse_tracing_items_total{")]
    return {line.split("{")[1].split("}")[0]: int(float(line.split()[-1])) for line in found}


def outage(directory: Path, model_port: str, mode: str, seconds: float) -> dict:
    """Load a daemon for some seconds while its receiver is in trouble."""
    taken: list[float] = []
    with ExitStack() as stack:
        environment = {} if mode == "off" else {ENDPOINT: receiver(stack, mode)}
        place = directory / f"outage-{mode}"
        _, port = stack.enter_context(daemon(place, model_port, environment, content=False))
        asyncio.run(load(port, "ok", ROUND_SESSIONS))  # warm up
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            taken += asyncio.run(load(port, "ok", ROUND_SESSIONS))
        items = traced_items(port)
    rows = sum(
        path.read_bytes().count(b'{"schema":"session.iterate.v1"')
        for path in (place / "log").rglob("*.jsonl")
    )
    sessions = len(taken) + ROUND_SESSIONS
    if rows != sessions:
        raise RuntimeError(f"{mode}: {rows} rows of {sessions} sessions")
    taken.sort()
    return {
        "receiver": mode,
        "sessions": sessions,
        "rows": rows,
        "latency_p50_ms": round(taken[len(taken) // 2] * 1000, 2),
        "latency_p99_ms": round(taken[int(len(taken) * 0.99)] * 1000, 2),
        "items": items,
    }


def table(result: dict) -> str:
    lines = [
        f"# Tracing, {result['date']}",
        "",
        f"{result['machine']}; Python {result['python']}; {result['in_flight']} in flight.",
        f"Command: `{result['command']}`",
        "",
        "| tracing | case | CPU per session, ms: min / median / max | sessions/s | p99 ms |",
        "| --- | --- | --- | --- | --- |",
    ]
    for case in result["cost"]:
        cpu = case["cpu_ms_per_session"]
        lines.append(
            f"| {case['tracing']} | {case['case']} | {cpu[0]} / {statistics.median(cpu):.3f} / "
            f"{cpu[-1]} | {case['sessions_per_s']} | {case['latency_p99_ms']} |"
        )
    lines += [
        "",
        "| receiver | sessions | rows | p50 ms | p99 ms | spans sent and dropped, by /metrics |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for case in result["outage"]:
        items = "; ".join(f"{name}: {count}" for name, count in case["items"].items()) or "none"
        lines.append(
            f"| {case['receiver']} | {case['sessions']} | {case['rows']} | "
            f"{case['latency_p50_ms']} | {case['latency_p99_ms']} | {items} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=4000, help="per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--outage-s", type=float, default=60.0, help="of each outage")
    parser.add_argument("--output", type=Path, default=HERE / "runs")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=HERE) as name,
        process(str(HERE / "mock_model.py")) as (_, line),
    ):
        model_port, directory = line.strip(), Path(name)
        result = {
            "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "command": " ".join(["python", "benchmarks/bench_tracing.py", *sys.argv[1:]]),
            "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "in_flight": IN_FLIGHT,
            "cost": cost(directory, model_port, options.sessions, options.rounds),
            "outage": [
                outage(directory, model_port, mode, options.outage_s)
                for mode in ("off", "take", "refuse", "hang", "fail")
            ],
        }
    folder = options.output / f"{result['date'][:10]}-{os.cpu_count()}core"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tracing.json").write_text(json.dumps(result, indent=2) + "\n")
    (folder / "tracing.md").write_text(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
