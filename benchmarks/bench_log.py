"""The session log: appending, querying, compacting, and memory; beside raw files and SQLite.

Usage: python benchmarks/bench_log.py [--rows N] [--rounds R] [--output DIR]

`--rows` is the size of the log that is queried and compacted (1,000,000; 10,000,000 take an hour
and 20 GB). Rows and ids that are appended are made before the clock starts: a rate is that of the
log. A bare write has the same bytes, of so many rows at once: it is what the disk allows. Prints
a table and writes it under benchmarks/runs/, with what is needed to repeat it.
"""

import argparse
import asyncio
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import uvloop

from lakehouse.core.ids import new_id
from lakehouse.core.row import Row
from lakehouse.core.row_codec import add_crc, encode_line
from lakehouse.sessionlog.keeping.sealing import seal as seal_log
from lakehouse.sessionlog.reading.views import open_views
from lakehouse.sessionlog.writing.writer import Durability, SessionLogWriter
from rig import (
    HERE,
    fdatasync_ms,
    file_system,
    heading,
    resident_mib,
    table_head,
    write_result,
)
from rounds import spread

sys.path.insert(0, str(HERE.parent / "tests"))

from support.rows import make_attempt, make_row

PRODUCERS = (1, 16, 64)
APPENDED = {1: 2_000, 16: 30_000, 64: 60_000}
MEMORY_ROWS_MAX = 1_000_000
SEGMENT_ROWS = 40_000
QUESTIONS = {
    "verdicts": "SELECT verdict, count(*) FROM sessions GROUP BY verdict",
    "days": "SELECT date_trunc('day', timestamp) AS day, kind, avg(duration_ms), avg(iterations) "
    "FROM sessions GROUP BY ALL",
    "findings": "SELECT code, path, count(*) FROM findings GROUP BY ALL",
}


def a_row() -> Row:
    """Give a row of about 2 KB as a line."""
    return make_row(prompt="x" * 300, attempts=(make_attempt(output="y" * 300),))


class Rate:
    """Rows per second and microseconds of CPU a row, a value for each round."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.per_s: list[float] = []
        self.cpu_us: list[float] = []

    def measure(self, rows: int, work: Callable[[], object]) -> None:
        begun, cpu = time.perf_counter(), time.process_time()
        work()
        self.per_s.append(rows / (time.perf_counter() - begun))
        self.cpu_us.append((time.process_time() - cpu) / rows * 1e6)

    def line(self) -> str:
        return f"| {self.name} | {spread(self.per_s, 0)} | {spread(self.cpu_us, 0)} |"


def rows_of(number: int) -> Iterator[Row]:
    """Make rows, each with an id of its own."""
    template = a_row()
    return (msgspec.structs.replace(template, row_id=new_id()) for _ in range(number))


def append_ours(
    root: Path, rows: Iterator[Row], producers: int, durability: Durability = "commit"
) -> None:
    """Append rows, each acknowledged before its producer takes the next."""
    writer = SessionLogWriter.open(root, daemon="validatord", durability=durability)

    async def producer() -> None:
        for row in rows:
            await writer.append(row)

    async def run() -> None:
        await asyncio.gather(*(producer() for _ in range(producers)))

    uvloop.run(run())  # as the daemons do
    writer.close()


def append_raw(path: Path, line: bytes, rows: int, together: int) -> None:
    """Write a line so many times at once and sync it, again and again."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for _ in range(0, rows, together):
        os.write(descriptor, line * together)
        os.fdatasync(descriptor)
    os.close(descriptor)


def append_sqlite(path: Path, line: bytes, ids: list[str], together: int) -> None:
    """Insert a line under each id into SQLite, WAL and `synchronous=FULL`, so many at once."""
    text = line.decode()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS rows (row_id TEXT PRIMARY KEY, line TEXT)")
    connection.commit()
    for first in range(0, len(ids), together):
        rows_now = [(row_id, text) for row_id in ids[first : first + together]]
        connection.executemany("INSERT INTO rows VALUES (?, ?)", rows_now)
        connection.commit()
    connection.close()


def ways(place: Path, rows: int, producers: int) -> dict[str, Callable[[], None]]:
    """Give three ways to append as many rows to an empty directory, with all that they append."""
    made = list(rows_of(rows))
    line = b"\n" + encode_line(made[0]) + b"\n"
    ids = [row.row_id for row in made]
    several = "s" if producers > 1 else ""
    return {
        f"session log, {producers} producer{several}": lambda: append_ours(
            place / "log", iter(made), producers
        ),
        f"write + fdatasync, {producers} a sync": lambda: append_raw(
            place / "raw", line, rows, producers
        ),
        f"SQLite, {producers} a transaction": lambda: append_sqlite(
            place / "sqlite", line, ids, producers
        ),
    }


def appending(directory: Path, rows_max: int, rounds: int) -> list[Rate]:
    """Measure all three in turns, round after round, so that a slow minute strikes all alike."""
    rates: dict[str, Rate] = {}
    for turn in range(rounds):
        for producers in PRODUCERS:
            rows = min(APPENDED[producers], rows_max)
            place = directory / f"{turn}-{producers}"
            place.mkdir()
            for name, work in ways(place, rows, producers).items():
                rates.setdefault(name, Rate(name)).measure(rows, work)
            subprocess.run(["rm", "-rf", str(place)], check=True)
    return list(rates.values())


