"""What the benchmarks share: processes of ours, the machine, and where results go."""

import datetime as dt
import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
PACKAGES = ("uvloop", "httptools", "msgspec", "jsonschema-rs", "duckdb", "pyarrow")


def two_sides() -> tuple[set[int], set[int]]:
    """Give the core of a server, and those of its load and its model; one core is both."""
    *others, last = sorted(os.sched_getaffinity(0))
    return {last}, set(others) or {last}


@contextmanager
def process(
    *arguments: str, cwd: Path | None = None, cores: set[int] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a process of ours, give it and its first line, end it by id.

    It runs on `cores`, or on those of this process.
    """
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or own)  # a child inherits it, with all its threads
    try:
        started = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.PIPE, text=True, cwd=cwd
        )
    finally:
        os.sched_setaffinity(0, own)
    try:
        assert started.stdout is not None
        yield started, started.stdout.readline()
    finally:
        started.terminate()
        started.wait(40)


def port_of(greeting: str) -> int:
    """Read the port from the line by which a server of ours says that it listens."""
    return int(greeting.split("http://127.0.0.1:")[1].split(maxsplit=1)[0])


def cpu_s(pid: int) -> float:
    """User and system seconds of a whole process, all its threads, to the nanosecond.

    Its CPU clock, as clock_getcpuclockid(3) makes it: /proc counts in ticks of 10 ms.
    """
    return time.clock_gettime(~pid << 3 | 2)


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def fdatasync_ms(directory: Path, times: int = 200) -> float:
    """Median milliseconds of appending 2 KB and syncing it here: what one commit costs."""
    path = directory / "probe"
    taken = []
    with path.open("ab", buffering=0) as file:
        for _ in range(times):
            begun = time.perf_counter()
            file.write(b"x" * 2048)
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - begun)
    path.unlink()
    return statistics.median(taken) * 1000


def file_system(directory: Path) -> str:
    """Name the file system behind a directory."""
    command = ["stat", "--file-system", "--format=%T", str(directory)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def heading(title: str, command: str, where: str) -> list[str]:
    """Give the first lines of a result: when, on what, with which versions, by which command."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, {where}"
    return [
        f"# {title}, {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        "",
        f"{machine}; Python {platform.python_version()}; {versions}.",
        f"Command: `{command}`",
        "",
    ]


def table_head(*names: str) -> list[str]:
    """Give the first two lines of a table."""
    return [f"| {' | '.join(names)} |", "|" + " --- |" * len(names)]


def write_result(output: Path, name: str, text: str) -> None:
    """Keep a result under the day and the size of the machine."""
    folder = output / f"{dt.datetime.now(dt.UTC):%Y-%m-%d}-{os.cpu_count()}core"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(text)
