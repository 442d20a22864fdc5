"""A program that writes sessions and tells which rows it was told are durable.

Prints `started ID` behind each started line and `acked ID` behind each acknowledged row, one
write each, so that what was printed by the time it is killed is what it knew. With `--tend` it
does between rows what a daemon does once a minute.

Usage: python producer.py LOG [--rows N] [--at-once N] [--left-running N] [--segment-bytes N] …
"""

import argparse
import asyncio
import os
import resource
import sys
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent))

from faults.mutations import apply_mutation
from lakehouse.core.errors import LakehouseError
from lakehouse.core.row import Row
from lakehouse.files.locks import Busy
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.rows import make_attempt, make_row, make_started

TEND_EVERY = 10  # rows


def tell(word: str, row: Row) -> None:
    """Say it in one write, past every buffer."""
    os.write(1, f"{word} {row.row_id}\n".encode())


def complain(trouble: str, said: set[str] = set()) -> None:  # noqa: B006 - of this process
    """Say on stderr what is wrong, each thing once: nobody reads the pipe before the end."""
    if trouble not in said:
        said.add(trouble)
        os.write(2, f"{trouble}\n".encode())


def tend(root: Path, writer: SessionLogWriter) -> None:
    """Do one round of a daemon's maintenance; trouble is left to the next."""
    try:
        seal(root, wait_s=0, own=writer.tend(), on_sealed=writer.sealed)
    except (OSError, LakehouseError, Busy) as error:
        complain(f"tend: {error}")


async def run(root: Path, writer: SessionLogWriter, arguments: argparse.Namespace) -> None:
    """Write all rows; one that fails is tried no more, and was not acknowledged."""
    left = arguments.rows

    def new_row() -> Row:
        row = make_row()
        text = row.row_id * (1 + arguments.row_bytes // 32)
        return msgspec.structs.replace(row, prompt=text, attempts=(make_attempt(output=text),))

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            row = new_row()
            try:
                if arguments.check:
                    writer.check_writable()
                writer.started(make_started(row))
                tell("started", row)
                if arguments.session_s:
                    await asyncio.sleep(arguments.session_s)
                await writer.append(row)
            except LakehouseError as error:
                complain(f"refused: {error}")
                await asyncio.sleep(arguments.pause_s)
                continue
            tell("acked", row)
            if arguments.pause_s:
                await asyncio.sleep(arguments.pause_s)
            if arguments.tend and left % TEND_EVERY == 0:
                tend(root, writer)

    for _ in range(arguments.left_running):
        row = new_row()
        writer.started(make_started(row))
        tell("started", row)
    await asyncio.gather(*(worker() for _ in range(arguments.at_once)))


def main() -> None:
    """Run, and end as a killed process would: nothing is closed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("log", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--left-running", type=int, default=0)
    parser.add_argument("--segment-bytes", type=int, default=64 << 20)
    parser.add_argument("--row-bytes", type=int, default=0)
    parser.add_argument("--session-s", type=float, default=0.0, help="from started line to row")
    parser.add_argument("--pause-s", type=float, default=0.0)
    parser.add_argument("--file-bytes-max", type=int)
    parser.add_argument("--tend", action="store_true")
    parser.add_argument("--check", action="store_true", help="refuse early, as a daemon does")
    parser.add_argument("--wait", action="store_true", help="for a line on stdin, at the end")
    parser.add_argument("--mutation", action="append", default=[])
    arguments = parser.parse_args()
    for name in arguments.mutation:
        apply_mutation(name)
    try:
        writer = SessionLogWriter.open(
            arguments.log, daemon="validatord", segment_bytes_max=arguments.segment_bytes
        )
    except LakehouseError as error:
        complain(f"refused: {error}")
        os._exit(3)
    if arguments.file_bytes_max:
        limit = (arguments.file_bytes_max, arguments.file_bytes_max)
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    asyncio.run(run(arguments.log, writer, arguments))
    if arguments.wait:
        os.write(1, b"done\n")
        sys.stdin.readline()
    if arguments.tend:
        tend(arguments.log, writer)
    os._exit(0)


if __name__ == "__main__":
    main()