def lines_of(rows: int) -> Iterator[bytes]:
    """Make lines of rows over thirty days, one attempt each, quickly."""
    templates = [
        encode_line(make_row(timestamp=f"2026-01-{day:02}T12:00:00.000000Z"))
        for day in range(1, 31)
    ]
    ids = [msgspec.json.decode(line)["row_id"].encode() for line in templates]
    for number in range(rows):
        day = number * 30 // rows
        body = templates[day].replace(ids[day], new_id().encode())
        yield b"\n" + add_crc(body[:-18] + b"}") + b"\n"


def write_log(root: Path, rows: int) -> int:
    """Write a log of active segments of dead writers; gives its bytes."""
    active = root / "active"
    active.mkdir(parents=True, mode=0o700)
    root.chmod(0o700)
    made = lines_of(rows)
    for number in range(-(-rows // SEGMENT_ROWS)):
        with (active / f"foreign-{number}.jsonl").open("wb") as file:
            for _ in range(min(SEGMENT_ROWS, rows - number * SEGMENT_ROWS)):
                file.write(next(made))
    return sum(path.stat().st_size for path in active.iterdir())


def asked(root: Path) -> list[float]:
    """Answer each question three times; median seconds."""
    found = []
    for sql in QUESTIONS.values():
        taken = []
        for _ in range(3):
            begun = time.perf_counter()
            with open_views(root) as connection:
                connection.execute(sql).fetchall()
            taken.append(time.perf_counter() - begun)
        found.append(statistics.median(taken))
    return found


# Its memory from /proc: what getrusage tells of a child begins with the memory of its parent.
COMPACT = (
    "from lakehouse.sessionlog.keeping.compaction import compact; import sys, pathlib; "
    "rows = compact(pathlib.Path(sys.argv[1])).rows; "
    "status = pathlib.Path('/proc/self/status').read_text(); "
    "print(rows, status.split('VmHWM:')[1].split()[0])"
)


def querying(directory: Path, rows: int) -> tuple[list[str], list[str]]:
    """Query a log that is live, sealed and compacted; measure what comes between."""
    root = directory / "log"
    size = write_log(root, rows)
    answers = {"active segments": asked(root)}
    begun = time.perf_counter()
    seal_log(root)
    seal_s = time.perf_counter() - begun
    answers["sealed segments"] = asked(root)
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", COMPACT, str(root)], check=True, capture_output=True, text=True
    )
    compact_s = time.perf_counter() - begun
    compacted, peak_kib = map(int, done.stdout.split())
    assert compacted == rows
    answers["compacted"] = asked(root)
    table_bytes = sum(path.stat().st_size for path in (root / "table").rglob("*.parquet"))
    questions = [
        f"| {where} | " + " | ".join(f"{taken:.2f}" for taken in seconds) + " |"
        for where, seconds in answers.items()
    ]
    return questions, [
        f"| the log, {rows:,} rows | {size / 1e9:.2f} GB, compacted {table_bytes / 1e9:.2f} GB |",
        f"| sealing | {rows / seal_s:,.0f} rows/s |",
        f"| compacting | {rows / compact_s:,.0f} rows/s, at most {peak_kib >> 10} MiB resident |",
    ]


def memory(directory: Path, rows: int) -> str:
    """Append rows in one process; its resident memory early and at the end."""

    append_ours(directory / "warm", rows_of(rows // 10), 64, "os")
    early = resident_mib(os.getpid())
    append_ours(directory / "log", rows_of(rows), 64, "os")
    late = resident_mib(os.getpid())
    return f"| {rows:,} rows appended | {early:.0f} MiB resident before, {late:.0f} after |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5, help="of appending")
    parser.add_argument("--output", type=Path, default=HERE / "runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=HERE) as name:
        directory = Path(name)
        parts = {"memory": directory / "m", "append": directory / "a", "query": directory / "q"}
        for place in parts.values():
            place.mkdir()
        sync_ms = fdatasync_ms(directory)
        kept = memory(parts["memory"], min(options.rows, MEMORY_ROWS_MAX))
        subprocess.run(["rm", "-rf", str(parts["memory"])], check=True)
        rates = appending(parts["append"], options.rows, options.rounds)
        questions, figures = querying(parts["query"], options.rows)
        where = file_system(directory)
    command = f"python benchmarks/bench_log.py --rows {options.rows} --rounds {options.rounds}"
    text = "\n".join(
        [
            *heading("The session log", command, where),
            f"Rows of 2 KB, {options.rounds} rounds; one fdatasync takes {sync_ms:.3f} ms here.",
            "",
            *table_head(
                "appending", "rows/s: min / median / max", "CPU a row, µs: min / median / max"
            ),
            *(rate.line() for rate in rates),
            "",
            *table_head("seconds for", *QUESTIONS),
            *questions,
            "",
            *table_head("and", ""),
            *figures,
            kept,
            "",
        ]
    )
    write_result(options.output, f"log-{options.rows}", text)
    print(text)


if __name__ == "__main__":
    main()
