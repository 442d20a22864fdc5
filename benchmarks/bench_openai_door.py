"""CPU of a chat completion over that of `POST /v1/iterate`: the same sessions, asked in turns.

Usage: python benchmarks/bench_openai_door.py [--sessions N] [--rounds R] [--output DIR]

Each round asks one daemon for every case, so that a slow moment of the machine meets all of them,
in an order that turns. The first ratio is the median, over the rounds, of a case's CPU over that of
`/v1/iterate`; the second is that of the least each took, which others on the machine disturb less.
Prints a table and writes it, with everything needed to repeat it, under benchmarks/runs/.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import uvloop

from load import ACCEPTED, IN_FLIGHT, load
from project import SCHEMA, request_of, write_project
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

ITERATE, CHAT, RESPONSES = "/v1/iterate", "/v1/chat/completions", "/v1/responses"
TEXT = "ZRH Zurich: fog, 40 minutes late."
# What OpenAI's Python package of release 3 sends beside the body.
HEADERS = {
    "accept": "application/json",
    "accept-encoding": "gzip, deflate",
    "connection": "keep-alive",
    "user-agent": "OpenAI/Python 3.57.0",
    "x-stainless-lang": "python",
    "x-stainless-package-version": "3.57.0",
    "x-stainless-os": "Linux",
    "x-stainless-arch": "x64",
    "x-stainless-runtime": "CPython",
    "x-stainless-runtime-version": "3.11.9",
    "authorization": "Bearer none",
    "x-stainless-async": "false",
    "x-stainless-retry-count": "0",
    "x-stainless-read-timeout": "600",
}


class Case(NamedTuple):
    """One way to ask for the same session; `done` stands in every good answer."""

    title: str
    request: bytes
    done: bytes


def openai_request(path: str, body: Mapping[str, object]) -> bytes:
    """Write a request with the headers that OpenAI's package sends."""
    data = json.dumps(body).encode()
    fields = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    return (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{fields}"
        f"content-length: {len(data)}\r\n\r\n"
    ).encode() + data


def cases() -> list[Case]:
    """Give every case; the first is what the others are compared with."""
    wanted = {"name": "event", "strict": True, "schema": SCHEMA}
    chat = {"model": "event", "messages": [{"role": "user", "content": TEXT}]}
    with_schema = {"response_format": {"type": "json_schema", "json_schema": wanted}}
    responses = {"model": "event", "input": TEXT}
    iterate = {"kind": "event", "prompt": TEXT}
    return [
        Case("iterate", request_of(TEXT), ACCEPTED),
        Case("iterate, with the headers of `openai`", openai_request(ITERATE, iterate), ACCEPTED),
        Case("chat", openai_request(CHAT, chat), ACCEPTED),
        Case("chat, streamed", openai_request(CHAT, {**chat, "stream": True}), b"data: [DONE]"),
        Case("responses", openai_request(RESPONSES, responses), ACCEPTED),
        Case(
            "responses, streamed",
            openai_request(RESPONSES, {**responses, "stream": True}),
            b"event: response.completed",
        ),
        Case(
            "iterate, with a schema too",
            openai_request(ITERATE, {**iterate, "output_schema": SCHEMA}),
            ACCEPTED,
        ),
        Case("chat, with a schema too", openai_request(CHAT, {**chat, **with_schema}), ACCEPTED),
    ]


def measured(port: int, pid: int, case: Case, sessions: int) -> float:
    """Run sessions; give the daemon's CPU for each, in ms."""
    before = cpu_s(pid)
    uvloop.run(load(port, [case.request], sessions, done=case.done))
    return (cpu_s(pid) - before) / sessions * 1000


def run(sessions: int, rounds: int) -> str:
    with (
        tempfile.TemporaryDirectory(dir=HERE) as name,
        process(str(HERE / "mock_model.py")) as (_, line),
    ):
        directory = Path(name)
        write_project(directory, line.strip())
        sync_ms = fdatasync_ms(directory)
        asked = cases()
        found: dict[str, list[float]] = {case.title: [] for case in asked}
        with process("-m", "lakehouse", "up", cwd=directory) as (daemon, greeting):
            port = port_of(greeting)
            for case in asked:  # warm up
                measured(port, daemon.pid, case, max(sessions // 4, IN_FLIGHT))
            for turn in range(rounds):
                first = turn % len(asked)
                for case in (*asked[first:], *asked[:first]):
                    found[case.title].append(measured(port, daemon.pid, case, sessions))
    base = found[asked[0].title]
    lines = []
    for case in asked:
        cpu_ms = found[case.title]
        ratio = statistics.median(mine / its for mine, its in zip(cpu_ms, base, strict=True))
        lines.append(
            f"| {case.title} | {min(cpu_ms):.3f} / {statistics.median(cpu_ms):.3f} / "
            f"{max(cpu_ms):.3f} | {ratio:.3f} | {min(cpu_ms) / min(base):.3f} |"
        )
    where = (
        f"{file_system(directory.parent)}, {IN_FLIGHT} in flight, one fdatasync {sync_ms:.3f} ms"
    )
    command = f"python benchmarks/bench_openai_door.py --sessions {sessions} --rounds {rounds}"
    columns = [
        "| case | CPU per session, ms: min / median / max | over `/v1/iterate` | of the least |",
        "| --- | --- | --- | --- |",
    ]
    return "\n".join([*heading("OpenAI's routes", command, where), *columns, *lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=400, help="per case and round")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--output", type=Path, default=HERE / "runs")
    options = parser.parse_args()
    text = run(options.sessions, options.rounds)
    write_result(options.output, "openai-door", text)
    print(text)


if __name__ == "__main__":
    main()
