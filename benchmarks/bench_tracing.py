"""What tracing costs: CPU per session off and on, and latency while the receiver is in trouble.

Usage: python benchmarks/bench_tracing.py [--sessions N] [--rounds R] [--outage-s S] [--output DIR]

Each case runs `lakehouse up` anew, with the mock model of `bench_iterate.py` and, where tracing is
on, a mock receiver in a process of its own. The outage cases run for `--outage-s` seconds each and
check that every session has its row.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvloop

from lakehouse.tracing.channel import LINGER_S
from load import IN_FLIGHT, load
from project import CASES, SCHEMA, request_of
from rig import HERE, cpu_s, file_system, heading, port_of, process, write_result
from rounds import Round, cells, round_of

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
QUIET = {"LANGFUSE_URL": "", ENDPOINT: ""}
LANGFUSE_KEYS = {"LANGFUSE_PUBLIC_KEY": "pk", "LANGFUSE_SECRET_KEY": "sk"}
ROUND_SESSIONS = 400  # of one round of an outage
BLOCKS = 10  # of a round, each asked of one daemon after the other
TRACING = (  # name, to Langfuse, with content
    ("off", False, False),
    ("OTLP, without content", False, False),
    ("OTLP, with content", False, True),
    ("Langfuse, with scores and content", True, True),
)


@contextmanager
def daemon(
    directory: Path, model_port: str, environment: dict[str, str], *, content: bool
) -> Iterator[tuple[subprocess.Popen[str], int]]:
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
            yield started, port_of(greeting)
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


def cost(directory: Path, model_port: str, sessions: int, rounds: int) -> list[str]:
    """Measure CPU and latency: off, to OTLP, and to Langfuse with scores and content.

    One daemon for each, all at once. A round asks them in turns, a block of sessions each, so that
    a machine that gets slower gets slower for all of them; what is sent after the last block
    counts too.
    """
    with ExitStack() as stack:
        daemons: list[tuple[int, int]] = []
        for tracing, langfuse, content in TRACING:
            environment = {}
            if tracing != "off":
                url = receiver(stack, "take")
                environment = (
                    {"LANGFUSE_URL": url, **LANGFUSE_KEYS} if langfuse else {ENDPOINT: url}
                )
            own = directory / f"cost-{len(daemons)}"
            started, port = stack.enter_context(
                daemon(own, model_port, environment, content=content)
            )
            daemons.append((port, started.pid))
            uvloop.run(load(port, [request_of("retry")], ROUND_SESSIONS))  # warm up
        lines = []
        for case, prompt in CASES:
            asked = [in_turns(daemons, prompt, sessions) for _ in range(rounds)]
            for place, (tracing, *_) in enumerate(TRACING):
                found = [each[place] for each in asked]
                more = statistics.median(each[place].cpu_ms - each[0].cpu_ms for each in asked)
                lines.append(f"| {case} | {tracing} | {cells(found)} | {more:+.3f} |")
        return lines


def in_turns(daemons: list[tuple[int, int]], prompt: str, sessions: int) -> list[Round]:
    """Ask each daemon for as many sessions, in blocks, each time beginning with another."""
    before = [cpu_s(pid) for _, pid in daemons]
    seconds: list[list[float]] = [[] for _ in daemons]
    taken = [0.0] * len(daemons)
    for block in range(BLOCKS):
        for turn in range(len(daemons)):
            place = (block + turn) % len(daemons)
            begun = time.perf_counter()
            seconds[place] += uvloop.run(
                load(daemons[place][0], [request_of(prompt)], sessions // BLOCKS)
            )
            taken[place] += time.perf_counter() - begun
    time.sleep(LINGER_S * 1.5)  # the last spans are sent
    return [
        round_of(seconds[place], cpu_s(pid) - before[place], taken[place])
        for place, (_, pid) in enumerate(daemons)
    ]


def traced_items(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    found = [line for line in lines if line.startswith("lakehouse_tracing_items_total{")]
    return {line.split("{")[1].split("}")[0]: int(float(line.split()[-1])) for line in found}


def outage(directory: Path, model_port: str, mode: str, seconds: float) -> str:
    """Load a daemon for some seconds while its receiver is in trouble, and beside it one without.

    The two are asked in turns, for the reason that `cost` gives.
    """
    with ExitStack() as stack:
        places = [directory / f"{mode}-{name}" for name in ("off", "on")]
        environments = [{}, {ENDPOINT: receiver(stack, mode)}]
        ports = [
            stack.enter_context(daemon(place, model_port, environment, content=False))[1]
            for place, environment in zip(places, environments, strict=True)
        ]
        taken: list[list[float]] = [[], []]
        for port in ports:
            uvloop.run(load(port, [request_of("ok")], ROUND_SESSIONS))  # warm up
        loaded_s = 0.0
        while loaded_s < seconds:
            begun = time.monotonic()
            taken[1] += uvloop.run(load(ports[1], [request_of("ok")], ROUND_SESSIONS))
            loaded_s += time.monotonic() - begun
            taken[0] += uvloop.run(load(ports[0], [request_of("ok")], ROUND_SESSIONS))
        items = traced_items(ports[1])
    for place, found in zip(places, taken, strict=True):
        rows = sum(
            path.read_bytes().count(b'{"schema":"session.iterate.v1"')
            for path in (place / "log").rglob("*.jsonl")
        )
        if rows != len(found) + ROUND_SESSIONS:
            raise RuntimeError(f"{mode}: {rows} rows of {len(found) + ROUND_SESSIONS} sessions")
    off, on = (sorted(found) for found in taken)
    halves = " | ".join(f"{each[len(each) // 2] * 1000:.2f}" for each in (off, on))
    ends = " | ".join(f"{each[int(len(each) * 0.99)] * 1000:.2f}" for each in (off, on))
    told = "; ".join(f"{name}: {count}" for name, count in items.items())
    return f"| {mode} | {rows} of {rows} | {halves} | {ends} | {told} |"


def run(sessions: int, rounds: int, outage_s: float) -> str:
    with (
        tempfile.TemporaryDirectory(dir=HERE) as name,
        process(str(HERE / "mock_model.py")) as (_, line),
    ):
        model_port, directory = line.strip(), Path(name)
        command = (
            f"python benchmarks/bench_tracing.py --sessions {sessions} --rounds {rounds} "
            f"--outage-s {outage_s:g}"
        )
        costs = cost(directory, model_port, sessions, rounds)
        outages = [
            outage(directory, model_port, mode, outage_s) for mode in ("refuse", "hang", "fail")
        ]
        where = f"{file_system(directory)}, {IN_FLIGHT} in flight"
    lines = [
        *heading("Tracing", command, where),
        "Latencies in ms; `more` is the median of the rounds' differences to tracing off.",
        "",
        "| case | tracing | CPU ms a session: min / median / max | sessions/s | p50 | p99 | more |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *costs,
        "",
        f"First shots, the receiver in trouble for {outage_s:g} s; beside it tracing off.",
        "",
        "| receiver | rows of sessions | p50, off | p50 | p99, off | p99 | spans, by /metrics |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *outages,
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=2000, help="per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--outage-s", type=float, default=60.0, help="of each outage")
    parser.add_argument("--output", type=Path, default=HERE / "runs")
    options = parser.parse_args()
    text = run(options.sessions, options.rounds, options.outage_s)
    write_result(options.output, "tracing", text)
    print(text)


if __name__ == "__main__":
    main()
