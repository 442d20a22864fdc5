"""CPU of one accepted answer as an instance, in Python: Lakehouse, Instructor and PydanticAI.

Usage: python benchmarks/bench_python.py [--calls N] [--rounds R] [--output DIR] [--alone]

All ask the same mock model with the same type, 16 calls at once, each library in a process of its
own with the versions of tests/clients/versions.toml, which are installed into `.clients`. Each
round asks every library, in an order that turns. Lakehouse also writes a durable row for each call
and checks the answer against the schema; the others write nothing. `lakehouse-loop` is the session
alone, by `iterate`. Retries do not occur. `--alone` leaves the other libraries out. Prints a table
and writes it under benchmarks/runs/.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from python_libraries import IN_FLIGHT
from rig import HERE, fdatasync_ms, file_system, heading, process, write_result

PEERS = {"instructor": "instructor", "pydantic-ai": "pydantic-ai"}


class Library:
    """A running `python_libraries.py`."""

    def __init__(self, running: "subprocess.Popen[str]") -> None:
        self._running = running

    def measured(self, calls: int) -> tuple[float, float]:
        """Make calls; gives CPU and elapsed milliseconds for each."""
        assert self._running.stdin is not None
        assert self._running.stdout is not None
        self._running.stdin.write(f"{calls}\n")
        self._running.stdin.flush()
        cpu_s, elapsed_s = self._running.stdout.readline().split()
        return float(cpu_s) / calls * 1000, float(elapsed_s) / calls * 1000


@contextmanager
def library(name: str, interpreter: str, port: str) -> Iterator[Library]:
    """Start a library; end its process by closing its input."""
    program = [interpreter, str(HERE / "python_libraries.py"), name, port]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        if running.stdout.readline().strip() != "ready":
            raise RuntimeError(f"{name} does not start")
        yield Library(running)


def interpreters(*, alone: bool) -> dict[str, str]:
    """Give the Python of each library; installs those of the others."""
    found = {"lakehouse": sys.executable, "lakehouse-loop": sys.executable}
    if not alone:
        sys.path.insert(0, str(HERE.parent / "tests"))
        from clients.environments import installed, interpreter  # noqa: PLC0415  for them only

        installed(list(PEERS.values()))
        found |= {name: interpreter(environment) for name, environment in PEERS.items()}
    return found


def versions(interpreter: str, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run(
        [interpreter, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def run(calls: int, rounds: int, *, alone: bool) -> str:
    pythons = interpreters(alone=alone)
    packages = {
        "lakehouse": "lakehouse-stack",
        "lakehouse-loop": "lakehouse-stack",
        "pydantic-ai": "pydantic-ai-slim",
    }
    names = list(pythons)
    cpu_ms: dict[str, list[float]] = {name: [] for name in names}
    took_ms: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=HERE)))
        sync_ms = fdatasync_ms(directory)
        where = f"{file_system(directory)}, {IN_FLIGHT} in flight, one fdatasync {sync_ms:.3f} ms"
        _, line = stack.enter_context(process(str(HERE / "mock_model.py")))
        started = {
            name: stack.enter_context(library(name, python, line.strip()))
            for name, python in pythons.items()
        }
        for name in names:
            started[name].measured(max(calls // 4, IN_FLIGHT))
        for turn in range(rounds):
            first = turn % len(names)
            for name in (*names[first:], *names[:first]):
                cpu, took = started[name].measured(calls)
                cpu_ms[name].append(cpu)
                took_ms[name].append(took)
    base = cpu_ms["lakehouse"]
    lines = []
    for name in names:
        mine = cpu_ms[name]
        ratio = statistics.median(its / ours for its, ours in zip(mine, base, strict=True))
        version = versions(pythons[name], packages.get(name, name))
        lines.append(
            f"| {name} {version} | {min(mine):.3f} / {statistics.median(mine):.3f} / "
            f"{max(mine):.3f} | {statistics.median(took_ms[name]):.3f} | {ratio:.2f} |"
        )
    command = f"python benchmarks/bench_python.py --calls {calls} --rounds {rounds}"
    columns = [
        "| library | CPU per call, ms: min / median / max | elapsed per call, ms | CPU over ours |",
        "| --- | --- | --- | --- |",
    ]
    return "\n".join([*heading("From Python", command, where), *columns, *lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=400, help="per library and round")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, default=HERE / "runs")
    parser.add_argument("--alone", action="store_true", help="without the other libraries")
    options = parser.parse_args()
    text = run(options.calls, options.rounds, alone=options.alone)
    write_result(options.output, "python", text)
    print(text)


if __name__ == "__main__":
    main()
